//! Results of plans: how they ended, and why steps did not run.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::{Ending, ExecutionMetadata, ExecutionResult, ExecutionStatus, millis};

/// Result of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanExecutionResult {
    /// The plan.
    pub plan_id: Uuid,
    /// Final status: `Completed` if every command succeeded.
    pub status: ExecutionStatus,
    /// One result per command, in the same order. A command that never ran has the ending
    /// [`NotRun`](crate::Ending::NotRun) with the reason.
    pub results: Vec<ExecutionResult>,
    /// From the acceptance of the plan to its end; in JSON as `total_duration_ms`.
    #[serde(rename = "total_duration_ms", with = "millis")]
    pub total_duration: Duration,
    /// Number of commands by outcome.
    pub stats: PlanStats,
    /// Ending that the status is derived from.
    pub ending: PlanEnding,
    /// When the plan was accepted.
    pub started_at: DateTime<Utc>,
}

/// Number of commands of a plan by outcome. The other numbers add up to `total`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanStats {
    /// All commands of the plan.
    pub total: usize,
    /// Exited by themselves with code 0.
    pub completed: usize,
    /// Failed.
    pub failed: usize,
    /// Stopped on request.
    pub cancelled: usize,
    /// Stopped by their timeout or by the deadline of the plan.
    pub timeout: usize,
    /// Never started, for any reason.
    pub not_run: usize,
}

/// Cause that ended a plan. The first cause wins.
///
/// In JSON: `{"type":"completed"}`, `{"type":"failed","step":{"index":1,"name":"build"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanEnding {
    /// Every command succeeded.
    Completed,
    /// At least one command failed.
    Failed {
        /// The first step that failed.
        step: PlanStep,
    },
    /// [`cancel_plan`](crate::ExecutionEngine::cancel_plan) was called.
    Cancelled,
    /// The deadline passed.
    DeadlineReached {
        /// The deadline in milliseconds.
        deadline_ms: u64,
    },
    /// The engine was dropped or shut down.
    EngineClosed,
    /// The engine failed.
    EngineFailed {
        /// What failed.
        reason: String,
    },
}

/// Step of a plan, in errors, events and endings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlanStep {
    /// Index of its command, counted from 0.
    pub index: usize,
    /// Name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Reason why a command of a plan never ran.
///
/// In JSON: `{"type":"dependency_failed","step":{"index":0}}`, `{"type":"plan_cancelled"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// It depends, directly or indirectly, on a step that failed.
    DependencyFailed {
        /// The step that failed.
        step: PlanStep,
    },
    /// The plan stops at its first error.
    PlanStopped {
        /// The step that failed.
        step: PlanStep,
    },
    /// The plan was cancelled first.
    PlanCancelled,
    /// The deadline of the plan passed first.
    PlanDeadline,
    /// The engine was dropped or shut down first.
    EngineClosed,
    /// The output of another step could not be passed to it. This counts as a failure.
    Input {
        /// The step whose output it is.
        from: PlanStep,
        /// What is wrong with it.
        reason: String,
    },
}

/// Entry of [`list_plans`](crate::ExecutionEngine::list_plans).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanSummary {
    /// The plan.
    pub id: Uuid,
    /// Current status.
    pub status: ExecutionStatus,
    /// Description for people.
    pub description: Option<String>,
    /// Number of its commands.
    pub total: usize,
    /// Number of commands that have ended or will never run.
    pub ended: usize,
    /// When it was accepted.
    pub started_at: DateTime<Utc>,
    /// From its acceptance to its end, or to now; in JSON as `duration_ms`.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// Notes of the caller.
    pub metadata: ExecutionMetadata,
}

impl PlanEnding {
    /// Returns the status of a plan with this ending.
    pub fn status(&self) -> ExecutionStatus {
        match self {
            Self::Completed => ExecutionStatus::Completed,
            Self::Failed { .. } | Self::EngineFailed { .. } => ExecutionStatus::Failed,
            Self::Cancelled | Self::EngineClosed => ExecutionStatus::Cancelled,
            Self::DeadlineReached { .. } => ExecutionStatus::Timeout,
        }
    }
}

impl SkipReason {
    /// Returns the status of a command with this reason.
    pub fn status(&self) -> ExecutionStatus {
        match self {
            Self::Input { .. } => ExecutionStatus::Failed,
            _ => ExecutionStatus::Cancelled,
        }
    }
}

impl PlanStats {
    /// Counts results by outcome.
    pub(crate) fn of(results: &[ExecutionResult]) -> Self {
        let mut stats = Self { total: results.len(), ..Self::default() };
        for result in results {
            let count = match (&result.ending, result.status) {
                (Ending::NotRun { .. }, _) => &mut stats.not_run,
                (_, ExecutionStatus::Completed) => &mut stats.completed,
                (_, ExecutionStatus::Cancelled) => &mut stats.cancelled,
                (_, ExecutionStatus::Timeout) => &mut stats.timeout,
                _ => &mut stats.failed,
            };
            *count += 1;
        }
        stats
    }
}

/// `step 2 ("build")`, or `step 2`.
impl fmt::Display for PlanStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.index)?;
        match &self.name {
            Some(name) => write!(f, " ({name:?})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DependencyFailed { step } => write!(f, "it depends on {step}, which failed"),
            Self::PlanStopped { step } => write!(f, "{step} had failed, and the plan stops there"),
            Self::PlanCancelled => f.write_str("the plan was cancelled before"),
            Self::PlanDeadline => f.write_str("the deadline of the plan had passed"),
            Self::EngineClosed => f.write_str("the engine was closed before"),
            Self::Input { from, reason } => {
                write!(f, "the output of {from} could not be passed on: {reason}")
            }
        }
    }
}
