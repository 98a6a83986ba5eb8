//! `exeng rm`: removes executions that have ended.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::connect;
use super::each::each;
use crate::cli::GlobalOptions;
use crate::completions::ids;
use crate::data;
use crate::failure::Failure;

/// Options of `rm`.
#[derive(Debug, Args)]
pub(crate) struct RmOptions {
    /// Executions: their ids, unique beginnings of ids, or @last
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(ids))]
    ids: Vec<String>,
    /// Print one array of JSON with the ids that were removed
    #[arg(long)]
    json: bool,
}

/// Removes all of them with their output. What cannot be removed does not keep the others.
pub(crate) async fn run(global: &GlobalOptions, options: &RmOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let (removed, code) = each(&client, &options.ids, async |id| {
        client.remove(&id).await?;
        Ok(id)
    })
    .await;
    if options.json {
        data::json(&removed)?;
    }
    Ok(code)
}
