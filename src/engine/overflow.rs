//! Overflow files of executions.

use std::path::PathBuf;

use uuid::Uuid;

use super::ExecutionEngine;
use crate::error::{ExecutionError, Result};
use crate::store::ExecutionEntry;
use crate::types::OutputStream;

impl ExecutionEngine {
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
        let ExecutionEntry::Ended(record) = self.entry(id).await? else {
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
