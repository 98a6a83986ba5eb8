//! An execution that waits in the queue: a request checked and resolved, and nothing else. It has no
//! process and no open file.

use execution_engine_process::Launch;

use super::completion::CompletionGuard;
use super::retry::RetryContext;
use super::supervisor::{ExecutionParams, StartedExecution};
use crate::output::{LogTargets, OutputSettings};
use crate::types::Ending;

/// What is needed to start it when its turn has come.
pub(crate) struct QueuedExecution {
    pub(crate) duty: CompletionGuard,
    pub(crate) launch: Launch,
    pub(crate) logs: LogTargets,
    pub(crate) plan: OutputSettings,
    pub(crate) terms: Box<ExecutionParams>,
    pub(crate) again: Option<Box<RetryContext>>,
}

impl QueuedExecution {
    /// Waits for the permit, then runs the program. Stopped before, it ends at once, with a log that says
    /// so.
    pub(crate) async fn run(self) {
        let Self { mut duty, launch, logs, plan, terms, again } = self;
        // What follows is on the heap, so that those who wait stay small.
        if !duty.admitted().await {
            return Box::pin(duty.end_in_queue(&logs, launch.working_dir.as_deref())).await;
        }
        match duty.open_logs(&logs, launch.working_dir.as_deref()) {
            Ok(logs) => {
                Box::pin(StartedExecution::attempt(duty, launch, logs, plan, terms, again).run())
                    .await
            }
            Err(error) => {
                // Another attempt would run without the log that was asked for.
                duty.live().try_no_more();
                duty.decide(Ending::SpawnFailed { reason: error.to_string(), os_error: None });
                duty.end_without_program();
            }
        }
    }
}
