//! The life of one execution, top to bottom: attempts until one is the last, then completion.

use std::pin::Pin;

use super::classify::classify_exit;
use super::completion::{AttemptOutcome, complete};
use super::context::PhaseContext;
use super::drain::{close_output, drain};
use super::launch::{LaunchedProgram, RunningProgram, StartedExecution, finish_failed_launch};
use super::retry::{backoff, next_attempt};
use super::supervise::supervise;
use super::termination::terminate;
use crate::output::ExecutionLogs;
use crate::types::ContainmentReceipt;

/// Runs an execution whose first attempt has been launched, up to its record.
pub(crate) async fn run(started: Box<StartedExecution>) {
    let mut current = started;
    loop {
        let StartedExecution { mut guard, launched, retry } = unboxed(current);
        let (mut logs, outcome) = run_attempt(&guard, launched).await;
        let Some(retry) = retry else {
            return complete(guard, logs, outcome).await;
        };
        match boxed(backoff(&mut guard, &retry, &mut logs, outcome)).await {
            Ok(()) => current = next_attempt(guard, retry, logs),
            Err(outcome) => return complete(guard, logs, outcome).await,
        }
    }
}

/// Runs one attempt until its tree is gone and its output is read.
async fn run_attempt(
    cx: &PhaseContext,
    launched: LaunchedProgram,
) -> (ExecutionLogs, AttemptOutcome) {
    let mut program = match launched.running(cx).await {
        Ok(program) => program,
        Err(failed) => return boxed(finish_failed_launch(cx, failed)).await,
    };
    if let Some(exit) = supervise(cx, &mut program).await {
        // What the program wrote before its exit counts before it. Otherwise a program that breaks
        // the output limit with its last write would be a success or a failure depending on which
        // event the reactor reported first.
        drain(cx, &mut program).await;
        cx.decide(classify_exit(exit, program.limits.as_deref(), &program.child));
    }
    // Not before the ending is decided: a control request that is turned away reports that ending.
    // And not later: from here on nothing would answer it.
    cx.active.inbox().close();
    let receipt = terminate(cx, &mut program).await;
    // Once the tree is gone, all that it has written is in the pipes.
    drain(cx, &mut program).await;
    collect(cx, program, receipt).await
}

/// Collects what came of an attempt, and gives back what held its tree.
async fn collect(
    cx: &PhaseContext,
    program: Box<RunningProgram>,
    containment: ContainmentReceipt,
) -> (ExecutionLogs, AttemptOutcome) {
    let RunningProgram { mut child, reader, feeder, .. } = unboxed(program);
    let tree_usage = child.tree_usage();
    let reaped = child.reap().unwrap_or_else(|error| {
        tracing::warn!(%error, "a child could not be reaped");
        None
    });
    // Before the ending is published: whoever sees it may start a program in this cgroup at once.
    drop((child, feeder));
    let (logs, output_error) = close_output(cx, reader).await;
    (logs, AttemptOutcome { containment, reaped, tree_usage, output_error })
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

/// Moves a value out of its box and frees the box, which a pattern would keep until the last part of
/// the value is dropped.
#[expect(clippy::boxed_local, reason = "freeing the box is the purpose")]
pub(super) fn unboxed<T>(boxed: Box<T>) -> T {
    *boxed
}
