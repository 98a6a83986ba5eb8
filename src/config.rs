//! What an engine is told once, when it is made.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ValidationError;

/// The settings of an [`ExecutionEngine`](crate::ExecutionEngine).
///
/// The maximum of a number type means "unlimited". Settings beyond these ten are methods of
/// [`EngineBuilder`](crate::EngineBuilder), so that this literal stays complete for ever.
///
/// ```
/// use execution_engine::*;
///
/// let config = ExecutionConfig { max_concurrent_executions: 8, ..ExecutionConfig::default() };
/// assert_eq!(config.default_timeout_ms, 300_000);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutionConfig {
    /// Timeout in milliseconds for a request that names none. Default: 300 000 (5 minutes).
    pub default_timeout_ms: u64,
    /// The longest timeout in milliseconds that a request may ask for; more is refused.
    /// Default: 3 600 000 (1 hour).
    pub max_timeout_ms: u64,
    /// Whether [`Stdout`](crate::ExecutionEvent::Stdout) and
    /// [`Stderr`](crate::ExecutionEvent::Stderr) events are sent. Default: true.
    pub stream_output: bool,
    /// Directory for one readable log per execution; made if it is missing. A relative path starts at the
    /// directory that this process has when the engine is made. Default: none.
    pub log_dir: Option<PathBuf>,
    /// How many executions may be alive at a time; one more is refused. Default: 100.
    pub max_concurrent_executions: usize,
    /// How many ended executions are remembered; the oldest are forgotten first. Default: 1 000.
    pub max_in_memory_executions: usize,
    /// For how many seconds an ended execution is remembered. Default: 3 600 (1 hour).
    pub execution_retention_secs: u64,
    /// Whether retention is enforced by itself: whenever an execution ends, and by the task that
    /// [`start_cleanup_task`](crate::ExecutionEngine::start_cleanup_task) starts. When false, only
    /// explicit calls remove anything. Default: true.
    pub enable_auto_cleanup: bool,
    /// How many bytes of each stream are kept in memory. Default: 10 485 760 (10 MiB).
    pub max_output_size_bytes: usize,
    /// What happens to output beyond that. Default: `TruncateWithWarning`.
    pub oversized_output_strategy: OversizedOutputStrategy,
}

/// What happens when a stream exceeds
/// [`max_output_size_bytes`](ExecutionConfig::max_output_size_bytes).
///
/// Event handlers and logs see all output, whatever is chosen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OversizedOutputStrategy {
    /// Keep the first bytes and end the text with one line that says how much is missing. The
    /// program runs on to its own exit code.
    #[default]
    TruncateWithWarning,
    /// Stop the process tree; the ending is the output limit.
    FailExecution,
    /// Keep the first bytes in memory and write the rest to a file, named by the result. Memory
    /// part and file together are the whole stream.
    StreamToFile,
}

/// What becomes of the logs in [`log_dir`](ExecutionConfig::log_dir) when their executions are
/// forgotten: see [`EngineBuilder::log_retention`](crate::EngineBuilder::log_retention).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogRetention {
    /// They stay.
    #[default]
    Keep,
    /// They are removed when retention or
    /// [`remove_execution`](crate::ExecutionEngine::remove_execution) forgets the execution. When the
    /// engine ends they stay.
    WithRecord,
}

impl Default for ExecutionConfig {
    fn default() -> Self {
        Self {
            default_timeout_ms: 300_000,
            max_timeout_ms: 3_600_000,
            stream_output: true,
            log_dir: None,
            max_concurrent_executions: 100,
            max_in_memory_executions: 1000,
            execution_retention_secs: 3600,
            enable_auto_cleanup: true,
            max_output_size_bytes: 10 * 1024 * 1024,
            oversized_output_strategy: OversizedOutputStrategy::TruncateWithWarning,
        }
    }
}

impl ExecutionConfig {
    /// Checks that the values make sense together.
    ///
    /// # Errors
    /// [`ValidationError::InvalidConfig`] names the first field that does not, and the fix.
    pub fn validate(&self) -> Result<(), ValidationError> {
        let invalid = |field, reason: &str| {
            Err(ValidationError::InvalidConfig { field, reason: reason.to_string() })
        };
        if self.default_timeout_ms == 0 {
            return invalid("default_timeout_ms", "must be at least 1 ms");
        }
        if self.max_timeout_ms == 0 {
            return invalid("max_timeout_ms", "must be at least 1 ms");
        }
        if self.default_timeout_ms > self.max_timeout_ms {
            let reason = format!(
                "{} ms is above max_timeout_ms ({} ms); lower it or raise the maximum",
                self.default_timeout_ms, self.max_timeout_ms
            );
            return Err(ValidationError::InvalidConfig { field: "default_timeout_ms", reason });
        }
        if self.max_concurrent_executions == 0 {
            return invalid(
                "max_concurrent_executions",
                "must be at least 1, or nothing ever runs",
            );
        }
        if self.max_in_memory_executions == 0 {
            return invalid("max_in_memory_executions", "must be at least 1, or no result is kept");
        }
        if self.execution_retention_secs == 0 {
            return invalid("execution_retention_secs", "must be at least 1 s");
        }
        if self.max_output_size_bytes == 0 {
            return invalid("max_output_size_bytes", "must be at least 1 byte");
        }
        if self.log_dir.as_deref().is_some_and(|dir| dir.as_os_str().is_empty()) {
            return invalid("log_dir", "is empty; name a directory or use None");
        }
        Ok(())
    }

    pub(crate) fn retention(&self) -> Duration {
        Duration::from_secs(self.execution_retention_secs)
    }
}
