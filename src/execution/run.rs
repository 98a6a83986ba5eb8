//! The life of one execution, top to bottom: attempts until one is the last, then completion.

use std::pin::Pin;

use execution_engine_process::Child;

use super::classify::classify_exit;
use super::completion::{AttemptOutcome, CompletionGuard, complete_logs};
use super::context::PhaseContext;
use super::drain::{close_output, complete_output, drain};
use super::launch::{LaunchedProgram, finish_failed_launch};
use super::retry::{RetryContext, backoff, launch_again};
use super::supervise::supervise;
use super::termination::terminate;
use crate::output::ExecutionLogs;
use crate::types::ContainmentReceipt;

/// Runs an execution whose first attempt has been launched, up to its record.
pub(crate) async fn run(
    mut guard: CompletionGuard,
    mut launched: Box<LaunchedProgram>,
    retry: Option<Box<RetryContext>>,
) {
    loop {
        let (mut logs, mut outcome) = run_attempt(&guard, launched).await;
        if let Some(retry) = &retry {
            match boxed(backoff(&mut guard, retry, &mut logs, outcome)).await {
                Ok(()) => match boxed(launch_again(guard, retry, logs)).await {
                    Some(again) => {
                        (guard, launched) = again;
                        continue;
                    }
                    // It has been completed as failed.
                    None => return,
                },
                Err(last) => outcome = last,
            }
        }
        if !logs.is_empty() {
            boxed(complete_logs(&guard, logs, &mut outcome)).await;
        }
        return guard.complete(outcome).await;
    }
}

/// Runs one attempt until its tree is gone and its output is read.
async fn run_attempt(
    cx: &PhaseContext,
    launched: Box<LaunchedProgram>,
) -> (ExecutionLogs, AttemptOutcome) {
    let mut program = match launched.running(cx).await {
        Ok(program) => program,
        Err(failed) => return boxed(finish_failed_launch(cx, failed)).await,
    };
    if let Some(exit) = supervise(cx, &mut program).await {
        // What the program wrote before its exit counts before it. Otherwise a program that breaks
        // the output limit with its last write would be a success or a failure depending on which
        // event the reactor reported first. The ending is open until then: a cancel that comes
        // during this drain wins over the exit.
        drain(cx, &mut program).await;
        cx.decide(classify_exit(exit, program.params.limits.as_deref(), &program.child));
    }
    // Not before the ending is decided: a control request that is turned away reports that ending.
    // And not later: from here on nothing would answer it.
    cx.active.inbox.close();
    let receipt = terminate(cx, &mut program).await;
    // Once the tree is gone, all that it has written is in the pipes.
    drain(cx, &mut program).await;
    drop(program.feeder);
    let mut outcome = reap(program.child, receipt);
    outcome.output_error = complete_output(cx, &mut program.reader).await;
    (close_output(cx, program.reader), outcome)
}

/// Reaps the program and gives back what held its tree. This comes before the ending is published:
/// a program that is started then may be given the same cgroup.
fn reap(mut child: Child, containment: ContainmentReceipt) -> AttemptOutcome {
    let tree_usage = child.tree_usage();
    let reaped = child.reap().unwrap_or_else(|error| {
        tracing::warn!(%error, "a child could not be reaped");
        None
    });
    AttemptOutcome { reaped, tree_usage, ..AttemptOutcome::without_program(containment) }
}

/// Moves a future to the heap.
///
/// The one place where futures are boxed for their size. The task of [`run`] exists for as long as
/// its program runs, and holds room for the largest future that it may ever await. So what is rare,
/// short or comes at the end of a phase is boxed at the border of that phase. `inline(never)` keeps
/// the future from being built in the caller's frame first.
#[inline(never)]
pub(super) fn boxed<'a, F: Future + Send + 'a>(future: F) -> Pin<Box<F>> {
    Box::pin(future)
}
