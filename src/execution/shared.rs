//! What the executions of one engine share.

use std::path::PathBuf;
use std::sync::Arc;

use execution_engine_process::Containment;
use tokio::sync::Notify;

use super::live::Live;
use crate::notify::Hub;
use crate::output::{Logs, OverflowDir};
use crate::record::{Record, Registry, Retention};

/// What the executions of one engine share.
pub(crate) struct Shared {
    pub(crate) registry: Arc<Registry<Live>>,
    pub(crate) containment: Containment,
    /// Enforced whenever an execution ends; None leaves that to explicit calls.
    pub(crate) retention: Option<Retention>,
    /// Rung when an execution has ended.
    pub(crate) ended: Notify,
    /// Those who watch all executions.
    pub(crate) hub: Arc<Hub>,
    /// Where the readable logs are, if they go with their records.
    pub(crate) forgotten_logs: Option<PathBuf>,
    pub(crate) overflow_dir: Arc<OverflowDir>,
}

impl Shared {
    /// What goes with records that are remembered no more.
    pub(crate) fn forget(&self, records: &[Arc<Record>]) {
        let Some(dir) = &self.forgotten_logs else { return };
        for record in records {
            let log = Logs::own_path(dir, record.id());
            if let Err(error) = std::fs::remove_file(&log) {
                tracing::debug!(%error, log = %log.display(), "a log could not be removed");
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.hub.close();
        // Those who watch all executions may hold records for longer.
        self.overflow_dir.remove();
    }
}
