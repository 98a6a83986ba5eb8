use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    /// Accepted, its program not started yet.
    Pending,
    /// Its program runs, or its output is being collected, or it is being stopped.
    Running,
    /// The program ended by itself with exit code 0.
    Completed,
    /// The program ended with another code or by a signal, could not be started, or broke a limit.
    Failed,
    /// Stopped on request.
    Cancelled,
    /// Stopped because its time was up.
    Timeout,
}

impl ExecutionStatus {
    /// Whether this is an ending; it never changes again then.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
        })
    }
}
