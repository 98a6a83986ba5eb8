//! Where an execution or a plan stands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Status of an execution or a plan.
///
/// In JSON: `"pending"`, `"running"`, `"completed"`, `"failed"`, `"cancelled"`, `"timeout"`,
/// `"lost"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExecutionStatus {
    /// Accepted; the program has not been started yet.
    Pending,
    /// The program runs, is being stopped, or its remaining output is being read.
    Running,
    /// The program exited by itself with code 0.
    Completed,
    /// The program exited with another code or was killed by a signal, could not be started, or
    /// exceeded a limit.
    Failed,
    /// Stopped on request, or before it was started.
    Cancelled,
    /// Stopped by its timeout or by the deadline of its plan.
    Timeout,
    /// Its host or its worker died, so it is not known how the program ended
    /// ([`Ending::Lost`](crate::Ending::Lost), [`WorkerLost`](crate::Ending::WorkerLost),
    /// [`Unknown`](crate::Ending::Unknown)). A history, a service or a backend tells it; an engine
    /// never has it for what it runs itself.
    Lost,
}

impl ExecutionStatus {
    /// Returns `true` for the status of an execution that has ended. It never changes again.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
        })
    }
}
