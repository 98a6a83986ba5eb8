//! Logs and overflow files of executions.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::ExecutionEngine;
use crate::error::{ExecutionError, Result};
use crate::output::{ExecutionLogs, text};
use crate::store::ExecutionEntry;
use crate::types::OutputStream;

impl ExecutionEngine {
    /// Reads the log of an execution as far as it is written: the readable one of `log_dir`, else
    /// what went to `output_log_path`. Bytes that are not UTF-8 are shown as U+FFFD.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::NoLog`] if the request
    /// asked for none, [`ExecutionError::Log`] if it cannot be read, such as a FIFO or a device.
    ///
    /// # Cancel safety
    /// Reading changes nothing, so the future can be dropped at any point.
    pub async fn read_logs(&self, id: Uuid) -> Result<String> {
        let path = self.get_log_path(id).await?.ok_or(ExecutionError::NoLog(id))?;
        let file = path.clone();
        match self.core.shared.runtime.blocking(move || ExecutionLogs::read(&file)).await {
            Ok(bytes) => Ok(text(&bytes)),
            Err(error) => Err(ExecutionError::Log { path, source: error.into() }),
        }
    }

    /// Returns the path of the log of an execution; `None` if the request asked for none.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id.
    pub async fn get_log_path(&self, id: Uuid) -> Result<Option<PathBuf>> {
        let entry = self.entry(id)?;
        let raw_log = match &entry {
            ExecutionEntry::Active(active) => active.info().raw_log(),
            ExecutionEntry::Ended(record) => record.info().raw_log(),
        };
        let log_dir = self.core.config.log_dir.as_deref();
        let readable_log = log_dir.map(|dir| ExecutionLogs::own_path(dir, id));
        Ok(readable_log.or_else(|| raw_log.map(Path::to_path_buf)))
    }

    /// Takes an overflow file: moves it to `to`, which must not exist yet, and returns its length
    /// in bytes. The engine does not remove it any more.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::StillRunning`] for one
    /// that has not ended, [`ExecutionError::NoOverflow`] if there is no such file or it was taken,
    /// and [`ExecutionError::Overflow`] if it could not be moved; it is still there then.
    ///
    /// # Cancel safety
    /// Once polled, the file is moved even if the future is dropped.
    pub async fn take_overflow(
        &self,
        id: Uuid,
        stream: OutputStream,
        to: impl Into<PathBuf>,
    ) -> Result<u64> {
        let ExecutionEntry::Ended(record) = self.entry(id)? else {
            return Err(ExecutionError::StillRunning(id));
        };
        let path = to.into();
        let target = path.clone();
        let take = move || match record.captured(stream).overflow() {
            Some(file) => file.take(&target),
            None => Ok(None),
        };
        match self.core.shared.runtime.blocking(take).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(ExecutionError::NoOverflow { id, stream }),
            Err(error) => Err(ExecutionError::Overflow { path, source: error.into() }),
        }
    }
}
