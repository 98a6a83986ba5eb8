//! Plans, as they go into the store and come out. The store knows their steps and how these ended; what
//! that means is decided by the service that runs them.

mod change;
mod read;
mod steps;

use chrono::{DateTime, Utc};
use execution_engine::{Ending, ExecutionStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A plan to be accepted.
#[derive(Clone)]
pub struct NewPlan {
    /// The plan.
    pub id: Uuid,
    /// Who asks for it: the user id of the peer.
    pub owner: u32,
    /// Idempotency key of the caller: the same key of the same owner is the same plan.
    pub key: Option<String>,
    /// Body of the request. A hash of it tells whether a repeated key or id asks for the same.
    pub body: Vec<u8>,
    /// The plan as it may be read.
    pub shown: Value,
    /// What a list shows of it.
    pub title: Value,
    /// The whole plan, with values of environments and input. It is sealed, and erased when the plan has
    /// completed.
    pub secret: Vec<u8>,
}

/// Answer to [`Store::accept_plan`](crate::Store::accept_plan).
#[derive(Debug, Clone, PartialEq)]
pub enum AcceptedPlan {
    /// It is stored.
    Created(Box<StoredPlan>),
    /// The same was accepted before, with this id. Nothing was changed.
    Existing(Uuid),
    /// The idempotency key belongs to another one: this plan. Nothing was changed.
    KeyReused(Uuid),
    /// The id belongs to another one, and the key to none. Nothing was changed.
    IdReused(Uuid),
}

/// A plan as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPlan {
    /// The plan.
    pub id: Uuid,
    /// Who asked for it.
    pub owner: u32,
    /// Running, or how it ended.
    pub status: ExecutionStatus,
    /// 1, and one more with each time it was resumed.
    pub round: u32,
    /// The plan as it may be read.
    pub shown: Value,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its round began.
    pub round_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What was told to [`Store::end_plan`](crate::Store::end_plan).
    pub outcome: Option<Value>,
    /// The stops of this round, in order.
    pub stops: Vec<StoredStop>,
    /// The steps of this round that were begun, or kept from an earlier one, in order.
    pub steps: Vec<StoredStep>,
}

/// Why a plan is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanStop {
    /// A client asked for it: all steps but those that always run.
    Cancel,
    /// A client asked for it: all steps.
    CancelAll,
    /// Its deadline has passed.
    Deadline,
}

impl PlanStop {
    /// Returns `true` if nothing is left to stop for another one after this.
    fn covers(self, other: Self) -> bool {
        self == Self::CancelAll || other != Self::CancelAll
    }
}

/// A stop of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredStop {
    /// Why.
    pub stop: PlanStop,
    /// Its place among the events of the round.
    pub event: u64,
}

/// Something that happened in a round of a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredEvent {
    /// A step has ended.
    Ended(StoredStep),
    /// The plan was stopped.
    Stopped(StoredStop),
}

/// The step of a plan that an execution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepOf {
    /// The plan.
    pub plan: Uuid,
    /// Its round. The execution is not accepted if that is over.
    pub round: u32,
    /// Index of the step.
    pub step: usize,
    /// The last event that is known to the caller that starts it. It is not accepted if the plan was stopped since.
    pub event: u64,
}

/// A step of a plan that was begun.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredStep {
    /// Its index.
    pub step: usize,
    /// Its execution. None: it could not be submitted.
    pub execution: Option<Uuid>,
    /// Place of its ending among the events of the round. None: it has not ended, or was kept from an
    /// earlier round.
    pub event: Option<u64>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// When its program was started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Time in milliseconds from the start to the ending.
    pub duration_ms: Option<u64>,
    /// Number of attempts.
    pub attempts: u32,
}

/// A plan as a list has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedPlan {
    /// The plan.
    pub id: Uuid,
    /// Running, or how it ended.
    pub status: ExecutionStatus,
    /// 1, and one more with each time it was resumed.
    pub round: u32,
    /// What was told when it was accepted.
    pub title: Value,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its round began.
    pub round_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What was told to [`Store::end_plan`](crate::Store::end_plan).
    pub outcome: Option<Value>,
}

/// Page of a list of plans.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanPage {
    /// The plans, newest first.
    pub items: Vec<ListedPlan>,
    /// Cursor of the next page; None if there is none.
    pub next: Option<String>,
}

/// Which plans to list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanQuery {
    /// One of these statuses; empty is any.
    pub status: Vec<ExecutionStatus>,
    /// Longest page, at most 1,000.
    pub limit: usize,
    /// [`PlanPage::next`] of the page before.
    pub cursor: Option<String>,
}
