//! What executions share: those of one engine among each other, and one among its phases.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::Utc;
use execution_engine_process::Containment;
use tokio::sync::{Notify, Semaphore};

use super::active::ActiveExecution;
use super::state::StateInput;
use crate::error::ExecutionError;
use crate::events::{Broadcaster, Publisher};
use crate::output::{EventPayload, ExecutionLogs, LogTargets, OverflowDir};
use crate::runtime::EngineRuntime;
use crate::store::{Record, Registry, RetentionPolicy};
use crate::types::{Attempt, ContainmentReceipt, Ending};

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
    /// Bounds how many executions that ended in the queue write a log at a time.
    pub(crate) late_logs: Semaphore,
}

/// One execution as its phases see it.
pub(crate) struct PhaseContext {
    pub(crate) active: Arc<ActiveExecution>,
    pub(super) engine: Arc<ExecutionContext>,
    pub(super) publisher: Publisher,
    /// Start of the current attempt, or of the last one.
    pub(super) attempt_start: Instant,
    pub(super) earlier_attempts: Vec<Attempt>,
}

impl ExecutionContext {
    /// Opens the logs of an execution that is about to start, or that ended in the queue.
    pub(crate) fn open_logs(
        &self,
        targets: &LogTargets,
        active: &ActiveExecution,
        working_dir: Option<&Path>,
    ) -> Result<ExecutionLogs, ExecutionError> {
        let info = active.info();
        let lock_removal = || {
            let dir = self.forgotten_logs.as_ref();
            dir.map(|dir| dir.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let mut logs = ExecutionLogs::open(targets, info.id, lock_removal)?;
        logs.header(info.id, &info.command, working_dir, info.started_at(active.waited()));
        Ok(logs)
    }

    /// Removes the logs of records that retention has evicted.
    pub(crate) fn forget(&self, records: &[Arc<Record>]) {
        let Some(dir) = &self.forgotten_logs else { return };
        for record in records {
            let dir = dir.lock().unwrap_or_else(PoisonError::into_inner);
            if self.registry.get(record.id()).is_some() {
                continue;
            }
            let log = ExecutionLogs::own_path(&dir, record.id());
            if let Err(error) = std::fs::remove_file(&log) {
                tracing::debug!(%error, log = %log.display(), "a log could not be removed");
            }
        }
    }
}

impl Drop for ExecutionContext {
    fn drop(&mut self) {
        self.broadcaster.close();
        // Subscriptions may hold records, and so files of this directory, for longer.
        self.overflow_dir.remove();
    }
}

impl PhaseContext {
    pub(crate) fn new(
        active: Arc<ActiveExecution>,
        engine: Arc<ExecutionContext>,
        publisher: Publisher,
    ) -> Self {
        let attempt_start = active.run_start();
        Self { active, engine, publisher, attempt_start, earlier_attempts: Vec::new() }
    }

    /// Starts the clock of an attempt. That of the first attempt has run since the permit was
    /// granted, so that its timeout includes opening the logs.
    pub(super) fn begin_attempt(&mut self) {
        let is_first = self.earlier_attempts.is_empty();
        self.attempt_start = if is_first { self.active.run_start() } else { Instant::now() };
    }

    /// Publishes that the program runs. An execution that was stopped before keeps its ending; the
    /// program is stopped as soon as it is supervised.
    pub(super) fn publish_started(&self, pid: u32) {
        let from = self.active.status();
        if self.active.apply(StateInput::Started).is_err() {
            return;
        }
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
