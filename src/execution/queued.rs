//! An execution in the admission queue: a checked and resolved request, without process or open
//! file.

use std::sync::Arc;

use super::completion::{AttemptOutcome, CompletionGuard, complete_logs};
use super::launch::{AttemptSpec, LaunchedProgram, launch};
use super::pauses::StartPauses;
use super::retry::RetryContext;
use super::run::{boxed, run};
use crate::admission::Admitted;
use crate::error::ExecutionError;
use crate::output::{ExecutionLogs, LogTargets};
use crate::runtime::Starter;
use crate::types::Ending;

/// Everything that is needed to start an execution when it gets its permit.
pub(crate) struct QueuedExecution {
    pub(crate) guard: CompletionGuard,
    /// On the heap, so that it is freed when the program runs.
    pub(crate) spec: Box<AttemptSpec>,
    pub(crate) logs: LogTargets,
    pub(crate) retry: Option<Box<RetryContext>>,
    pub(crate) starter: Starter,
}

impl QueuedExecution {
    /// Waits for the permit, then runs the execution. Stopped in the queue, it ends at once.
    pub(crate) async fn run(self) {
        let Self { mut guard, spec, logs, retry, starter } = self;
        if !wait_for_permit(&mut guard).await {
            return boxed(end_in_queue(guard, spec, logs, starter)).await;
        }
        let mut parts = (guard, spec, logs);
        let mut pauses = StartPauses::new();
        loop {
            // If it is lost, it has been completed as failed.
            let Some(begun) = boxed(starter.run(move || begin(parts))).await else { return };
            match begun {
                Ok((guard, launched)) => return boxed(run(guard, launched, retry)).await,
                Err((again, error)) => {
                    parts = *again;
                    let is_transient = error.is_open_file_limit();
                    if !(is_transient && boxed(pauses.next(&parts.0, error.os_error())).await) {
                        return boxed(without_logs(parts.0, error)).await;
                    }
                }
            }
        }
    }
}

type Parts = (CompletionGuard, Box<AttemptSpec>, LogTargets);

/// Opens the logs and launches the first attempt. Gives everything back if they cannot be opened.
fn begin(
    (mut guard, spec, logs): Parts,
) -> Result<(CompletionGuard, Box<LaunchedProgram>), (Box<Parts>, ExecutionError)> {
    let working_dir = spec.launch.working_dir.as_deref();
    match guard.engine.open_logs(&logs, &guard.active, working_dir) {
        Ok(logs) => {
            let launched = launch(&mut guard, *spec, logs);
            Ok((guard, launched))
        }
        Err(error) => Err((Box::new((guard, spec, logs)), error)),
    }
}

/// Completes an execution whose logs cannot be opened.
async fn without_logs(guard: CompletionGuard, error: ExecutionError) {
    // Another attempt would run without the log that was asked for.
    guard.active.forbid_retry();
    guard.decide(Ending::SpawnFailed { reason: error.to_string(), os_error: error.os_error() });
    let outcome = AttemptOutcome::without_program(guard.nothing_to_stop());
    guard.complete(outcome).await;
}

/// Waits for the permit. Returns false if the execution was stopped before; its place in the queue
/// is given back then.
async fn wait_for_permit(guard: &mut CompletionGuard) -> bool {
    if !guard.is_queued() {
        return true;
    }
    let Some(Admitted::Ticket(mut ticket)) = guard.admitted.take() else { return true };
    let permit = tokio::select! {
        biased;
        // A stop that comes together with the permit wins: nothing was started yet.
        () = guard.active.ending_decided() => return false,
        permit = ticket.permit() => permit,
    };
    guard.admitted = Some(Admitted::Permit(permit));
    guard.active.wait_is_over();
    true
}

/// Completes an execution that was stopped in the queue, with a log that says so.
async fn end_in_queue(
    guard: CompletionGuard,
    spec: Box<AttemptSpec>,
    logs: LogTargets,
    starter: Starter,
) {
    let engine = Arc::clone(&guard.engine);
    // A whole queue may be stopped at once, and a host has few descriptors.
    let _turn = engine.late_logs.acquire().await;
    let mut outcome = AttemptOutcome::without_program(guard.nothing_to_stop());
    let open = move || {
        let opened =
            guard.engine.open_logs(&logs, &guard.active, spec.launch.working_dir.as_deref());
        (guard, opened)
    };
    // If it is lost, it has been completed as failed.
    let Some((guard, opened)) = starter.run(open).await else { return };
    let logs = opened.unwrap_or_else(|error| {
        outcome.output_error = Some(error.to_string());
        ExecutionLogs::default()
    });
    complete_logs(&guard, logs, &mut outcome).await;
    guard.complete(outcome).await;
}
