//! What a record did to the state, and what became of an execution.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{End, Start};

/// What became of an execution. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Outcome {
    /// It ended as [`State::report`](crate::State::report) tells.
    Ended,
    /// It was cancelled before its end, or before its start.
    Cancelled {
        /// Sequence of the cancel.
        seq: u64,
        /// Who cancelled it.
        by: String,
        /// Why.
        reason: String,
    },
    /// Its worker is gone, and it is not started again.
    WorkerLost {
        /// The last worker.
        worker: String,
        /// How often it was started.
        attempts: u32,
    },
    /// It was not started in time.
    NotStarted {
        /// The moment of the ticket, in milliseconds since 1970-01-01 UTC.
        start_by_ms: u64,
    },
}

/// How a start ended, as its worker told. The result is in the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Sequence of the record.
    pub seq: u64,
    /// The start.
    pub start: Start,
    /// Serde form of the engine's ending.
    pub ending: Value,
    /// How many bytes of output the start has published.
    pub output_end: u64,
}

impl Report {
    pub(super) fn new(seq: u64, end: &End) -> Self {
        let (start, ending) = (end.start.clone(), end.ending.clone());
        Self { seq, start, ending, output_end: end.output_end }
    }
}

/// What a record did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The claim counts: its worker makes the start, with the sequence of the claim as its fence.
    Claimed,
    /// The claim of the present start was restated, with the delivery of its ticket.
    Held,
    /// The worker is lost, and a claim of the next attempt would count.
    Waiting,
    /// The outcome is decided.
    Decided,
    /// The program of a cancelled execution has less time to end by itself than before.
    Hastened,
    /// The start of a cancelled execution is over: its report or its loss is known.
    Stopped,
    /// A start that had been given up reports. It is kept, and changes nothing.
    Superseded,
    /// The record, or one behind it, was applied before.
    Seen,
    /// The record was not legal when it came. All readers ignore it.
    Ignored(Illegal),
}

/// Why a record was not legal when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Illegal {
    /// The bytes are no record, or a field has a value that it cannot have.
    Invalid,
    /// It is not signed by a worker that may write it.
    Unsigned,
    /// The kind is of a later version, and decides nothing.
    UnknownKind,
    /// The outcome is decided.
    AfterOutcome,
    /// The present start is not over.
    Running,
    /// The claim is not for the attempt that would be next.
    OtherAttempt,
    /// The claim is for another ticket than the first start.
    OtherTicket,
    /// It names another start than the present one.
    OtherStart,
    /// This start has reported before.
    Repeated,
}
