//! Conversion of endings to errors. It lives here and not beside [`Ending`], so that the data types
//! do not depend on the errors.

use super::{ExecutionError, Result};
use crate::types::{Ending, ExecutionResult};

impl Ending {
    /// Returns the ending as an error, or None for a success.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// assert_eq!(Ending::Exited { code: 0 }.error(), None);
    /// assert_eq!(Ending::Exited { code: 3 }.error(), Some(ExecutionError::ExitCode(3)));
    /// ```
    pub fn error(&self) -> Option<ExecutionError> {
        Some(match self.clone() {
            Self::Exited { code: 0 } => return None,
            Self::Exited { code } => ExecutionError::ExitCode(code),
            Self::Signaled { signal, .. } => ExecutionError::Signaled(signal),
            Self::TimedOut { timeout_ms } => ExecutionError::TimedOut(timeout_ms),
            Self::IdleTimedOut { idle_timeout_ms } => ExecutionError::IdleTimedOut(idle_timeout_ms),
            Self::PlanDeadline { deadline_ms } => ExecutionError::TimedOut(deadline_ms),
            Self::NotRun { reason } => ExecutionError::NotRun(reason),
            Self::Cancelled => ExecutionError::Cancelled,
            Self::OutputLimit { limit, .. } => ExecutionError::OutputSizeExceeded(limit),
            Self::OutputLost { stream, reason } => ExecutionError::OutputLost { stream, reason },
            Self::SpawnFailed { reason, os_error } => {
                ExecutionError::SpawnFailed { reason, os_error }
            }
            Self::ResourceLimit { limit } => ExecutionError::ResourceLimit(limit),
            Self::StatusUnknown => ExecutionError::StatusUnknown,
            Self::EngineClosed => ExecutionError::ShuttingDown,
            Self::EngineFailed { reason } => ExecutionError::Engine(reason),
            Self::Lost { reason } => ExecutionError::Lost { reason },
            Self::WorkerLost { worker, attempts } => {
                ExecutionError::WorkerLost { worker, attempts }
            }
            Self::Unknown { reason } => ExecutionError::EndingUnknown { reason },
        })
    }
}

impl ExecutionResult {
    /// Returns the result itself for a success, else its ending as an error, for use with `?`.
    ///
    /// # Errors
    /// The [`ExecutionError`] that [`Ending::error`] returns.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let bad = engine.run(ExecutionRequest::shell("exit 3")).await?.into_result();
    /// assert_eq!(bad, Err(ExecutionError::ExitCode(3)));
    /// # Ok(()) }
    /// ```
    pub fn into_result(self) -> Result<Self> {
        self.ending.error().map_or(Ok(self), Err)
    }
}
