//! How an execution ended: the one value that status, exit code, error and terminal event are
//! derived from.

use std::fmt;

use execution_engine_process::signal_name;
use serde::{Deserialize, Serialize};

use super::{ExecutionStatus, OneLine, SkipReason, padded};

/// Cause that ended an execution. Status, success, exit code, error text and terminal event are all
/// derived from it, so that they cannot contradict each other. The first cause wins.
///
/// In JSON: `{"type":"exited","code":3}`, `{"type":"timed_out","timeout_ms":5000}`,
/// `{"type":"cancelled"}`.
///
/// ```
/// use execution_engine::*;
///
/// let ending = Ending::Exited { code: 3 };
/// assert_eq!(ending.status(), ExecutionStatus::Failed);
/// assert_eq!(ending.exit_code(), 3);
/// assert_eq!(ending.error(), Some(ExecutionError::ExitCode(3)));
/// assert_eq!(ending.to_string(), "exit code 3");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// The program exited by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended the program that the engine did not send to stop it: it came from elsewhere,
    /// or from [`signal`](crate::ExecutionEngine::signal).
    Signaled {
        /// The number of the signal.
        signal: i32,
        /// Whether the system wrote a core file.
        core_dumped: bool,
    },
    /// The execution reached its timeout.
    TimedOut {
        /// The timeout in milliseconds.
        timeout_ms: u64,
    },
    /// The execution wrote nothing for its
    /// [idle timeout](crate::ExecutionOptions::idle_timeout_ms).
    IdleTimedOut {
        /// The idle timeout in milliseconds.
        idle_timeout_ms: u64,
    },
    /// [`cancel`](crate::ExecutionEngine::cancel) was called.
    Cancelled,
    /// A stream exceeded the limit under
    /// [`FailExecution`](crate::OversizedOutputStrategy::FailExecution).
    OutputLimit {
        /// The stream.
        stream: OutputStream,
        /// The limit in bytes.
        limit: usize,
    },
    /// Output could not be read or stored, for instance because the disk is full.
    OutputLost {
        /// The stream.
        stream: OutputStream,
        /// The system's error.
        reason: String,
    },
    /// The program could not be started although the request was valid.
    SpawnFailed {
        /// What failed, and what to do about it.
        reason: String,
        /// Error number of the system, if there is one.
        os_error: Option<i32>,
    },
    /// The program reached one of its [limits](crate::ExecutionOptions::limits).
    ResourceLimit {
        /// Which one.
        limit: ResourceLimit,
    },
    /// The deadline of the plan passed.
    PlanDeadline {
        /// The deadline in milliseconds.
        deadline_ms: u64,
    },
    /// The program was never started: a plan did not come to it, or it was stopped while it waited
    /// in the queue. An execution that was cancelled itself has [`Cancelled`](Self::Cancelled)
    /// instead.
    NotRun {
        /// Why.
        reason: SkipReason,
    },
    /// The program exited, but other code in this process took its exit status.
    StatusUnknown,
    /// The engine was dropped or shut down while the program ran, so the program was stopped.
    EngineClosed,
    /// The engine lost track of the program, so it stopped the program.
    EngineFailed {
        /// What failed.
        reason: String,
    },
    /// The host that ran the program has died, so it is not known how the program ended. Output up
    /// to then may be kept. The engine itself never gives this ending: a history or a service does,
    /// which finds that the host of an execution is gone. It is followed by no other attempt.
    Lost {
        /// What became of the host.
        reason: String,
    },
    /// The worker that ran the program was lost, and no other attempt follows
    /// ([`max_attempts`](crate::ExecutionOptions::max_attempts)). Only a [backend](crate::Backend) gives
    /// this ending.
    WorkerLost {
        /// Name of the worker that was lost last.
        worker: String,
        /// How many attempts were made.
        attempts: u32,
    },
    /// It is not known how the program ended, or whether it has. Only a [backend](crate::Backend) gives
    /// this ending.
    Unknown {
        /// Why it is not known.
        reason: String,
    },
}

impl Ending {
    /// Returns the status of an execution with this ending.
    pub fn status(&self) -> ExecutionStatus {
        match self {
            Self::Exited { code: 0 } => ExecutionStatus::Completed,
            Self::TimedOut { .. } | Self::IdleTimedOut { .. } | Self::PlanDeadline { .. } => {
                ExecutionStatus::Timeout
            }
            Self::NotRun { reason } => reason.status(),
            Self::Cancelled | Self::EngineClosed => ExecutionStatus::Cancelled,
            Self::Lost { .. } | Self::WorkerLost { .. } | Self::Unknown { .. } => {
                ExecutionStatus::Lost
            }
            _ => ExecutionStatus::Failed,
        }
    }

    /// Returns `true` if the program exited by itself with code 0.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited { code: 0 })
    }

    /// Returns `true` if the program ended without being stopped by the engine.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self, Self::Exited { .. } | Self::Signaled { .. } | Self::StatusUnknown)
    }

    /// Returns the exit code of a program that exited by itself, else -1.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Exited { code } => *code,
            _ => -1,
        }
    }

    /// Returns the ending in words, or None for an exit code, which says it already.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Exited { .. } => None,
            _ => Some(self.to_string()),
        }
    }
}

/// The ending in words: `exit code 3`, `killed by SIGSEGV`, `timed out after 5000 ms`.
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        padded(f, |f| match self {
            Self::Exited { code } => write!(f, "exit code {code}"),
            Self::Signaled { signal, core_dumped } => {
                let core = if *core_dumped { " (core dumped)" } else { "" };
                write!(f, "killed by {}{core}", signal_name(*signal))
            }
            Self::TimedOut { timeout_ms } => write!(f, "timed out after {timeout_ms} ms"),
            Self::IdleTimedOut { idle_timeout_ms } => {
                write!(f, "stopped after {idle_timeout_ms} ms without output")
            }
            Self::PlanDeadline { deadline_ms } => {
                write!(f, "stopped by the deadline of its plan ({deadline_ms} ms)")
            }
            Self::NotRun { reason } => write!(f, "never ran: {reason}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::OutputLimit { stream, limit } => {
                write!(f, "{stream} exceeded the output limit of {limit} bytes")
            }
            Self::OutputLost { stream, reason } => {
                write!(f, "{stream} could not be kept: {}", OneLine(reason))
            }
            Self::SpawnFailed { reason, .. } => {
                write!(f, "could not be started: {}", OneLine(reason))
            }
            Self::ResourceLimit { limit } => write!(f, "reached its limit of {limit}"),
            Self::StatusUnknown => {
                f.write_str("ended, but other code in this process took its exit status")
            }
            Self::EngineClosed => f.write_str("stopped because the engine was closed"),
            Self::EngineFailed { reason } => write!(f, "the engine failed: {}", OneLine(reason)),
            Self::Lost { reason } => write!(f, "lost: {}", OneLine(reason)),
            Self::WorkerLost { worker, attempts } => {
                let s = if *attempts == 1 { "" } else { "s" };
                write!(f, "worker {} was lost, after {attempts} attempt{s}", OneLine(worker))
            }
            Self::Unknown { reason } => write!(f, "ending unknown: {}", OneLine(reason)),
        })
    }
}

/// Limit whose violation the system reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResourceLimit {
    /// [`cpu_seconds`](crate::Limits::cpu_seconds)
    CpuTime,
    /// [`file_size_bytes`](crate::Limits::file_size_bytes)
    FileSize,
    /// [`tree_memory_bytes`](crate::Limits::tree_memory_bytes)
    TreeMemory,
}

impl fmt::Display for ResourceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CpuTime => "CPU time (cpu_seconds)",
            Self::FileSize => "file size (file_size_bytes)",
            Self::TreeMemory => "memory (tree_memory_bytes)",
        })
    }
}

/// One of the two output streams of a program.
///
/// In JSON: `"stdout"` or `"stderr"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl OutputStream {
    pub(crate) const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for OutputStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}
