//! `exeng pin`: keeps executions from being removed.

use clap::Args;
use clap_complete::ArgValueCompleter;
use execution_engine_server::client::Client;

use super::each::each_printed;
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::failure::Failure;

/// Options of `pin`.
#[derive(Debug, Args)]
pub(crate) struct PinOptions {
    /// Executions: their ids, unique beginnings of ids, or @last
    #[arg(value_name = "ID", required = true, add = ArgValueCompleter::new(Ids::Any))]
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
    let pin = async |client: &Client, id: String| client.pin(&id, !options.remove).await;
    each_printed(global, &options.ids, options.json, pin).await
}
