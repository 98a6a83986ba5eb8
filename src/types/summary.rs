//! Summaries of executions: what is known of one without its output.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Ending, ExecutionMetadata, ExecutionStatus, StreamStats, millis};

/// What is known of an execution without its output, from
/// [`get_summary`](crate::ExecutionEngine::get_summary) and
/// [`list_executions`](crate::ExecutionEngine::list_executions). Of a running one it is a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExecutionSummary {
    /// The execution.
    pub id: Uuid,
    /// Current status.
    pub status: ExecutionStatus,
    /// The command as one would type it.
    pub command: String,
    /// Process id of the main program, in its last attempt; `None` if it was never started. Once the
    /// program has ended, another process may have the id.
    pub pid: Option<u32>,
    /// When it was started; the current time while it waits in the queue.
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` if it has not.
    pub completed_at: Option<DateTime<Utc>>,
    /// Time in the [queue](crate::Admission::Queue), up to now if it still waits; in JSON as
    /// `waited_ms`.
    #[serde(rename = "waited_ms", with = "millis")]
    pub waited: Duration,
    /// From its start to its end, or to now; in JSON as `duration_ms`.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// Number of attempts to run the program so far; 0 if none was begun.
    pub attempts: u32,
    /// Sizes of standard output, of the last attempt.
    pub stdout_stats: StreamStats,
    /// Sizes of standard error, of the last attempt.
    pub stderr_stats: StreamStats,
    /// `true` if the result does not have all of the output, like
    /// [`ExecutionResult::truncated`](crate::ExecutionResult::truncated).
    pub truncated: bool,
    /// Ending, if it has ended.
    pub ending: Option<Ending>,
    /// Notes of its request.
    pub metadata: ExecutionMetadata,
}
