//! `exeng signal`: sends a signal to executions.

use clap::Args;
use clap_complete::ArgValueCompleter;
use execution_engine::Signal;
use execution_engine_server::client::Client;

use super::each::each_printed;
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::failure::Failure;
use crate::signal_name;

/// Options of `signal`.
#[derive(Debug, Args)]
pub(crate) struct SignalOptions {
    /// TERM, SIGTERM, USR1, .. or a number
    #[arg(value_name = "SIGNAL", value_parser = signal_name::parse)]
    pub(super) signal: Signal,
    /// Executions: their ids, unique beginnings of ids, or @last
    #[arg(value_name = "ID", required = true, add = ArgValueCompleter::new(Ids::Unended))]
    pub(super) ids: Vec<String>,
    /// Print one array of JSON with the ids and how many processes got it
    #[arg(long)]
    pub(super) json: bool,
}

/// Sends it to all processes of all of them. What does not run does not keep the others from it.
pub(crate) async fn run(global: &GlobalOptions, options: &SignalOptions) -> Result<u8, Failure> {
    let send = async |client: &Client, id: String| client.signal(&id, options.signal).await;
    each_printed(global, &options.ids, options.json, send).await
}
