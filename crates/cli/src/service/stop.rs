//! `exeng stop`: stops executions.

use clap::Args;
use execution_engine_server::client::Client;
use execution_engine_server::{ErrorCode, StopMode};

use super::connect;
use super::each::each;
use super::ls::print_table;
use super::selection::{Changes, Selection, dry_run};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::{data, message};

/// Options of `stop`.
#[derive(Debug, Args)]
pub(crate) struct StopOptions {
    #[command(flatten)]
    selection: Selection,
    /// Kill the whole tree at once, without the grace that it has to end by itself
    #[arg(long)]
    firm: bool,
    /// Do not wait until they have ended
    #[arg(long)]
    no_wait: bool,
    /// Print one array of JSON with the executions as they are then
    #[arg(long)]
    json: bool,
}

/// Stops all of them and waits for their ends. One that has ended already is as wanted. Conditions select
/// what has not ended.
pub(crate) async fn run(global: &GlobalOptions, options: &StopOptions) -> Result<u8, Failure> {
    options.selection.check()?;
    let client = connect(global).await?;
    let names = options.selection.names(&client, Changes::Unended).await?;
    if options.selection.dry_run {
        let (executions, code) = dry_run(&client, &names, Changes::Unended).await;
        match options.json {
            true => data::json(&executions)?,
            false => print_table(&executions)?,
        }
        return Ok(code);
    }
    let mode = if options.firm { StopMode::Firm } else { StopMode::Polite };
    let (stopped, code) = each(&client, &names, async |id| stop(&client, id, mode).await).await;
    let mut executions = Vec::new();
    for id in &stopped {
        let execution = if options.no_wait { client.get(id).await } else { client.wait(id).await };
        executions.push(execution?);
    }
    if options.json {
        data::json(&executions)?;
    }
    Ok(code)
}

/// Stops one, and returns its id.
async fn stop(client: &Client, id: String, mode: StopMode) -> Result<String, Failure> {
    match client.stop(&id, mode).await {
        Ok(_) => {}
        Err(error) if error.code() == Some(ErrorCode::AlreadyEnded.as_str()) => {
            message::print(format!("{id} has already ended"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(id)
}
