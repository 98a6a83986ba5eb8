//! Results of plans: how they ended, and why steps did not run.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::{
    Ending, ExecutionMetadata, ExecutionResult, ExecutionStatus, OneLine, StepCondition, StepRef,
    is_default, millis, padded,
};

/// Result of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanExecutionResult {
    /// The plan.
    pub plan_id: Uuid,
    /// Final status: `Completed` if no command failed, but for those that were allowed to, and
    /// nothing stopped the plan.
    pub status: ExecutionStatus,
    /// One result per command, in the same order. A command that never ran has the ending
    /// [`NotRun`](crate::Ending::NotRun) with the reason.
    pub results: Vec<ExecutionResult>,
    /// What the plan knows of each step beyond its result, in the same order.
    #[serde(default)]
    pub steps: Vec<StepReport>,
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

/// What a plan knows of one of its steps beyond the result of its execution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepReport {
    /// Name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it failed and was [allowed](crate::StepOptions::allow_failure) to. Its result is that
    /// of the failure.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failure_allowed: bool,
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
    /// Failed, in whatever way, and were [allowed](crate::StepOptions::allow_failure) to.
    #[serde(default)]
    pub allowed_failures: usize,
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
    /// No command failed, but for those that were allowed to.
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

/// Reason why a command was never started. All but [`EngineClosed`](Self::EngineClosed),
/// [`AfterFailed`](Self::AfterFailed) and [`StartBy`](Self::StartBy) are about commands of plans.
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
    /// It depends, directly or indirectly, on a step that was skipped by a
    /// [condition](crate::StepOptions::only_if).
    DependencySkipped {
        /// The step that was skipped.
        step: PlanStep,
    },
    /// One of its [conditions](crate::StepOptions::only_if) was not met.
    Condition {
        /// The first that was not.
        condition: StepCondition,
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
    /// It was to run after another execution, which did not succeed. Only a service gives this reason:
    /// an engine runs executions in a plan to say so.
    AfterFailed {
        /// The other execution.
        execution: Uuid,
    },
    /// No worker took it before the moment by which it was to be
    /// [started](crate::ExecutionOptions::start_by_ms). Only a [backend](crate::Backend) gives this
    /// reason.
    StartBy {
        /// The moment, in milliseconds since 1970-01-01 UTC.
        moment_ms: u64,
    },
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

impl PlanExecutionResult {
    /// Returns the result of a step by its name or index.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let plan = ExecutionPlan::builder()
    ///     .step("version", ExecutionRequest::shell("echo 1.2"))
    ///     .step("date", ExecutionRequest::shell("date"))
    ///     .build()?;
    /// let result = engine.run_plan(plan).await?;
    /// assert_eq!(result.step("version"), result.step(0));
    /// assert_eq!(result.step("no such step"), None);
    /// for (step, result) in result.steps.iter().zip(&result.results) {
    ///     println!("{}: {}", step.name.as_deref().unwrap_or("-"), result.ending);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn step(&self, step: impl Into<StepRef>) -> Option<&ExecutionResult> {
        self.results.get(match step.into() {
            StepRef::Index(index) => index,
            StepRef::Name(name) => {
                self.steps.iter().position(|step| step.name.as_deref() == Some(&name))?
            }
        })
    }
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
    pub(crate) fn of(results: &[ExecutionResult], steps: &[StepReport]) -> Self {
        let mut stats = Self { total: results.len(), ..Self::default() };
        for (result, step) in results.iter().zip(steps) {
            let count = match (&result.ending, result.status) {
                _ if step.failure_allowed => &mut stats.allowed_failures,
                (Ending::NotRun { .. }, _) => &mut stats.not_run,
                (Ending::Cancelled, _) if result.attempts == 0 => &mut stats.not_run,
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

/// Why the plan ended.
impl fmt::Display for PlanEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        padded(f, |f| match self {
            Self::Completed => f.write_str("all steps have completed"),
            Self::Failed { step } => write!(f, "{step} failed"),
            Self::Cancelled => f.write_str("the plan was cancelled"),
            Self::DeadlineReached { deadline_ms } => {
                write!(f, "the deadline of {deadline_ms} ms had passed")
            }
            Self::EngineClosed => f.write_str("the engine was closed"),
            Self::EngineFailed { reason } => write!(f, "the engine failed: {}", OneLine(reason)),
        })
    }
}

/// `step 2 ("build")`, or `step 2`.
impl fmt::Display for PlanStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        padded(f, |f| match &self.name {
            Some(name) => write!(f, "step {} ({name:?})", self.index),
            None => write!(f, "step {}", self.index),
        })
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        padded(f, |f| match self {
            Self::DependencyFailed { step } => write!(f, "it depends on {step}, which failed"),
            Self::DependencySkipped { step } => {
                write!(f, "it depends on {step}, which was skipped")
            }
            Self::Condition { condition } => write!(f, "it runs only if {condition}"),
            Self::PlanStopped { step } => write!(f, "{step} had failed, and the plan stops there"),
            Self::PlanCancelled => f.write_str("the plan was cancelled before"),
            Self::PlanDeadline => f.write_str("the deadline of the plan had passed"),
            Self::EngineClosed => f.write_str("the engine was closed before"),
            Self::AfterFailed { execution } => {
                write!(f, "it was to run after execution {execution}, which did not succeed")
            }
            Self::StartBy { moment_ms } => {
                write!(f, "no worker took it before {}", moment(*moment_ms))
            }
            Self::Input { from, reason } => {
                write!(f, "the output of {from} could not be passed on: {}", OneLine(reason))
            }
        })
    }
}

/// Shows a moment in milliseconds since 1970-01-01 UTC.
fn moment(unix_ms: u64) -> String {
    let moment = i64::try_from(unix_ms).ok().and_then(DateTime::from_timestamp_millis);
    moment.map_or_else(|| format!("{unix_ms} ms"), |moment| moment.to_rfc3339())
}
