//! The next attempt of an execution: the delay before it, and its launch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;

use super::classify::usage;
use super::completion::{AttemptOutcome, CompletionGuard};
use super::context::PhaseContext;
use super::launch::{AttemptSpec, LaunchedProgram, launch};
use super::run::boxed;
use super::state::StateInput;
use crate::output::{ExecutionLogs, text};
use crate::runtime::Starter;
use crate::time;
use crate::types::{Attempt, Ending, ExecutionEvent, RetryPolicy, StreamStats};

/// How many of the first and of the last earlier attempts a result keeps.
const KEPT_ATTEMPTS: usize = 10;
/// How many of the last bytes of each stream of these it keeps.
const KEPT_OUTPUT: usize = 4096;

/// What another attempt needs.
///
/// The permit stays with the execution between attempts. Given back, it would have to be won again,
/// and the end of the execution would depend on others. Kept, its latest moment is known at the
/// start: all attempts and all delays together.
pub(crate) struct RetryContext {
    pub(crate) policy: RetryPolicy,
    pub(crate) spec: AttemptSpec,
    pub(crate) starter: Starter,
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
    if let Some(sink) = &cx.sink {
        let told = Arc::clone(sink).retrying(attempt, ending.clone(), delay);
        boxed(told_within(cx, retry.spec.params.drain, told)).await;
    }
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
/// beginning; the journal continues in one sequence. `None` if the execution was lost.
pub(super) async fn launch_again(
    mut guard: CompletionGuard,
    retry: &RetryContext,
    logs: ExecutionLogs,
) -> Option<(CompletionGuard, Box<LaunchedProgram>)> {
    guard.active.inbox.open();
    guard.publisher.journal.start_over();
    let spec = Box::new(retry.spec.for_another_attempt());
    let launch = move || {
        let launched = launch(&mut guard, *spec, logs);
        (guard, launched)
    };
    retry.starter.run(launch).await
}

/// Waits for a call of the sink, but no longer than this once the execution has been stopped.
async fn told_within(cx: &PhaseContext, limit: Duration, call: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = call => {}
        () = async {
            cx.active.ending_decided().await;
            time::sleep_until(Instant::now().checked_add(limit)).await;
        } => {}
    }
}

/// Keeps what the result says of an attempt that is over.
pub(super) fn note_attempt(cx: &mut PhaseContext, ending: Ending, outcome: AttemptOutcome) {
    let start = cx.attempt_start;
    let [stdout, stderr] = cx.publisher.journal.end_of_attempt(KEPT_OUTPUT);
    let stats = |(bytes, written): &(Bytes, u64)| StreamStats {
        seen_bytes: *written,
        kept_bytes: bytes.len() as u64,
    };
    cx.earlier_attempts.push(Attempt {
        number: cx.active.attempt(),
        ending,
        started_at: cx.active.time_of(start),
        duration: start.elapsed(),
        usage: outcome.reaped.map(|reaped| usage(&reaped.usage, outcome.tree_usage)),
        containment: outcome.containment,
        stdout_stats: stats(&stdout),
        stderr_stats: stats(&stderr),
        stdout: text(&stdout.0),
        stderr: text(&stderr.0),
    });
    if cx.earlier_attempts.len() > 2 * KEPT_ATTEMPTS {
        cx.earlier_attempts.remove(KEPT_ATTEMPTS);
    }
}
