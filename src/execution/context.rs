//! What executions share: those of one engine among each other, and one among its phases.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use execution_engine_process::Containment;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::active::ActiveExecution;
use super::run::boxed;
use super::state::StateInput;
use crate::admission::{ConcurrencyLimiter, QueuePolicy};
use crate::error::ExecutionError;
use crate::events::{Broadcaster, Publisher};
use crate::history::HistoryWriter;
use crate::output::{
    EventPayload, ExecutionLogs, ExecutionSink, LogTargets, OutputSink, OverflowDir,
};
use crate::runtime::EngineRuntime;
use crate::store::{ActivePlan, Record, Registry, RetentionPolicy};
use crate::types::{Attempt, ContainmentReceipt, Ending, HistoryEntry};

/// Pause between two looks at the descriptors while executions wait for some.
const DESCRIPTOR_INTERVAL: Duration = Duration::from_millis(200);

/// Most executions that write a log at a time although they ended in the queue.
pub(crate) const MAX_LATE_LOGS: usize = 64;

/// What the executions of one engine share.
pub(crate) struct ExecutionContext {
    pub(crate) registry: Arc<Registry<ActiveExecution>>,
    pub(crate) containment: Containment,
    pub(crate) runtime: EngineRuntime,
    /// Enforced whenever an execution ends; None leaves that to explicit calls.
    pub(crate) retention: Option<RetentionPolicy>,
    /// Notified when an execution has ended.
    pub(crate) ended: Notify,
    /// Subscriptions to all executions.
    pub(crate) broadcaster: Arc<Broadcaster>,
    /// Directory of the readable logs, if they are removed with their records. Locked while a log
    /// is opened or removed: once an execution is forgotten, the next one may have its id and its
    /// log.
    pub(crate) forgotten_logs: Option<Mutex<PathBuf>>,
    pub(crate) overflow_dir: Arc<OverflowDir>,
    /// Remembers what has ended; None without one.
    pub(crate) history: Option<HistoryWriter>,
    /// Gets all output; None without one.
    pub(crate) output_sink: Option<Arc<dyn OutputSink>>,
    /// Bounds how many executions that ended in the queue write a log at a time.
    pub(crate) late_logs: Semaphore,
}

/// One execution as its phases see it.
pub(crate) struct PhaseContext {
    pub(crate) active: Arc<ActiveExecution>,
    pub(super) engine: Arc<ExecutionContext>,
    pub(super) publisher: Publisher,
    /// What the history was told of it; None without one.
    pub(crate) history_entry: Option<Arc<HistoryEntry>>,
    /// Gets its output; None without one.
    pub(super) sink: Option<Arc<ExecutionSink>>,
    /// The plan of which it is a step.
    plan: Option<Arc<ActivePlan>>,
    /// Start of the current attempt, or of the last one.
    pub(super) attempt_start: Instant,
    pub(super) earlier_attempts: Vec<Attempt>,
}

impl ExecutionContext {
    /// Lets executions go on that have waited for descriptors, if there are some by now.
    pub(crate) fn refresh_permits(&self) {
        let permits = self.registry.permits();
        if permits.lacks_descriptors() {
            permits.refresh();
        }
        if permits.begin_watch() {
            self.runtime.spawn(watch_descriptors(Arc::clone(permits)));
        }
    }

    /// Opens the logs of an execution that is about to start, or that ended in the queue.
    pub(crate) fn open_logs(
        &self,
        targets: &LogTargets,
        active: &ActiveExecution,
        working_dir: Option<&Path>,
    ) -> Result<ExecutionLogs, ExecutionError> {
        let info = active.info();
        if targets.is_empty() {
            return Ok(ExecutionLogs::default());
        }
        let threads = self.runtime.file_threads();
        threads.start().map_err(ExecutionError::no_threads)?;
        let lock_removal = || self.forgotten_logs.as_ref().map(Mutex::lock);
        let mut logs = ExecutionLogs::open(targets, threads, info.id, lock_removal)?;
        // One that was stopped before is not started any more.
        let will_start = active.decision().is_none();
        let started_at = will_start.then(|| info.started_at(active.waited()));
        logs.header(info.id, &info.command, working_dir, started_at);
        Ok(logs)
    }

    /// Removes the logs of records that retention has evicted.
    pub(crate) fn forget(&self, records: &[Arc<Record>]) {
        let Some(dir) = &self.forgotten_logs else { return };
        for record in records {
            let dir = dir.lock();
            if self.registry.get(record.id()).is_some() {
                continue;
            }
            ExecutionLogs::remove(&dir, record.id());
        }
    }
}

/// Refreshes the permits until no execution waits for descriptors any more.
async fn watch_descriptors(permits: Arc<ConcurrencyLimiter>) {
    while !permits.end_watch() {
        descriptor_pause().await;
        permits.refresh();
    }
}

/// Waits until it is time to look at the descriptors again.
#[expect(clippy::disallowed_methods, reason = "no event tells that the host has closed a file")]
async fn descriptor_pause() {
    tokio::time::sleep(DESCRIPTOR_INTERVAL).await;
}

impl Drop for ExecutionContext {
    fn drop(&mut self) {
        self.broadcaster.close();
        // Subscriptions may hold records, and so files of this directory, for longer.
        self.overflow_dir.remove();
    }
}

/// Puts off the deadlines of an execution and its plan, until it is dropped.
struct Hold<'a>(&'a PhaseContext);

impl<'a> Hold<'a> {
    fn new(cx: &'a PhaseContext) -> Self {
        cx.active.deadline.hold();
        cx.plan.iter().for_each(|plan| plan.hold_deadline());
        Self(cx)
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let PhaseContext { active, plan, .. } = self.0;
        active.deadline.release();
        // The supervision waits for a deadline that may be nearer now.
        active.wake();
        plan.iter().for_each(|plan| plan.release_deadline());
    }
}

impl PhaseContext {
    pub(crate) fn new(
        active: Arc<ActiveExecution>,
        engine: Arc<ExecutionContext>,
        publisher: Publisher,
        plan: Option<Arc<ActivePlan>>,
    ) -> Self {
        let attempt_start = active.run_start();
        let sink = engine.output_sink.clone();
        let sink = sink.map(|sink| Arc::new(ExecutionSink::new(sink, active.info().id)));
        Self {
            active,
            engine,
            publisher,
            history_entry: None,
            sink,
            plan,
            attempt_start,
            earlier_attempts: Vec::new(),
        }
    }

    /// Keeps its output from the sink, which has had it from the engine that has started it.
    pub(crate) fn without_sink(self) -> Self {
        Self { sink: None, ..self }
    }

    /// Notes that the system has no descriptor for it: others wait in the queue.
    pub(crate) fn note_lack_of_descriptors(&self) {
        self.engine.registry.permits().doubt_descriptors();
    }

    /// Waits for a while after the system had no descriptor for it. Returns false if it is not to try
    /// again: no other program runs, it may not wait, or it has been stopped.
    pub(super) async fn may_try_descriptors_again(&self) -> bool {
        let policy = match self.plan {
            Some(_) => QueuePolicy::Unbounded,
            None => QueuePolicy::AsConfigured,
        };
        if !self.engine.registry.permits().may_wait_for_descriptors(policy) {
            return false;
        }
        tokio::select! {
            () = self.active.ending_decided() => false,
            () = descriptor_pause() => true,
        }
    }

    /// Starts the clock of an attempt. That of the first attempt has run since the permit was
    /// granted, so that its timeout includes opening the logs.
    pub(super) fn begin_attempt(&mut self) {
        let is_first = self.earlier_attempts.is_empty();
        self.attempt_start = if is_first { self.active.run_start() } else { Instant::now() };
        self.active.deadline.restart(self.attempt_start);
    }

    /// Waits until every handler can take more output, or is cut off. This time does not count
    /// against the timeout, up to the limit of the deadline.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn wait_for_room(&self) {
        if !self.publisher.has_room() {
            // Boxed, because it is rare and would make the future of every execution larger.
            boxed(async {
                let _hold = Hold::new(self);
                self.publisher.wait_for_room().await;
            })
            .await;
        }
    }

    /// Publishes that the program runs. An execution that was stopped meanwhile keeps its ending;
    /// the program is stopped as soon as it is supervised.
    pub(super) fn publish_started(&self, pid: u32) {
        let from = self.active.status();
        let _granted = self.active.apply(StateInput::Started);
        self.publisher.event(Utc::now(), EventPayload::Started { pid });
        let to = self.active.status();
        if from != to {
            self.publisher.event(Utc::now(), EventPayload::Status { from, to });
        }
    }

    /// Decides the ending unless it is decided. The first cause wins, so coming second is no
    /// failure.
    pub(super) fn decide(&self, ending: Ending) {
        let _first = self.active.apply(StateInput::Decide(ending));
    }

    /// Returns the receipt of an execution that has no process to stop.
    pub(super) fn nothing_to_stop(&self) -> ContainmentReceipt {
        ContainmentReceipt::nothing(self.engine.containment.level())
    }
}
