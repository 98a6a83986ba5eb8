use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::{ExecutionMetadata, ExecutionResult, ExecutionStatus, millis};

/// What came of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanExecutionResult {
    /// The plan.
    pub plan_id: Uuid,
    /// Where it ended: `Completed` if every command was a success.
    pub status: ExecutionStatus,
    /// One for each command and in the same order. One that never ran has the ending
    /// [`NotRun`](crate::Ending::NotRun), which says why.
    pub results: Vec<ExecutionResult>,
    /// From the acceptance of the plan to its end; in JSON as `total_duration_ms`.
    #[serde(rename = "total_duration_ms", with = "millis")]
    pub total_duration: Duration,
    /// How many commands ended how.
    pub stats: PlanStats,
    /// What the status is derived from.
    pub ending: PlanEnding,
    /// When the plan was accepted.
    pub started_at: DateTime<Utc>,
}

/// How many commands of a plan ended how. The other numbers add up to `total`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanStats {
    /// All commands of the plan.
    pub total: usize,
    /// Ended by themselves with exit code 0.
    pub completed: usize,
    /// Failed.
    pub failed: usize,
    /// Stopped on request.
    pub cancelled: usize,
    /// Stopped because their time was up, or that of the plan.
    pub timeout: usize,
    /// Never started, for whatever reason.
    pub not_run: usize,
}

/// The one thing that ended a plan. The first cause wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanEnding {
    /// Every command was a success.
    Completed,
    /// At least one command failed.
    Failed {
        /// The first one that did.
        step: PlanStep,
    },
    /// [`cancel_plan`](crate::ExecutionEngine::cancel_plan) was called.
    Cancelled,
    /// Its deadline passed.
    DeadlineReached {
        /// The deadline in milliseconds.
        deadline_ms: u64,
    },
    /// The engine was dropped or shut down meanwhile.
    EngineClosed,
    /// The engine could not go on with it.
    EngineFailed {
        /// What failed.
        reason: String,
    },
}

/// A step of a plan, as errors and endings name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlanStep {
    /// The index of its command.
    pub index: usize,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Why a command of a plan never ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// It depends on a step that failed, directly or through others.
    DependencyFailed {
        /// The step that failed.
        step: PlanStep,
    },
    /// The plan stops at its first error.
    PlanStopped {
        /// The step that failed.
        step: PlanStep,
    },
    /// The plan was cancelled before its turn had come.
    PlanCancelled,
    /// The deadline of the plan passed before its turn had come.
    PlanDeadline,
    /// The engine was dropped or shut down before its turn had come.
    EngineClosed,
    /// The output of an earlier step could not be handed to it. This counts as a failure.
    Input {
        /// Whose output.
        from: PlanStep,
        /// What is wrong with it.
        reason: String,
    },
}

/// One line of [`list_plans`](crate::ExecutionEngine::list_plans).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanSummary {
    /// The plan.
    pub id: Uuid,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// What it is, for people.
    pub description: Option<String>,
    /// How many commands it has.
    pub total: usize,
    /// How many of them have ended, or will never run.
    pub ended: usize,
    /// When it was accepted.
    pub started_at: DateTime<Utc>,
    /// How long it took, or has been going on; in JSON as `duration_ms`.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// Its notes.
    pub metadata: ExecutionMetadata,
}

impl PlanEnding {
    /// The status that goes with this ending.
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
    /// The status that goes with it.
    pub fn status(&self) -> ExecutionStatus {
        match self {
            Self::Input { .. } => ExecutionStatus::Failed,
            _ => ExecutionStatus::Cancelled,
        }
    }
}

impl PlanStats {
    pub(crate) fn of(results: &[ExecutionResult]) -> Self {
        let mut stats = Self { total: results.len(), ..Self::default() };
        for result in results {
            let count = match (&result.ending, result.status) {
                (crate::types::Ending::NotRun { .. }, _) => &mut stats.not_run,
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
                write!(f, "the output of {from} could not be handed on: {reason}")
            }
        }
    }
}
