//! `exeng pin`: keeps executions from being removed.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::connect;
use super::each::each;
use crate::cli::GlobalOptions;
use crate::completions::ids;
use crate::data;
use crate::failure::Failure;

/// Options of `pin`.
#[derive(Debug, Args)]
pub(crate) struct PinOptions {
    /// Executions: their ids, unique beginnings of ids, or @last
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(ids))]
    ids: Vec<String>,
    /// Unpin them
    #[arg(long)]
    remove: bool,
    /// Print one array of JSON with the executions as they are then
    #[arg(long)]
    json: bool,
}

/// Pins or unpins all of them. What fails does not keep the others from it.
pub(crate) async fn run(global: &GlobalOptions, options: &PinOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let (pinned, code) =
        each(&client, &options.ids, async |id| client.pin(&id, !options.remove).await).await;
    if options.json {
        data::json(&pinned)?;
    }
    Ok(code)
}
