//! The next attempt of an execution: the delay before it, and its launch.

use std::time::Instant;

use chrono::Utc;

use super::classify::usage;
use super::completion::AttemptOutcome;
use super::context::PhaseContext;
use super::launch::{AttemptSpec, LaunchedProgram, launch};
use super::state::StateInput;
use crate::output::ExecutionLogs;
use crate::time;
use crate::types::{Attempt, Ending, ExecutionEvent, RetryPolicy};

/// What another attempt needs.
///
/// The permit stays with the execution between attempts. Given back, it would have to be won again,
/// and the end of the execution would depend on others. Kept, its latest moment is known at the
/// start: all attempts and all delays together.
pub(crate) struct RetryContext {
    pub(crate) policy: RetryPolicy,
    pub(crate) spec: AttemptSpec,
}

/// Ends an attempt and waits for the time of the next one. Returns the outcome for the record if
/// there is no other attempt: this was the last, or the execution is to end.
pub(super) async fn backoff(
    cx: &mut PhaseContext,
    retry: &RetryContext,
    logs: &mut ExecutionLogs,
    outcome: AttemptOutcome,
) -> Result<(), AttemptOutcome> {
    let Some(ending) = cx.active.decision() else { return Err(outcome) };
    if cx.active.apply(StateInput::BackOff).is_err() {
        return Err(outcome);
    }
    // An attempt that could not be launched has left it open.
    cx.active.inbox.close();
    let (attempt, attempts) = (cx.active.attempt(), retry.policy.attempts);
    let delay = retry.policy.delay(attempt, fastrand::u64(..));
    logs.note(&format!("attempt {attempt} of {attempts}: {ending}; the next one in {delay:?}"));
    note_attempt(cx, ending.clone(), outcome);
    let execution_id = cx.active.info().id;
    let event = ExecutionEvent::Retrying { execution_id, attempt, ending, delay };
    cx.publisher.event(Utc::now(), event);
    tokio::select! {
        biased;
        () = cx.active.ending_decided() => {}
        () = time::sleep_until(Instant::now().checked_add(delay)) => {}
    }
    // A stop may have come after the delay, too: the state machine decides which was first.
    let next = cx.active.apply(StateInput::NextAttempt);
    next.map_err(|_| AttemptOutcome::without_program(cx.nothing_to_stop()))
}

/// Launches the next attempt. It takes control requests again, and its output is kept from its
/// beginning; the journal continues in one sequence.
pub(super) fn launch_again(
    cx: &mut PhaseContext,
    retry: &RetryContext,
    logs: ExecutionLogs,
) -> Box<LaunchedProgram> {
    cx.active.inbox.open();
    cx.publisher.journal.start_over();
    launch(cx, retry.spec.for_another_attempt(), logs)
}

/// Keeps what the result says of an attempt that is over.
fn note_attempt(cx: &mut PhaseContext, ending: Ending, outcome: AttemptOutcome) {
    let start = cx.attempt_start;
    cx.earlier_attempts.push(Attempt {
        number: cx.active.attempt(),
        ending,
        started_at: cx.active.time_of(start),
        duration: start.elapsed(),
        usage: outcome.reaped.map(|reaped| usage(&reaped.usage, outcome.tree_usage)),
        containment: outcome.containment,
    });
}
