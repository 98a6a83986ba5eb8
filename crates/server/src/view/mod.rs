//! What the service is told (`requests`) and what it answers: plain types with their JSON forms.

mod gc;
mod groups;
mod plans;
mod records;
mod requests;
mod schedules;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use execution_engine::{
    Command, ContainmentReceipt, Ending, ExecutionStatus, OutputStream, ResourceUsage,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use gc::{Gc, GcPart, GcReport};
pub use groups::{GroupChange, GroupList, GroupView, GroupWait};
pub use plans::{
    CancelPlan, NewPlan, PlanPage, PlanQuery, PlanView, ResumePlan, StepCounts, StepStatus,
    StepView, SubmittedPlan,
};
pub use records::{ImportAnswer, Record};
pub use requests::{NewExecution, NewInput, Rerun};
pub use schedules::{
    CreatedSchedule, NewSchedule, RunSchedule, ScheduleChange, ScheduleFailure, ScheduleView,
    Schedules,
};
pub use tokens::{CreatedToken, NewToken, TokenList, TokenView};

/// Answer to a [`NewExecution`].
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The execution.
    pub execution: ExecutionView,
    /// `false` if the same was accepted before, under the same key or id.
    pub created: bool,
}

/// An execution as the service shows it. Names of variables are shown, values never.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExecutionView {
    /// The execution.
    pub id: Uuid,
    /// Where it stands. `pending` waits in the queue, `lost` is an execution whose keeper died.
    pub status: ExecutionStatus,
    /// Exit code of a program that exited by itself.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended the program, whatever the ending is.
    #[serde(default)]
    pub signal: Option<i32>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// Why it cannot be started for now, if something is wrong while it waits; it is tried again. Lists do not
    /// have it.
    #[serde(default)]
    pub start_error: Option<String>,
    /// Why it waits for its group, if it could start otherwise. Left out if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_wait: Option<GroupWait>,
    /// The ending in words, unless it is an exit code.
    pub error: Option<String>,
    /// Bytes that are kept so far, of all attempts.
    pub bytes: OutputBytes,
    /// Why output is missing, and how many bytes; None if nothing is missing or it has not ended.
    pub output_error: Option<String>,
    /// What was done so that no process outlives it.
    pub containment: Option<ContainmentReceipt>,
    /// Resources that the last attempt used.
    pub usage: Option<ResourceUsage>,
    /// Number of starts of the program.
    pub attempts: u32,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Named values to find it by.
    pub labels: BTreeMap<String, String>,
    /// Description for people.
    pub description: Option<String>,
    /// Group it belongs to.
    pub group: Option<String>,
    /// Priority in the queue.
    pub priority: i32,
    /// What runs.
    pub command: Command,
    /// The command as one would type it.
    pub command_line: String,
    /// Working directory.
    pub working_dir: Option<PathBuf>,
    /// Timeout in milliseconds; None if there is none.
    pub timeout_ms: Option<u64>,
    /// Names of the environment variables that the request brought.
    pub env_names: Vec<String>,
    /// Executions that must have succeeded first.
    pub after: Vec<Uuid>,
    /// Executions that must have ended first, however.
    #[serde(default)]
    pub after_ended: Vec<Uuid>,
    /// The schedule that it is a run of. Left out if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Uuid>,
    /// The moment of that schedule that it runs for. Left out if it was run by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_moment: Option<DateTime<Utc>>,
    /// The moment before which it does not start. Left out if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<DateTime<Utc>>,
    /// The plan whose step it is. Left out if it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Uuid>,
    /// Index of that step. Left out if it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// `true` if retention keeps it.
    pub pinned: bool,
    /// `true` if it is paused: held in the queue, or frozen. Left out if it is not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// Name of the keeper that has it, while it runs.
    pub keeper: Option<String>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it was started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it had ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// From the start to the end in milliseconds.
    pub duration_ms: Option<u64>,
}

/// Returns `true` for what is left out. Takes a reference because serde gives one.
fn is_false(value: &bool) -> bool {
    !value
}

/// Bytes per stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputBytes {
    /// Standard output.
    pub stdout: u64,
    /// Standard error.
    pub stderr: u64,
}

/// Which executions to list, newest first. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// One of these statuses; empty is any.
    pub status: Vec<ExecutionStatus>,
    /// All of these tags.
    pub tags: Vec<String>,
    /// All of these labels with these values.
    pub labels: Vec<(String, String)>,
    /// This group.
    pub group: Option<String>,
    /// Steps of this plan.
    pub plan: Option<Uuid>,
    /// Runs of this schedule.
    pub schedule: Option<Uuid>,
    /// Accepted at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Accepted before this time.
    pub until: Option<DateTime<Utc>>,
    /// Text in the command or the description.
    pub text: Option<String>,
    /// Longest page; None is 100. At most 1,000.
    pub limit: Option<usize>,
    /// Where the previous page ended ([`Page::next`]).
    pub cursor: Option<String>,
}

/// Page of a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The executions, newest first.
    pub executions: Vec<ExecutionView>,
    /// Cursor of the next page; None if this is the last one. New executions do not shift pages.
    pub next: Option<String>,
}

/// How to stop an execution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopMode {
    /// Sends the stop signal, and the final one after the grace.
    #[default]
    Polite,
    /// Sends SIGKILL at once.
    Firm,
}

/// What came of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signalled {
    /// The execution.
    pub id: Uuid,
    /// Number of processes that got it.
    pub processes: u32,
}

/// End of the input of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputEnd {
    /// Place behind what was written.
    pub offset: u64,
    /// Place before which what a writer sends again may be written twice, because others have written since whom the
    /// service knows instead. Left out if it is 0, and behind what was just written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgotten: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What happened to an execution, in order. Every reader gets the same events with the same cursors,
/// live or later.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Place behind this event. [`Service::events`](crate::Service::events) goes on from there.
    pub cursor: u64,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// Attempt it belongs to, from 1; 0 before the first.
    pub attempt: u32,
    /// What happened.
    pub kind: EventKind,
}

/// What an [`Event`] says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The program was started.
    Started {
        /// Its process id, if the system told it.
        pid: Option<u32>,
    },
    /// The program wrote output.
    Output {
        /// Which stream.
        stream: OutputStream,
        /// The bytes, as they were written.
        bytes: Bytes,
    },
    /// The program failed and is started again.
    Retrying {
        /// Delay before the start, in milliseconds.
        delay_ms: u64,
    },
    /// Output that is not there: it could not be written, or is no longer kept.
    Missed {
        /// Bytes of standard output.
        stdout_bytes: u64,
        /// Bytes of standard error.
        stderr_bytes: u64,
        /// Why.
        reason: String,
    },
    /// It has ended. Always the last event.
    Ended {
        /// The execution as it ended.
        execution: Box<ExecutionView>,
    },
}

/// State of the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// Process id of the service.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// Since when it runs.
    pub since: DateTime<Utc>,
    /// Its socket.
    pub socket: PathBuf,
    /// Where those with a token reach it over the network, if they do: `https://127.0.0.1:7171`.
    #[serde(default)]
    pub url: Option<String>,
    /// Its state directory.
    pub state_dir: PathBuf,
    /// The keepers.
    pub keepers: Vec<KeeperView>,
    /// Number of running executions.
    pub running: usize,
    /// Number of executions that wait for a slot or for others.
    pub queued: usize,
    /// How many may run at a time.
    pub max_running: usize,
    /// Why what waits cannot be started for now, if something is wrong; it is tried again.
    #[serde(default)]
    pub start_error: Option<String>,
    /// State of the store.
    pub store: StoreView,
}

/// A keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeeperView {
    /// Its name, that of its directory.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// Since when it runs.
    pub since: Option<DateTime<Utc>>,
    /// Number of its executions that have not ended.
    pub running: usize,
    /// `true` if it takes no new work and ends after what it has.
    pub draining: bool,
    /// `true` if the service is connected to it.
    pub connected: bool,
}

/// State of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoreView {
    /// `false` while the store cannot be written; then new executions are refused.
    pub writable: bool,
    /// Why it cannot be written.
    pub reason: Option<String>,
    /// Since when it cannot be written.
    pub since: Option<DateTime<Utc>>,
    /// Number of executions in it.
    pub executions: u64,
    /// Bytes on disk.
    pub bytes: u64,
}
