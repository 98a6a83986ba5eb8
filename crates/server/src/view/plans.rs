//! Plans: what the service is told of them, and what it answers.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use execution_engine::{Ending, ExecutionStatus, OsText, PlanEnding, PlanSpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{is_false, is_zero};

/// A plan to accept. Its steps run as executions of the service, by the rules of the engine's plans.
///
/// The `Debug` output shows names of variables and no values.
///
/// ```
/// use execution_engine_server::NewPlan;
///
/// let new: NewPlan = serde_json::from_str(r#"{"spec": {"working_dir": "/srv", "steps": [
///     {"name": "build", "command": "make"},
///     {"name": "test", "command": "make test", "after": ["build"]}
/// ]}}"#).unwrap();
/// assert_eq!(new.spec.plan.commands.len(), 2);
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPlan {
    /// The plan. Its id is that of the plan in the service.
    pub spec: PlanSpec,
    /// What a step inherits whose options say that it inherits all or some, unless plan or step set or remove it; as
    /// in [`NewExecution::inherited_env`](super::NewExecution::inherited_env).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inherited_env: BTreeMap<OsText, OsText>,
    /// Umask of each step that has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_umask: Option<u32>,
}

impl NewPlan {
    /// Creates one whose steps inherit nothing.
    pub fn new(spec: impl Into<PlanSpec>) -> Self {
        Self { spec: spec.into(), inherited_env: BTreeMap::new(), inherited_umask: None }
    }
}

impl fmt::Debug for NewPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPlan")
            .field("plan", &self.spec.plan.id)
            .field("commands", &self.spec.plan.commands.len())
            .field("inherited_env (names)", &self.inherited_env.keys().collect::<Vec<_>>())
            .field("inherited_umask", &self.inherited_umask)
            .finish_non_exhaustive()
    }
}

/// Answer to a [`NewPlan`].
#[derive(Debug, Clone, PartialEq)]
pub struct SubmittedPlan {
    /// The plan.
    pub plan: PlanView,
    /// `false` if the same was accepted before, under the same key or id.
    pub created: bool,
}

/// A plan as the service shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanView {
    /// The plan.
    pub id: Uuid,
    /// Running, or how it ended.
    pub status: ExecutionStatus,
    /// How it ended; None as long as it runs.
    pub ending: Option<PlanEnding>,
    /// The ending in words, unless it has completed.
    pub error: Option<String>,
    /// Description for people.
    pub description: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// 1, and one more with each time it was resumed.
    pub round: u32,
    /// Whether it is being stopped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stopping: bool,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its round began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// From the beginning of its round to its end, or to now, in milliseconds.
    pub duration_ms: u64,
    /// Number of its steps by status.
    pub counts: StepCounts,
    /// Its steps, in order. Lists of plans have none; changes have those that changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepView>,
    /// What [`Service::plan_changes`](crate::Service::plan_changes) goes on behind. Grows with each change.
    #[serde(default)]
    pub version: u64,
    /// The plan without values of variables and input. Left out of lists and changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
}

/// A step of a plan as the service shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepView {
    /// Index of its command, counted from 0.
    pub index: usize,
    /// Name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The command as one would type it.
    pub command_line: String,
    /// Where it stands.
    pub status: StepStatus,
    /// Whether it failed and was allowed to.
    #[serde(default, skip_serializing_if = "is_false")]
    pub failure_allowed: bool,
    /// Whether it is of an earlier round, and was not run again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kept: bool,
    /// Its execution, once it was submitted.
    pub execution: Option<Uuid>,
    /// How it ended, or why it never ran.
    pub ending: Option<Ending>,
    /// The ending in words, unless it is an exit code.
    pub error: Option<String>,
    /// Number of starts of the program.
    #[serde(default, skip_serializing_if = "is_zero_attempts")]
    pub attempts: u32,
    /// When it was started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// From the start to the end in milliseconds.
    pub duration_ms: Option<u64>,
}

fn is_zero_attempts(number: &u32) -> bool {
    is_zero(&u64::from(*number))
}

/// Where a step of a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepStatus {
    /// It waits for other steps.
    Waiting,
    /// Its execution waits in the queue.
    Queued,
    /// Its program runs.
    Running,
    /// It exited with code 0.
    Completed,
    /// It failed.
    Failed,
    /// It was stopped.
    Cancelled,
    /// Its timeout, or the deadline of the plan, has stopped it.
    Timeout,
    /// Its keeper died.
    Lost,
    /// It never ran.
    Skipped,
}

/// Number of steps of a plan by where they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepCounts {
    /// All steps.
    pub total: usize,
    /// Waiting for other steps, or in the queue.
    pub waiting: usize,
    /// Running.
    pub running: usize,
    /// Exited with code 0.
    pub completed: usize,
    /// Failed, were lost, stopped or timed out.
    pub failed: usize,
    /// Of these, allowed to.
    pub allowed_failures: usize,
    /// Never ran.
    pub skipped: usize,
}

impl StepCounts {
    /// Counts steps.
    pub fn of<'a>(steps: impl IntoIterator<Item = (&'a StepStatus, bool)>) -> Self {
        let mut counts = Self::default();
        for (status, failure_allowed) in steps {
            counts.total += 1;
            counts.allowed_failures += usize::from(failure_allowed);
            *match status {
                StepStatus::Waiting | StepStatus::Queued => &mut counts.waiting,
                StepStatus::Running => &mut counts.running,
                StepStatus::Completed => &mut counts.completed,
                StepStatus::Skipped => &mut counts.skipped,
                StepStatus::Failed
                | StepStatus::Cancelled
                | StepStatus::Timeout
                | StepStatus::Lost => &mut counts.failed,
            } += 1;
        }
        counts
    }

    /// Returns how many steps are over.
    pub fn over(&self) -> usize {
        self.total - self.waiting - self.running
    }
}

impl StepStatus {
    /// Returns the status of a step that has ended.
    pub fn of(ending: &Ending) -> Self {
        match ending {
            Ending::NotRun { reason } if reason.status() == ExecutionStatus::Failed => Self::Failed,
            Ending::NotRun { .. } => Self::Skipped,
            ending => match ending.status() {
                ExecutionStatus::Completed => Self::Completed,
                ExecutionStatus::Cancelled => Self::Cancelled,
                ExecutionStatus::Timeout => Self::Timeout,
                ExecutionStatus::Lost => Self::Lost,
                _ => Self::Failed,
            },
        }
    }

    /// Returns the status as it is in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Skipped => "skipped",
        }
    }
}

/// Which plans to list, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanQuery {
    /// One of these statuses; empty is any.
    pub status: Vec<ExecutionStatus>,
    /// Longest page; None is 100. At most 1,000.
    pub limit: Option<usize>,
    /// Where the previous page ended ([`PlanPage::next`]).
    pub cursor: Option<String>,
}

/// Page of a list of plans.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanPage {
    /// The plans, newest first, without their steps.
    pub plans: Vec<PlanView>,
    /// Cursor of the next page; None if this is the last one.
    pub next: Option<String>,
}

/// Which steps of a plan to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CancelPlan {
    /// Whether the steps that always run are stopped, too.
    pub all: bool,
}

/// How a plan is resumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResumePlan {
    /// The round that has ended; None is whichever it is. A plan whose round after this one runs already is
    /// returned as it is, so a call whose answer was lost may be repeated.
    pub after_round: Option<u32>,
}
