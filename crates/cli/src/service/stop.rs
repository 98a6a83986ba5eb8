//! `exeng stop`: stops executions.

use clap::Args;
use clap_complete::ArgValueCompleter;
use execution_engine_server::client::{Client, ClientError};
use execution_engine_server::{ErrorCode, StopMode};

use super::connect;
use super::each::each_there;
use super::ls::print_table;
use super::selection::{Changes, Selection, dry_run};
use crate::cli::GlobalOptions;
use crate::completions::Ids;
use crate::failure::Failure;
use crate::{data, message};

/// Options of `stop`.
#[derive(Debug, Args)]
#[command(mut_arg("ids", |ids| ids.add(ArgValueCompleter::new(Ids::Unended))))]
pub(crate) struct StopOptions {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Kill the whole tree at once, without the grace that it has to end by itself
    #[arg(long)]
    pub(super) firm: bool,
    /// Do not wait until they have ended
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Print one array of JSON with the executions as they are then
    #[arg(long)]
    pub(super) json: bool,
}

/// Stops all of them and waits for their ends. One that has ended already is as wanted. Conditions select
/// what has not ended.
pub(crate) async fn run(global: &GlobalOptions, options: &StopOptions) -> Result<u8, Failure> {
    options.selection.check()?;
    let client = connect(global).await?;
    let selected = options.selection.select(&client, Changes::Unended).await?;
    if options.selection.dry_run {
        let (executions, code) = dry_run(&client, &selected, Changes::Unended).await;
        match options.json {
            true => data::json(&executions)?,
            false => print_table(&executions)?,
        }
        return Ok(code);
    }
    let mode = if options.firm { StopMode::Firm } else { StopMode::Polite };
    let (stopped, code) = selected.each(&client, async |id| stop(&client, id, mode).await).await;
    let (executions, code_after) = each_there(&stopped, async |id| match options.no_wait {
        true => client.get(&id).await,
        false => client.wait(&id).await,
    })
    .await;
    if options.json {
        data::json(&executions)?;
    }
    Ok(code.max(code_after))
}

/// Stops one, and returns its id.
async fn stop(client: &Client, id: String, mode: StopMode) -> Result<String, ClientError> {
    match client.stop(&id, mode).await {
        Ok(_) => {}
        Err(error) if error.code() == Some(ErrorCode::AlreadyEnded.as_str()) => {
            message::note(format!("{id} has already ended"));
        }
        Err(error) => return Err(error),
    }
    Ok(id)
}
