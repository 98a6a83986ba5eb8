//! Engine configuration: the ten fields of the guide, their defaults and their checks.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ValidationError;

/// Configuration of an [`ExecutionEngine`](crate::ExecutionEngine).
///
/// The maximum of a number type means "unlimited". Further settings are methods of
/// [`EngineBuilder`](crate::EngineBuilder), so that a literal of these ten fields always compiles.
/// In JSON every field may be left out.
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
    /// Timeout in milliseconds of a request that sets none. Default: 300 000 (5 minutes).
    pub default_timeout_ms: u64,
    /// Longest timeout in milliseconds that a request may set; a longer one is refused.
    /// Default: 3 600 000 (1 hour).
    pub max_timeout_ms: u64,
    /// Whether [`Stdout`](crate::ExecutionEvent::Stdout) and
    /// [`Stderr`](crate::ExecutionEvent::Stderr) events are delivered. Default: true.
    pub stream_output: bool,
    /// Directory for one readable log per execution; created if it is missing. A relative path
    /// starts at the directory that is current when the engine is built. Default: none.
    pub log_dir: Option<PathBuf>,
    /// Maximum number of executions at a time; what happens to one more is up to the
    /// [admission](crate::EngineBuilder::admission). Default: 100.
    pub max_concurrent_executions: usize,
    /// Maximum number of ended executions in memory; the oldest are removed first. Default: 1 000.
    pub max_in_memory_executions: usize,
    /// Seconds for which an ended execution stays in memory. Default: 3 600 (1 hour).
    pub execution_retention_secs: u64,
    /// Whether retention is enforced automatically: when an execution ends, and by the task that
    /// [`start_cleanup_task`](crate::ExecutionEngine::start_cleanup_task) starts. If `false`, only
    /// explicit calls remove anything. Default: true.
    pub enable_auto_cleanup: bool,
    /// Number of bytes of each stream that are kept in memory. Default: 10 485 760 (10 MiB).
    pub max_output_size_bytes: usize,
    /// What happens to output above that limit. Default: `TruncateWithWarning`.
    pub oversized_output_strategy: OversizedOutputStrategy,
}

/// What happens when a stream exceeds
/// [`max_output_size_bytes`](ExecutionConfig::max_output_size_bytes).
///
/// Event handlers and logs receive all output, whatever is chosen here.
///
/// In JSON: `"truncate_with_warning"`, `"fail_execution"`, `"stream_to_file"`,
/// `"keep_head_and_tail"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OversizedOutputStrategy {
    /// Keep the first bytes and end the text with one line that says how much is missing. The
    /// program continues to its own exit code.
    #[default]
    TruncateWithWarning,
    /// Stop the process tree; the ending is the output limit.
    FailExecution,
    /// Keep the first bytes in memory and write the rest to a file, named by the result. Memory
    /// part and file together are the whole stream.
    StreamToFile,
    /// Keep the first half of the limit and the last, with a line between them that says how many
    /// bytes are missing. A [subscription](crate::ExecutionEngine::subscribe) that starts after the
    /// end receives the first half.
    KeepHeadAndTail,
}

/// What happens to the logs in [`log_dir`](ExecutionConfig::log_dir) when their executions are
/// removed from memory, for [`EngineBuilder::log_retention`](crate::EngineBuilder::log_retention).
///
/// In JSON: `"keep"`, `"with_record"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogRetention {
    /// The logs stay.
    #[default]
    Keep,
    /// The logs are removed when retention or
    /// [`remove_execution`](crate::ExecutionEngine::remove_execution) removes the execution. They
    /// stay when the engine is dropped.
    WithRecord,
}

/// When a log in [`log_dir`](ExecutionConfig::log_dir) is continued in a new file, for
/// [`EngineBuilder::log_rotation`](crate::EngineBuilder::log_rotation).
///
/// In JSON: `{"max_bytes":10485760,"kept_files":3}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRotation {
    /// Most bytes of one file. Only a line that is longer by itself makes one larger.
    pub max_bytes: u64,
    /// Number of older files that are kept beside the current one: `ID.log.1` is the newest of them.
    pub kept_files: u32,
}

/// Clock of timeouts and of the deadlines of plans, for
/// [`EngineBuilder::timeout_clock`](crate::EngineBuilder::timeout_clock).
///
/// In JSON: `"monotonic"`, `"boottime"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeoutClock {
    /// The clock stands still while the system sleeps: a program has all of its time when a laptop
    /// wakes up.
    #[default]
    Monotonic,
    /// The clock goes on while the system sleeps: what is due then is stopped when it wakes up.
    /// Only Linux has it. It takes one more descriptor for each running execution that has a
    /// timeout. Where no descriptor is left, that timeout runs on the other clock.
    Boottime,
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
    /// Checks that the values are consistent.
    ///
    /// # Errors
    /// [`ValidationError::InvalidConfig`] names the first field that is not, and the fix.
    pub fn validate(&self) -> Result<(), ValidationError> {
        let invalid = |field, reason: String| Err(ValidationError::InvalidConfig { field, reason });
        let minimums = [
            ("default_timeout_ms", self.default_timeout_ms == 0, "1 ms"),
            ("max_timeout_ms", self.max_timeout_ms == 0, "1 ms"),
            (
                "max_concurrent_executions",
                self.max_concurrent_executions == 0,
                "1, or nothing ever runs",
            ),
            (
                "max_in_memory_executions",
                self.max_in_memory_executions == 0,
                "1, or no result is kept",
            ),
            ("execution_retention_secs", self.execution_retention_secs == 0, "1 s"),
            ("max_output_size_bytes", self.max_output_size_bytes == 0, "1 byte"),
        ];
        if let Some((field, _, least)) = minimums.into_iter().find(|(_, is_zero, _)| *is_zero) {
            return invalid(field, format!("must be at least {least}"));
        }
        if self.default_timeout_ms > self.max_timeout_ms {
            let reason = format!(
                "is {} ms, above max_timeout_ms ({} ms); lower it or raise the maximum",
                self.default_timeout_ms, self.max_timeout_ms
            );
            return invalid("default_timeout_ms", reason);
        }
        if self.log_dir.as_deref().is_some_and(|dir| dir.as_os_str().is_empty()) {
            return invalid("log_dir", "is empty; name a directory or use None".to_string());
        }
        Ok(())
    }

    /// Returns the age above which ended executions are removed.
    pub(crate) fn retention(&self) -> Duration {
        Duration::from_secs(self.execution_retention_secs)
    }
}
