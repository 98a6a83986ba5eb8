//! What a backend tells of executions.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::types::{
    Ending, ExecutionMetadata, ExecutionResult, ExecutionStatus, OutputStream, Place,
};

/// Record of an execution that runs elsewhere, from [`Backend::next`](crate::Backend::next).
#[derive(Debug, Clone, PartialEq)]
pub struct BackendRecord {
    /// Its cursor: more than that of the record before it, and more than 0.
    pub cursor: u64,
    /// What happened.
    pub event: BackendEvent,
}

/// What happened to an execution that runs elsewhere.
///
/// For each attempt the order is: [`Started`](Self::Started), output, and then
/// [`AttemptLost`](Self::AttemptLost) or [`Ended`](Self::Ended). An attempt that came to no start has
/// only the last one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BackendEvent {
    /// The program was started.
    Started {
        /// Where. Its attempt is that of the output that follows.
        place: Place,
        /// Process id of the program there; 0 if that is not known.
        pid: u32,
        /// When, by the clock of the place.
        at: DateTime<Utc>,
    },
    /// The program has written these bytes, cut anywhere.
    Output {
        /// The stream.
        stream: OutputStream,
        /// The bytes.
        bytes: Bytes,
    },
    /// The program has written so many more bytes, which are lost.
    OutputMissed {
        /// The stream.
        stream: OutputStream,
        /// How many.
        bytes: u64,
    },
    /// The attempt is over and is not the last: its worker was lost, or its program failed and there is
    /// a [retry](crate::ExecutionOptions::retry).
    AttemptLost {
        /// How the attempt ended, such as [`WorkerLost`](Ending::WorkerLost).
        ending: Ending,
        /// How long the next attempt waits at least.
        delay: Duration,
    },
    /// The execution has ended. Taken from the result are: the ending, the times, signal, usage,
    /// containment, attempts, earlier attempts, place, and why the output is incomplete if it is. Its
    /// output is that of the records; status, exit code and texts follow from the ending.
    ///
    /// [`ExecutionResult::unobserved`] makes one where there is none.
    Ended(Box<ExecutionResult>),
}

/// Execution that a backend knows, of this submitter or another one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BackendExecution {
    /// The execution.
    pub id: Uuid,
    /// The command as one would type it.
    pub command: String,
    /// Notes of its request.
    pub metadata: ExecutionMetadata,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
    /// Current status.
    pub status: ExecutionStatus,
    /// Where its last attempt runs or ran, if there was one.
    pub place: Option<Place>,
    /// When this attempt was taken up, if that is known.
    pub started_at: Option<DateTime<Utc>>,
    /// Cursor of its last record so far; 0 without any.
    pub cursor: u64,
}

impl BackendExecution {
    /// Creates one that was accepted at this moment, without records and notes.
    pub fn new(id: Uuid, command: impl Into<String>, accepted_at: DateTime<Utc>) -> Self {
        Self {
            id,
            command: command.into(),
            metadata: ExecutionMetadata::default(),
            accepted_at,
            status: ExecutionStatus::Pending,
            place: None,
            started_at: None,
            cursor: 0,
        }
    }
}
