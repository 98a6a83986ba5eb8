//! The end of an execution: exactly once, in one order, whatever happens to its task.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use execution_engine_process::{Exit, Reaped, TreeUsage};

use super::classify::usage;
use super::context::PhaseContext;
use super::run::boxed;
use crate::admission::{Admitted, Permit};
use crate::history::{HistoryRoom, LiveOutput};
use crate::output::{EventPayload, ExecutionLogs, ExecutionSink};
use crate::store::{Outcome, Record};
use crate::types::{
    ContainmentReceipt, Ending, ExecutionOptions, ExecutionRequest, ExecutionResult, HistoryEntry,
};

/// How long a log or an overflow file may hold up an ending.
pub(super) const FILE_LIMIT: Duration = Duration::from_secs(5);

/// Guard that completes the execution exactly once. Dropped early, by a panic or with its runtime,
/// it completes it as [`Ending::EngineFailed`].
pub(crate) struct CompletionGuard {
    cx: PhaseContext,
    /// The permit, or the ticket while it is queued; None once it was given back.
    pub(super) admitted: Option<Admitted>,
    /// None if the history was not asked.
    history_room: Option<HistoryRoom>,
    is_completed: bool,
}

/// What came of an attempt, beside its ending.
pub(super) struct AttemptOutcome {
    pub(super) containment: ContainmentReceipt,
    pub(super) reaped: Option<Reaped>,
    pub(super) tree_usage: Option<TreeUsage>,
    pub(super) output_error: Option<String>,
    /// What the place has told where the execution ran; None if that is here.
    pub(super) elsewhere: Option<Box<ExecutionResult>>,
}

/// Completes the logs of an execution. This comes before its record: a waiter may read them.
pub(super) async fn complete_logs(
    cx: &PhaseContext,
    mut logs: ExecutionLogs,
    outcome: &mut AttemptOutcome,
) {
    if let Some(ending) = cx.active.decision() {
        if cx.active.attempts_made() == 0 {
            let waited = cx.active.waited().as_secs_f64();
            logs.note(&format!("waited    {waited:.3} s, never started"));
        }
        let seen = cx.publisher.journal.seen();
        logs.footer(&ending, cx.active.duration(), seen);
    }
    if let Some(error) = logs.finish(FILE_LIMIT).await {
        outcome.output_error = Some(error);
    }
}

impl CompletionGuard {
    /// Creates the guard of an execution that has this permit or ticket; one that runs elsewhere has
    /// none.
    pub(crate) fn new(cx: PhaseContext, admitted: Option<Admitted>) -> Self {
        Self { cx, admitted, history_room: None, is_completed: false }
    }

    /// Returns true if it waits for its permit.
    pub(crate) fn is_queued(&self) -> bool {
        self.admitted.as_ref().is_some_and(Admitted::is_queued)
    }

    /// Tells the history that the execution was accepted. Before its program is started, so that a
    /// host that dies meanwhile leaves a trace of it.
    pub(crate) fn tell_history(&mut self, request: &ExecutionRequest, options: &ExecutionOptions) {
        let Some(history) = &self.cx.engine.history else { return };
        let summary = self.cx.active.summary();
        let entry = Arc::new(HistoryEntry::accepted(summary, request, options));
        if let Some(live) = history.live_output(&entry) {
            let sink = LiveOutput::new(live, self.cx.engine.output_sink.clone());
            self.cx.sink = Some(Arc::new(ExecutionSink::new(Arc::new(sink), entry.id())));
        }
        history.accepted(Arc::clone(&entry));
        self.cx.history_entry = Some(entry);
    }

    /// Completes the execution, once the history has room for its ending.
    pub(super) async fn complete(mut self, outcome: AttemptOutcome) {
        if let Some(history) = &self.cx.engine.history {
            self.history_room = Some(boxed(history.room()).await);
        }
        self.complete_once(outcome);
    }

    /// Refuses the execution after all: nothing of it is left.
    pub(crate) fn refuse(mut self) {
        self.is_completed = true;
        let permit = self.take_permit();
        self.engine.registry.discard(self.active.info().id, permit);
        self.engine.refresh_permits();
        self.active.refused();
        if let (Some(history), Some(entry)) = (&self.engine.history, &self.history_entry) {
            history.refused(entry.id());
        }
    }

    /// Closes the execution without an ending: it goes on elsewhere, or is no longer known there.
    /// The history keeps what it was told.
    pub(crate) fn leave(mut self) {
        self.leave_now();
    }

    fn leave_now(&mut self) {
        self.is_completed = true;
        self.engine.registry.discard(self.active.info().id, None);
        self.active.refused();
        self.publisher.wake_readers();
    }

    /// Ends the execution for all of its observers in one moment, and wakes them after that: see
    /// "Order of an ending" in ARCHITECTURE.md.
    fn complete_once(&mut self, outcome: AttemptOutcome) {
        self.is_completed = true;
        let from = self.active.status();
        // Only if this guard was dropped early: otherwise the ending has been decided.
        let reason = "internal error: the supervisor task ended unexpectedly".to_string();
        self.decide(Ending::EngineFailed { reason });
        let Some(ending) = self.active.decision() else { return };
        self.active.inbox.close();
        let outcome = self.seal(ending, outcome);
        let info = self.active.info();
        let (at, to) = (outcome.completed_at(info), outcome.ending.status());
        let last = Box::new((outcome.terminal_event(info), outcome.containment.clone()));

        let record = Arc::new(Record::new(info.clone(), outcome));
        let permit = self.take_permit();
        let (entry, room) = (self.cx.history_entry.take(), self.history_room.take());
        let engine = &self.engine;
        let publish = || {
            // Only queued here. What is asked of the history from now on comes after it.
            if let Some(history) = &engine.history {
                history.ended(entry, Arc::clone(&record), room);
            }
            self.active.set_record(Arc::clone(&record));
            self.publisher.append(at, EventPayload::Status { from, to });
            self.publisher.append(at, EventPayload::Last(last));
        };
        let evicted =
            engine.registry.end(&record, permit, Instant::now(), engine.retention, publish);
        engine.refresh_permits();
        self.active.wake_waiters();
        self.publisher.wake_after_append();
        engine.ended.notify_one();
        // Last, because it may remove files.
        engine.forget(&evicted.executions);
    }

    fn take_permit(&mut self) -> Option<Permit> {
        self.admitted.take().and_then(Admitted::into_permit)
    }

    /// Makes the outcome that is remembered. The journal takes no more output from here on.
    fn seal(&mut self, ending: Ending, outcome: AttemptOutcome) -> Outcome {
        let AttemptOutcome { containment, reaped, tree_usage, output_error, elsewhere } = outcome;
        let not_taken = self.sink.as_ref().and_then(|sink| sink.error());
        let output_error = output_error.into_iter().chain(not_taken).reduce(|a, b| a + "; " + &b);
        let signal = reaped.as_ref().and_then(|reaped| match reaped.exit {
            Exit::Signaled { signal, .. } => Some(signal),
            _ => None,
        });
        let here = Outcome {
            ending,
            waited: self.active.waited(),
            duration: self.active.duration(),
            signal,
            usage: reaped.map(|reaped| usage(&reaped.usage, tree_usage)),
            published: self.publisher.journal.seal(),
            containment,
            output_error: output_error.map(String::into_boxed_str),
            lines_missed: self.publisher.missed(),
            attempts: self.active.attempts_made(),
            earlier: std::mem::take(&mut self.earlier_attempts).into_boxed_slice(),
            place: None,
            collected: None,
        };
        match elsewhere {
            Some(told) => here.ran_elsewhere(self.active.info(), *told),
            None => here,
        }
    }
}

impl Drop for CompletionGuard {
    fn drop(&mut self) {
        if self.is_completed {
            return;
        }
        if self.active.remote().is_some() {
            // Its ending is not decided here.
            self.leave_now();
        } else {
            // The program may run on: its `Child` kills the tree when it is dropped, unproven.
            let containment = ContainmentReceipt { proven: false, ..self.nothing_to_stop() };
            self.complete_once(AttemptOutcome::without_program(containment));
        }
    }
}

/// Like a lock's guard, it gives access to what it guards.
impl Deref for CompletionGuard {
    type Target = PhaseContext;

    fn deref(&self) -> &PhaseContext {
        &self.cx
    }
}

impl DerefMut for CompletionGuard {
    fn deref_mut(&mut self) -> &mut PhaseContext {
        &mut self.cx
    }
}

impl AttemptOutcome {
    pub(super) fn without_program(containment: ContainmentReceipt) -> Self {
        Self { containment, reaped: None, tree_usage: None, output_error: None, elsewhere: None }
    }
}
