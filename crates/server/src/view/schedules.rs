//! Schedules, as the service is told of them and shows them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use execution_engine_store::{Counted, MissedPolicy, OverlapPolicy};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::NewExecution;

/// A schedule to make.
///
/// ```
/// use execution_engine_server::NewSchedule;
///
/// let new: NewSchedule = serde_json::from_str(
///     r#"{"every": "30 2 * * *", "time_zone": "Europe/Berlin",
///         "execution": {"request": {"command": {"type": "shell", "command": "make"}}}}"#,
/// ).unwrap();
/// assert_eq!(new.overlap, None);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// When it runs: five fields of cron, a name (`@daily`), or an interval (`5m`); see
    /// [`Timetable`](crate::Timetable).
    pub every: String,
    /// Name of the time zone that this is meant in.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// What becomes of moments at which no service ran, the machine slept, or runs could not be accepted.
    #[serde(default)]
    pub missed: MissedPolicy,
    /// What becomes of a run whose moment comes while an earlier one waits or runs. None leaves it out, but lets it wait
    /// if all that is missed is to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<OverlapPolicy>,
    /// A name of its own, by which it is found as by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What each run is. The id of its request is that of the schedule; it follows nothing and has no moment of its own.
    pub execution: NewExecution,
}

fn utc() -> String {
    "UTC".to_string()
}

impl NewSchedule {
    /// Creates one with the default policies, in UTC.
    pub fn new(every: impl Into<String>, execution: NewExecution) -> Self {
        let missed = MissedPolicy::default();
        Self { every: every.into(), time_zone: utc(), missed, overlap: None, name: None, execution }
    }

    /// Returns what becomes of runs that would overlap.
    pub(crate) fn overlap(&self) -> OverlapPolicy {
        self.overlap.unwrap_or(match self.missed {
            MissedPolicy::RunAll => OverlapPolicy::Queue,
            MissedPolicy::RunOnce | MissedPolicy::Skip => OverlapPolicy::Skip,
        })
    }
}

/// Answer to a [`NewSchedule`].
#[derive(Debug, Clone, PartialEq)]
pub struct CreatedSchedule {
    /// The schedule.
    pub schedule: ScheduleView,
    /// `false` if the same was made before, under the same key or id.
    pub created: bool,
}

/// A schedule as the service shows it. Names of variables are shown, values never.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScheduleView {
    /// The schedule.
    pub id: Uuid,
    /// Its name.
    pub name: Option<String>,
    /// When it runs, as it was written.
    pub every: String,
    /// Name of the time zone that this is meant in.
    pub time_zone: String,
    /// What becomes of moments that were missed.
    pub missed: MissedPolicy,
    /// What becomes of runs that would overlap.
    pub overlap: OverlapPolicy,
    /// `true` if it is paused: its moments pass without a run, and do not count as missed.
    pub paused: bool,
    /// The next moment; None if it is paused, or none follows. One that has passed is tried again.
    pub next_at: Option<DateTime<Utc>>,
    /// Number of its runs.
    pub runs: u64,
    /// Its last run.
    pub last_run: Option<Uuid>,
    /// When that was accepted.
    pub last_run_at: Option<DateTime<Utc>>,
    /// Moments without a run because an earlier run had not ended.
    pub overlaps: Counted,
    /// Moments that were missed, and had no run of their own.
    pub misses: Counted,
    /// Why a run could not be accepted, the last time that one could not.
    pub last_error: Option<ScheduleFailure>,
    /// The command as one would type it.
    pub command_line: String,
    /// Working directory.
    pub working_dir: Option<PathBuf>,
    /// Timeout of each run in milliseconds; None if there is none.
    pub timeout_ms: Option<u64>,
    /// Names of the variables that its runs are given.
    pub env_names: Vec<String>,
    /// Words to find its runs by.
    pub tags: Vec<String>,
    /// Named values to find its runs by.
    pub labels: BTreeMap<String, String>,
    /// Group that its runs belong to.
    pub group: Option<String>,
    /// Priority of its runs in the queue.
    pub priority: i32,
    /// `true` if retention keeps its runs.
    pub pinned: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Why a run of a schedule could not be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleFailure {
    /// When.
    pub at: DateTime<Utc>,
    /// What failed, and what to do.
    pub error: String,
}

/// All schedules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedules {
    /// The schedules, the oldest first.
    pub schedules: Vec<ScheduleView>,
}

/// What to change of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleChange {
    /// Whether it is paused.
    pub paused: bool,
}

/// A run of a schedule by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSchedule {
    /// Id of the execution; None is a new one. The same id again is the same execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
}
