//! Schedules: what is submitted again and again, and what came of it.

mod read;
mod write;

use chrono::{DateTime, Utc};
use execution_engine::{ExecutionOptions, ExecutionRequest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::execution::NewExecution;

/// What becomes of moments that have passed while nothing could be run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedPolicy {
    /// One run stands for all of them.
    #[default]
    RunOnce,
    /// They are left out.
    Skip,
    /// Each has its run.
    RunAll,
}

/// What becomes of a run whose moment comes while an earlier one waits or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// It is left out.
    Skip,
    /// It waits for the end of the earlier one.
    Queue,
    /// It runs beside it.
    Allow,
}

/// A schedule to be made.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// Who asks for it: the user id of the peer.
    pub owner: u32,
    /// Idempotency key of the caller: the same key of the same owner is the same schedule.
    pub key: Option<String>,
    /// What must be the same when the key or the id comes again.
    pub body: Vec<u8>,
    /// Its name, which no other has.
    pub name: Option<String>,
    /// When it runs, as it was written.
    pub every: String,
    /// Name of the time zone that this is meant in.
    pub time_zone: String,
    /// What becomes of moments that were missed.
    pub missed: MissedPolicy,
    /// What becomes of runs that would overlap.
    pub overlap: OverlapPolicy,
    /// The first moment.
    pub next_at: DateTime<Utc>,
    /// What to run. Its id is that of the schedule. Values of the environment are sealed.
    pub request: ExecutionRequest,
    /// How to run it. Values of the environment, and input that is given as bytes, are sealed.
    pub options: ExecutionOptions,
    /// Names of the variables that it inherits from the client that sets it, sorted.
    pub inherited_names: Vec<String>,
    /// Whether retention keeps its runs.
    pub pinned: bool,
    /// When it is made: intervals begin there.
    pub created_at: DateTime<Utc>,
    /// How many schedules there may be, this one included.
    pub most: u64,
}

/// Answer to [`Store::create_schedule`](crate::Store::create_schedule).
#[derive(Debug, Clone, PartialEq)]
pub enum AcceptedSchedule {
    /// It is stored.
    Created(Box<StoredSchedule>),
    /// The same was made before, with this id. Nothing was changed.
    Existing(Uuid),
    /// The idempotency key belongs to another request: that of this schedule. Nothing was changed.
    KeyReused(Uuid),
    /// The id belongs to another request, and the key to none. Nothing was changed.
    IdReused(Uuid),
    /// This schedule has the name. Nothing was changed.
    NameTaken(Uuid),
    /// There are as many as there may be. Nothing was changed.
    TooMany,
}

/// Moments that had no run of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// When the last of them was found.
    pub last_at: Option<DateTime<Utc>>,
}

/// A schedule as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSchedule {
    /// The schedule.
    pub id: Uuid,
    /// Who asked for it.
    pub owner: u32,
    /// Its name.
    pub name: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it runs, as it was written.
    pub every: String,
    /// Name of the time zone that this is meant in.
    pub time_zone: String,
    /// What becomes of moments that were missed.
    pub missed: MissedPolicy,
    /// What becomes of runs that would overlap.
    pub overlap: OverlapPolicy,
    /// Whether it is paused.
    pub paused: bool,
    /// The next moment; None if none follows.
    pub next_at: Option<DateTime<Utc>>,
    /// The request, without values of the environment.
    pub request: ExecutionRequest,
    /// The options, without values of the environment and input.
    pub options: ExecutionOptions,
    /// Names of the variables that its runs are given.
    pub env_names: Vec<String>,
    /// Those of them that were inherited from the client that set it.
    pub inherited_names: Vec<String>,
    /// Size of the input that it was given as bytes.
    pub stdin_bytes: Option<u64>,
    /// Whether retention keeps its runs.
    pub pinned: bool,
    /// Number of its runs.
    pub runs: u64,
    /// Its last run.
    pub last_run: Option<Uuid>,
    /// When that was accepted.
    pub last_run_at: Option<DateTime<Utc>>,
    /// Moments without a run because an earlier one had not ended.
    pub overlaps: Counted,
    /// Moments that were missed, without a run of their own.
    pub misses: Counted,
    /// Why a run could not be accepted the last time that one could not.
    pub error: Option<String>,
    /// When that was.
    pub error_at: Option<DateTime<Utc>>,
}

/// Runs of a schedule whose moments have come.
#[derive(Debug, Clone)]
pub struct DueRuns {
    /// The schedule.
    pub schedule: Uuid,
    /// Its next moment, as they were found by it. If it has another one now, nothing is done.
    pub expected: DateTime<Utc>,
    /// The moment that follows; None if none does.
    pub next_at: Option<DateTime<Utc>>,
    /// Moments that were missed, and get no run of their own.
    pub missed: u64,
    /// Its runs, the earliest first.
    pub runs: Vec<NewExecution>,
    /// Most runs that may wait or run at a time.
    pub most_unended: usize,
}
