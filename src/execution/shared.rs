//! What the executions of one engine share.

use std::sync::Arc;

use execution_engine_process::Containment;
use tokio::sync::Notify;

use super::live::Live;
use crate::config::LogRetention;
use crate::notify::Hub;
use crate::output::OverflowDir;
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
    pub(crate) logs: LogRetention,
    pub(crate) overflow_dir: Arc<OverflowDir>,
}

impl Shared {
    /// What goes with records that are remembered no more.
    pub(crate) fn forget(&self, records: &[Arc<Record>]) {
        if self.logs == LogRetention::Keep {
            return;
        }
        let logs = records.iter().filter_map(|record| record.profile.own_log.as_deref());
        for log in logs {
            if let Err(error) = std::fs::remove_file(log) {
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
