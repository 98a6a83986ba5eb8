//! The duty to end an execution exactly once, in the right order, whatever happens to its supervisor.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use execution_engine_process::{Containment, Exit, Reaped, TreeUsage as Counted};

use super::active::ActiveExecution;
use super::classify::usage;
use super::context::ExecutionContext;
use super::state::StateInput;
use crate::admission::Admitted;
use crate::error::ExecutionError;
use crate::events::Publisher;
use crate::output::{ExecutionLogs, Journal, LogTargets};
use crate::store::{Outcome, Record};
use crate::types::{Attempt, ContainmentReceipt, Ending, ExecutionEvent};

/// How long completing a log may hold up an ending.
pub(super) const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// The duty to end an execution exactly once. Dropped undone, by a panic or with its runtime, it
/// still ends it.
pub(crate) struct CompletionGuard {
    live: Arc<ActiveExecution>,
    shared: Arc<ExecutionContext>,
    publisher: Publisher,
    /// Its place or its permit; none once it has given that back.
    admitted: Option<Admitted>,
    is_done: bool,
    /// Since when the attempt has been going on; None between attempts.
    attempt_begun: Option<Instant>,
    /// The attempts before.
    earlier: Vec<Attempt>,
}

/// What there is to tell of an execution beside its ending.
pub(super) struct AttemptOutcome {
    pub(super) containment: ContainmentReceipt,
    pub(super) reaped: Option<Reaped>,
    pub(super) counted: Option<Counted>,
    pub(super) output_error: Option<String>,
}

impl CompletionGuard {
    pub(crate) fn new(
        live: Arc<ActiveExecution>,
        shared: Arc<ExecutionContext>,
        publisher: Publisher,
        admitted: Admitted,
    ) -> Self {
        let admitted = Some(admitted);
        Self {
            live,
            shared,
            publisher,
            admitted,
            is_done: false,
            attempt_begun: None,
            earlier: Vec::new(),
        }
    }

    pub(super) fn live(&self) -> &ActiveExecution {
        &self.live
    }

    pub(super) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(super) fn containment(&self) -> &Containment {
        &self.shared.containment
    }

    pub(super) fn open_logs(
        &self,
        plan: &LogTargets,
        working_dir: Option<&Path>,
    ) -> Result<ExecutionLogs, ExecutionError> {
        self.shared.open_logs(plan, &self.live, working_dir)
    }

    /// From now on its time runs; that of the first attempt since it has its permit.
    pub(super) fn begin_attempt(&mut self) {
        let is_first = self.earlier.is_empty();
        self.attempt_begun = Some(if is_first { self.live.begun() } else { Instant::now() });
    }

    pub(super) fn attempt_begun(&self) -> Instant {
        self.attempt_begun.unwrap_or_else(|| self.live.begun())
    }

    pub(super) fn journal(&self) -> &Journal {
        self.publisher.journal()
    }

    pub(super) fn tell(&self, event: ExecutionEvent) {
        self.publisher.event(Utc::now(), event);
    }

    /// Keeps what is to be told of an attempt that is over.
    pub(super) fn note_attempt(&mut self, ending: Ending, outcome: AttemptOutcome) {
        let begun = self.attempt_begun();
        self.attempt_begun = None;
        self.earlier.push(Attempt {
            number: self.live.attempt(),
            ending,
            started_at: self.live.time_of(begun),
            duration: begun.elapsed(),
            usage: outcome.reaped.map(|reaped| usage(&reaped.usage, outcome.counted)),
            containment: outcome.containment,
        });
    }

    /// Waits for the permit. False if the execution was stopped before; its place is somebody else's then.
    /// Cancel safe.
    pub(super) async fn admitted(&mut self) -> bool {
        let Some(Admitted::Ticket(ticket)) = &mut self.admitted else { return true };
        let permit = tokio::select! {
            biased;
            () = self.live.stopped() => None,
            permit = ticket.permit() => Some(permit),
        };
        self.admitted = permit.map(Admitted::Permit);
        if self.admitted.is_none() {
            return false;
        }
        self.live.begin();
        true
    }

    /// Tells that the program runs. If the execution was stopped before, its ending stands and the
    /// program is stopped as soon as it is attended.
    pub(super) fn started(&self, pid: u32) {
        let from = self.live.status();
        if self.live.apply(StateInput::Started).is_err() {
            return;
        }
        self.publisher.started(pid);
        let to = self.live.status();
        if from != to {
            self.publisher.status(Utc::now(), from, to);
        }
    }

    /// Decides the ending unless it is decided.
    pub(super) fn decide(&self, ending: Ending) {
        // The first cause wins, so coming second is no failure.
        let _first = self.live.apply(StateInput::Decide(ending));
    }

    /// Completes the logs, and ends.
    pub(super) async fn complete_and_end(self, mut logs: ExecutionLogs, outcome: AttemptOutcome) {
        if let Some(ending) = self.live.decision() {
            let seen = self.publisher.journal().seen();
            logs.footer(&ending, self.live.begun().elapsed(), seen);
        }
        let error = logs.finish(LOG_PATIENCE).await;
        let output_error = error.or(outcome.output_error);
        self.end(AttemptOutcome { output_error, ..outcome });
    }

    /// Ends one that never had its turn, with a log that says so.
    pub(super) async fn end_in_queue(self, logs: &LogTargets, working_dir: Option<&Path>) {
        let shared = Arc::clone(&self.shared);
        // A whole queue may be stopped at once.
        let _turn = shared.late_logs.acquire().await;
        let (logs, output_error) = match self.open_logs(logs, working_dir) {
            Ok(logs) => (logs, None),
            Err(error) => (ExecutionLogs::default(), Some(error.to_string())),
        };
        let outcome = AttemptOutcome { output_error, ..self.no_outcome() };
        self.complete_and_end(logs, outcome).await;
    }

    pub(super) fn no_outcome(&self) -> AttemptOutcome {
        AttemptOutcome::without_program(self.nothing_to_stop())
    }

    pub(super) fn nothing_to_stop(&self) -> ContainmentReceipt {
        ContainmentReceipt::nothing(self.shared.containment.level())
    }

    /// In this order: record stored, permit back, waiters awake, terminal event out.
    pub(super) fn end(mut self, outcome: AttemptOutcome) {
        self.fulfil(outcome);
    }

    pub(super) fn end_without_program(self) {
        let nothing = self.no_outcome();
        self.end(nothing);
    }

    fn fulfil(&mut self, outcome: AttemptOutcome) {
        self.is_done = true;
        let from = self.live.status();
        self.decide(Ending::EngineFailed { reason: "its supervisor was lost".to_string() });
        let Some(ending) = self.live.decision() else { return };
        let AttemptOutcome { containment, reaped, counted, output_error } = outcome;
        let signal = reaped.as_ref().and_then(|reaped| match reaped.exit {
            Exit::Signaled { signal, .. } => Some(signal),
            _ => None,
        });
        let facts = Outcome {
            ending,
            waited: self.live.waited(),
            duration: self.live.begun().elapsed(),
            signal,
            usage: reaped.map(|reaped| usage(&reaped.usage, counted)),
            published: self.publisher.journal().seal(),
            containment,
            output_error: output_error.map(String::into_boxed_str),
            lines_missed: self.publisher.missed(),
            earlier: std::mem::take(&mut self.earlier).into_boxed_slice(),
        };
        let profile = self.live.profile();
        let (at, to) = (facts.completed_at(profile), facts.ending.status());
        let (last, receipt) = (facts.terminal_event(profile), facts.containment.clone());
        let record = Arc::new(Record::new(profile.clone(), facts));
        let evicted = self.shared.registry.end(&record, Instant::now(), self.shared.retention);
        drop(self.admitted.take());
        self.live.end(Some(record));
        // Not before: whoever sees an ending may ask for what came of it.
        let _closed = self.live.apply(StateInput::Closed);
        self.publisher.status(at, from, to);
        self.publisher.last(at, last, receipt);
        self.shared.ended.notify_one();
        // Last, because there may be files to remove.
        self.shared.forget(&evicted.executions);
    }
}

impl Drop for CompletionGuard {
    fn drop(&mut self) {
        if !self.is_done {
            let containment = ContainmentReceipt { proven: false, ..self.nothing_to_stop() };
            self.fulfil(AttemptOutcome::without_program(containment));
        }
    }
}

impl AttemptOutcome {
    pub(super) fn without_program(containment: ContainmentReceipt) -> Self {
        Self { containment, reaped: None, counted: None, output_error: None }
    }
}
