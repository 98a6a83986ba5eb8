//! `exeng pause` and `exeng resume`: freeze executions, and let them go on.

use clap::Args;
use clap_complete::ArgValueCompleter;
use execution_engine_server::client::Client;

use super::each::each_printed;
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::failure::Failure;

/// Options of `pause` and `resume`.
#[derive(Debug, Args)]
pub(crate) struct PauseOptions {
    /// Executions: their ids, unique beginnings of ids, or @last
    #[arg(value_name = "ID", required = true, add = ArgValueCompleter::new(Ids::Unended))]
    pub(super) ids: Vec<String>,
    /// Print one array of JSON with the executions as they are then
    #[arg(long)]
    pub(super) json: bool,
}

/// Pauses all of them. What cannot be paused does not keep the others.
pub(crate) async fn pause(global: &GlobalOptions, options: &PauseOptions) -> Result<u8, Failure> {
    let pause = async |client: &Client, id: String| client.pause(&id).await;
    each_printed(global, &options.ids, options.json, pause).await
}

/// Lets all of them go on.
pub(crate) async fn resume(global: &GlobalOptions, options: &PauseOptions) -> Result<u8, Failure> {
    let resume = async |client: &Client, id: String| client.resume(&id).await;
    each_printed(global, &options.ids, options.json, resume).await
}
