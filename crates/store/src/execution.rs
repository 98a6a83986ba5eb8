//! Executions, as they go into the store and come out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use execution_engine::{Ending, ExecutionOptions, ExecutionRequest, ExecutionStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::plans::StepOf;

/// An execution to be accepted. Its id is that of the request.
#[derive(Debug, Clone)]
pub struct NewExecution {
    /// Who asks for it: the user id of the peer.
    pub owner: u32,
    /// Idempotency key of the caller: the same key of the same owner is the same execution.
    pub key: Option<String>,
    /// Body of the request as it came. A hash of it tells whether a repeated key or id asks for the same.
    pub body: Vec<u8>,
    /// What to run. Values of the environment are sealed.
    pub request: ExecutionRequest,
    /// How to run it. Values of the environment, and input that is given as bytes, are sealed.
    pub options: ExecutionOptions,
    /// Executions that must have succeeded first.
    pub after: Vec<Uuid>,
    /// Executions that must have ended first, however.
    pub after_ended: Vec<Uuid>,
    /// The schedule that it is a run of.
    pub schedule: Option<ScheduleRun>,
    /// The moment before which it does not start.
    pub start_at: Option<DateTime<Utc>>,
    /// Whether retention keeps it.
    pub pinned: bool,
    /// Names of the variables that it was not asked to have, but inherits from the client that submits it, sorted.
    pub inherited_names: Vec<String>,
    /// The step of a plan that it is. It is noted there in the same transaction.
    pub step: Option<StepOf>,
    /// Keeper that will be told to start it. None leaves it in the queue.
    pub dispatch_to: Option<String>,
}

impl NewExecution {
    /// Creates an execution for the queue, without idempotency key.
    pub fn new(owner: u32, request: ExecutionRequest, options: ExecutionOptions) -> Self {
        Self {
            owner,
            key: None,
            body: Vec::new(),
            request,
            options,
            after: Vec::new(),
            after_ended: Vec::new(),
            schedule: None,
            start_at: None,
            pinned: false,
            inherited_names: Vec::new(),
            step: None,
            dispatch_to: None,
        }
    }
}

/// What makes an execution a run of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRun {
    /// The schedule.
    pub id: Uuid,
    /// The moment that it runs for; None if it was run by hand.
    pub moment: Option<DateTime<Utc>>,
}

/// Answer to [`Store::accept`](crate::Store::accept).
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// It is stored.
    Created(Box<StoredExecution>),
    /// The same was accepted before, with this id. Nothing was changed.
    Existing(Uuid),
    /// The idempotency key belongs to another request: that of this execution. Nothing was changed.
    KeyReused(Uuid),
    /// The id belongs to another request, and the key to none. Nothing was changed.
    IdReused(Uuid),
}

/// Answer to [`Store::import`](crate::Store::import).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is stored.
    Created,
    /// It was there, [as it ended](StoredExecution::is_record_of). Nothing was changed.
    Existing,
    /// Another one has its id. Nothing was changed.
    OtherExists,
}

/// How an execution has ended.
#[derive(Debug, Clone)]
pub struct EndedExecution {
    /// The execution.
    pub id: Uuid,
    /// How it ended. Status and exit code are those of the ending.
    pub ending: Ending,
    /// The engine's result as JSON, with empty texts of output.
    pub result: Value,
    /// Bytes written to standard output.
    pub stdout_bytes: u64,
    /// Bytes written to standard error.
    pub stderr_bytes: u64,
    /// Number of attempts.
    pub attempts: u32,
    /// When the program was started; None if it never was. What [`started`](crate::Store::started) has
    /// stored stays then.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// Time in milliseconds from the start to the ending.
    pub duration_ms: Option<u64>,
    /// Where its output is.
    pub output: OutputPlace,
}

/// Where the output of an execution that has ended is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPlace {
    /// There is none.
    None,
    /// The bytes of its journal, for the database. Meant for 64 KiB at most.
    Inline(Vec<u8>),
    /// In the file of its journal, up to this length. The file has to be on the disk (`fsync`) already. The
    /// store removes it with the execution; [`archive`](crate::Store::archive) makes a copy that the store
    /// owns, after which the journal may be removed.
    Journal {
        /// The file.
        path: PathBuf,
        /// End of its last record.
        bytes: u64,
    },
}

/// Where the output of a stored execution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredPlace {
    /// Nowhere: it has none, or it has not ended.
    None,
    /// In the database.
    Database,
    /// In its journal.
    Journal,
    /// In a compressed file.
    Archive,
}

impl StoredPlace {
    pub(crate) fn of_number(number: i64) -> Self {
        match number {
            1 => Self::Database,
            2 => Self::Journal,
            3 => Self::Archive,
            _ => Self::None,
        }
    }

    /// Returns its number in the database.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Database => 1,
            Self::Journal => 2,
            Self::Archive => 3,
        }
    }
}

/// An execution as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredExecution {
    /// The execution.
    pub id: Uuid,
    /// Its place in the order of acceptance. No other execution of the store ever has it.
    pub seq: u64,
    /// Who asked for it.
    pub owner: u32,
    /// Status: pending while it waits in the queue.
    pub status: ExecutionStatus,
    /// Exit code, or -1 if it ended without one; None before the end.
    pub exit_code: Option<i32>,
    /// How it ended; None before the end. In JSON as the engine writes it.
    pub ending: Option<Ending>,
    /// The engine's result as JSON, with empty texts of output; None before the end.
    pub result: Option<Value>,
    /// The command as one would type it.
    pub command: String,
    /// The request, without values of the environment.
    pub request: ExecutionRequest,
    /// The options, without values of the environment and input.
    pub options: ExecutionOptions,
    /// Names of the variables that it was given.
    pub env_names: Vec<String>,
    /// Those of them that it inherited from the client that submitted it; None if that is not known, because an earlier
    /// version has stored it.
    pub inherited_names: Option<Vec<String>>,
    /// Size of the input that it was given as bytes.
    pub stdin_bytes: Option<u64>,
    /// Executions that had to succeed first.
    pub after: Vec<Uuid>,
    /// Executions that had to end first, however.
    pub after_ended: Vec<Uuid>,
    /// The schedule that it is a run of.
    pub schedule: Option<ScheduleRun>,
    /// The moment before which it did not start.
    pub start_at: Option<DateTime<Utc>>,
    /// The plan whose step it is.
    pub plan: Option<Uuid>,
    /// Index of that step.
    pub step: Option<usize>,
    /// Tags, of the request's metadata.
    pub tags: Vec<String>,
    /// Labels, of the request's metadata.
    pub labels: BTreeMap<String, String>,
    /// Group, of the options.
    pub group: Option<String>,
    /// Priority, of the options.
    pub priority: i32,
    /// Keeper that runs it or has run it.
    pub keeper: Option<String>,
    /// Number of attempts.
    pub attempts: u32,
    /// Whether retention keeps it.
    pub pinned: bool,
    /// Whether it is paused: held in the queue, or frozen while it runs.
    pub paused: bool,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its program was started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Time in milliseconds from the start to the ending.
    pub duration_ms: Option<u64>,
    /// Bytes written to standard output.
    pub stdout_bytes: u64,
    /// Bytes written to standard error.
    pub stderr_bytes: u64,
    /// Where its output is.
    pub output: StoredPlace,
}

impl StoredExecution {
    /// Returns `true` if it has ended. It never changes again then, but for its pin.
    pub fn is_ended(&self) -> bool {
        self.status.is_terminal()
    }

    /// Returns `true` if both tell of the same execution the same ending, whatever else a store keeps of it.
    pub fn is_record_of(&self, other: &Self) -> bool {
        fn parts(
            of: &StoredExecution,
        ) -> (impl PartialEq + '_, impl PartialEq + '_, impl PartialEq + '_) {
            (
                (of.id, of.status, &of.ending, of.attempts, of.stdout_bytes, of.stderr_bytes),
                (of.created_at, of.started_at, of.ended_at, of.duration_ms),
                (
                    &of.request,
                    &of.options,
                    &of.env_names,
                    of.stdin_bytes,
                    (&of.after, &of.after_ended),
                ),
            )
        }
        parts(self) == parts(other)
    }
}

/// Words under which an execution is found.
pub(crate) mod facets {
    use execution_engine::{ExecutionOptions, ExecutionRequest};
    use uuid::Uuid;

    pub(crate) fn tag(tag: &str) -> String {
        format!("t:{tag}")
    }

    /// The length keeps a `=` in the name apart from one in the value.
    pub(crate) fn label(name: &str, value: &str) -> String {
        format!("l:{}:{name}={value}", name.len())
    }

    pub(crate) fn group(name: &str) -> String {
        format!("g:{name}")
    }

    pub(crate) fn plan(id: Uuid) -> String {
        format!("p:{}", id.simple())
    }

    pub(crate) fn schedule(id: Uuid) -> String {
        format!("s:{}", id.simple())
    }

    pub(crate) fn of(request: &ExecutionRequest, options: &ExecutionOptions) -> Vec<String> {
        let mut all: Vec<String> = request.metadata.tags.iter().map(|word| tag(word)).collect();
        all.extend(request.metadata.labels.iter().map(|(name, value)| label(name, value)));
        all.extend(options.group.as_deref().map(group));
        all.sort_unstable();
        all.dedup();
        all
    }
}
