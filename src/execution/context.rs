//! What the executions of one engine share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use execution_engine_process::Containment;
use tokio::sync::{Notify, Semaphore};

use super::active::ActiveExecution;
use crate::error::ExecutionError;
use crate::events::Broadcaster;
use crate::output::{ExecutionLogs, LogHeader, LogTargets, OverflowDir};
use crate::store::{Record, Registry, RetentionPolicy};

/// How many of those that never had their turn have logs open at a time.
pub(crate) const MAX_LATE_LOGS: usize = 64;

/// What the executions of one engine share.
pub(crate) struct ExecutionContext {
    pub(crate) registry: Arc<Registry<ActiveExecution>>,
    pub(crate) containment: Containment,
    /// Enforced whenever an execution ends; None leaves that to explicit calls.
    pub(crate) retention: Option<RetentionPolicy>,
    /// Rung when an execution has ended.
    pub(crate) ended: Notify,
    /// Those who watch all executions.
    pub(crate) hub: Arc<Broadcaster>,
    /// Where the readable logs are, if they go with their records. Locked while one is opened or
    /// removed: when an execution is forgotten, the next one may have its id, and its log.
    pub(crate) forgotten_logs: Option<Mutex<PathBuf>>,
    pub(crate) overflow_dir: Arc<OverflowDir>,
    /// Lets a few at a time write the log of an execution that never had its turn.
    pub(crate) late_logs: Semaphore,
}

impl ExecutionContext {
    /// Opens the logs of an execution that is about to start, or will never.
    pub(crate) fn open_logs(
        &self,
        plan: &LogTargets,
        live: &ActiveExecution,
        working_dir: Option<&Path>,
    ) -> Result<ExecutionLogs, ExecutionError> {
        let profile = live.profile();
        let none_is_removed = || {
            let dir = self.forgotten_logs.as_ref();
            dir.map(|dir| dir.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let mut logs = ExecutionLogs::open(plan, profile.id, none_is_removed)?;
        logs.header(&LogHeader {
            id: profile.id,
            command: &profile.command,
            working_dir,
            started_at: profile.started_at(live.waited()),
        });
        Ok(logs)
    }

    /// What goes with records that are remembered no more.
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
        self.hub.close();
        // Those who watch all executions may hold records for longer.
        self.overflow_dir.remove();
    }
}
