//! `exeng wait`: waits for executions.

use std::time::Duration;

use clap::Args;
use execution_engine::{Ending, ExecutionStatus};
use execution_engine_server::ExecutionView;
use execution_engine_server::client::Client;

use super::connect;
use super::selection::Which;
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::option_names::of_command_line;
use crate::{data, duration, exit_code, message};

/// Options of `wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitOptions {
    #[command(flatten)]
    pub(super) which: Which,
    /// Wait no longer than this for all of them, and exit with 124 then
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    #[arg(allow_hyphen_values = true)]
    pub(super) timeout: Option<Duration>,
    /// Print each execution as a line of JSON when it has ended
    #[arg(long)]
    pub(super) json: bool,
}

/// Waits for all of them, and returns the code of the first in their order that is not 0.
pub(crate) async fn run(global: &GlobalOptions, options: &WaitOptions) -> Result<u8, Failure> {
    options.which.check()?;
    let client = connect(global).await?;
    // All before the first wait: what is the newest changes.
    let executions = options.which.find(&client).await?;
    let wait = wait_for_all(&client, executions, options);
    match options.timeout {
        None => wait.await,
        Some(time) => match tokio::time::timeout(time, wait).await {
            Ok(ended) => ended,
            Err(_) => {
                message::print("not all of them have ended in this time; they go on");
                Ok(exit_code::TIMEOUT)
            }
        },
    }
}

async fn wait_for_all(
    client: &Client,
    executions: Vec<ExecutionView>,
    options: &WaitOptions,
) -> Result<u8, Failure> {
    let mut first = 0;
    for execution in executions {
        // What has ended is told whatever the time allows.
        let ended = match execution.ended_at {
            Some(_) => execution,
            None => client.wait(&execution.id.to_string()).await?,
        };
        if options.json {
            data::json(&ended)?;
        }
        let code = code(&ended);
        if first == 0 {
            first = code;
        }
    }
    Ok(first)
}

/// Returns the code to exit with for an execution that has ended. Says why it is one of ours.
pub(super) fn code(ended: &ExecutionView) -> u8 {
    let Some(ending) = &ended.ending else { return exit_code::OURS };
    let code = exit_code::of_end(ending, ended.signal);
    let is_own = matches!(ending, Ending::Exited { .. } | Ending::Signaled { .. });
    if !is_own || ended.status == ExecutionStatus::Lost {
        message::print(format!("{}: {}", ended.id, of_command_line(&ending.to_string())));
    }
    code
}
