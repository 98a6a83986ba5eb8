//! Logs of executions.

use std::path::PathBuf;

use execution_engine_process::files::LogAccess;
use uuid::Uuid;

use super::ExecutionEngine;
use crate::error::{ExecutionError, Result};
use crate::output::{ExecutionLogs, WrittenLog, log_error, text};
use crate::store::ExecutionEntry;
use crate::types::LogTail;

impl ExecutionEngine {
    /// Reads the log of an execution as far as it is written: the readable one of `log_dir`, else
    /// what went to `output_log_path`, without what the file had before. Bytes that are not UTF-8 are shown as U+FFFD. Of a log that is
    /// [rotated](crate::EngineBuilder::log_rotation) it reads all files that are kept.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::NoLog`] if the request
    /// asked for none, [`ExecutionError::Log`] if it cannot be read, such as a FIFO or a device.
    ///
    /// # Cancel safety
    /// Reading changes nothing, so the future can be dropped at any point.
    pub async fn read_logs(&self, id: Uuid) -> Result<String> {
        self.read_log(id, None).await
    }

    /// Reads the end of the log of an execution, like [`read_logs`](Self::read_logs), but not the
    /// whole of it.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("tail-{}", Uuid::new_v4()));
    /// let config = ExecutionConfig { log_dir: Some(dir.clone()), ..Default::default() };
    /// let engine = ExecutionEngine::new(config)?;
    /// let id = engine.run(ExecutionRequest::shell("seq 1 1000")).await?.id;
    /// // The last line of output, and four lines about the ending.
    /// let end = engine.read_logs_tail(id, LogTail::Lines(5)).await?;
    /// assert!(end.lines().next().unwrap().ends_with(" out | 1000"));
    /// # std::fs::remove_dir_all(dir).unwrap();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`read_logs`](Self::read_logs).
    ///
    /// # Cancel safety
    /// Like [`read_logs`](Self::read_logs).
    pub async fn read_logs_tail(&self, id: Uuid, tail: LogTail) -> Result<String> {
        self.read_log(id, Some(tail)).await
    }

    async fn read_log(&self, id: Uuid, tail: Option<LogTail>) -> Result<String> {
        let log = self.log(id).await?.ok_or(ExecutionError::NoLog(id))?;
        let (path, access) = (log.path.clone(), log.access);
        let read = move || ExecutionLogs::read(&log, tail);
        match self.core.shared.runtime.blocking(read).await {
            Ok(bytes) => Ok(text(&bytes)),
            Err(error) => {
                Err(ExecutionError::Log { source: log_error(&path, access, &error), path })
            }
        }
    }

    /// Returns the path of the log of an execution; `None` if the request asked for none.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id.
    pub async fn get_log_path(&self, id: Uuid) -> Result<Option<PathBuf>> {
        Ok(self.log(id).await?.map(|log| log.path))
    }

    async fn log(&self, id: Uuid) -> Result<Option<WrittenLog>> {
        let entry = self.entry(id).await?;
        if let Some(dir) = &self.core.config.log_dir {
            return Ok(Some(WrittenLog {
                path: ExecutionLogs::own_path(dir, id),
                access: LogAccess::Private,
                begin: 0,
                is_rotated: self.core.settings.log_rotation.is_some(),
            }));
        }
        let raw_log = match &entry {
            ExecutionEntry::Active(active) => active.info().raw_log(),
            ExecutionEntry::Ended(record) => record.info().raw_log(),
        };
        Ok(raw_log.map(|log| WrittenLog {
            path: log.path.clone(),
            access: LogAccess::named_by_user(log.links),
            begin: log.begin(),
            is_rotated: false,
        }))
    }
}
