//! Logs of executions.

use std::path::PathBuf;

use uuid::Uuid;

use super::{ExecutionEngine, wait};
use crate::error::Result;
use crate::types::LogTail;

/// Logs.
impl ExecutionEngine {
    /// Reads the log of an execution, like [`crate::ExecutionEngine::read_logs`].
    ///
    /// # Errors
    /// As there.
    pub fn read_logs(&self, id: Uuid) -> Result<String> {
        wait(self.engine().read_logs(id))
    }

    /// Reads the end of the log of an execution, like [`crate::ExecutionEngine::read_logs_tail`].
    ///
    /// # Errors
    /// As there.
    pub fn read_logs_tail(&self, id: Uuid, tail: LogTail) -> Result<String> {
        wait(self.engine().read_logs_tail(id, tail))
    }

    /// Returns the path of the log of an execution, like [`crate::ExecutionEngine::get_log_path`].
    ///
    /// # Errors
    /// As there.
    pub fn get_log_path(&self, id: Uuid) -> Result<Option<PathBuf>> {
        self.told(self.engine().get_log_path(id))
    }
}
