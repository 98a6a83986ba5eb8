//! `exeng pause` and `exeng resume`: freeze executions, and let them go on.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::connect;
use super::each::each;
use crate::cli::GlobalOptions;
use crate::completions::ids;
use crate::data;
use crate::failure::Failure;

/// Options of `pause` and `resume`.
#[derive(Debug, Args)]
pub(crate) struct PauseOptions {
    /// Executions: their ids, unique beginnings of ids, or @last
    #[arg(value_name = "ID", required = true, add = ArgValueCandidates::new(ids))]
    ids: Vec<String>,
    /// Print one array of JSON with the executions as they are then
    #[arg(long)]
    json: bool,
}

/// Pauses all of them. What cannot be paused does not keep the others.
pub(crate) async fn pause(global: &GlobalOptions, options: &PauseOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let (paused, code) = each(&client, &options.ids, async |id| client.pause(&id).await).await;
    if options.json {
        data::json(&paused)?;
    }
    Ok(code)
}

/// Lets all of them go on.
pub(crate) async fn resume(global: &GlobalOptions, options: &PauseOptions) -> Result<u8, Failure> {
    let client = connect(global).await?;
    let (resumed, code) = each(&client, &options.ids, async |id| client.resume(&id).await).await;
    if options.json {
        data::json(&resumed)?;
    }
    Ok(code)
}
