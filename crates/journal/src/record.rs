use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What the payload of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes of standard output.
    Stdout,
    /// Bytes of standard error.
    Stderr,
    /// JSON of a [`JournalEvent`].
    Event,
}

/// An event of an execution, as a journal keeps it.
///
/// A type of event that this version does not know is read as [`JournalEvent::Unknown`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JournalEvent {
    /// A program has started.
    Started {
        /// Which start it is; the first is 1.
        attempt: u32,
        /// Process id of the program, where the host tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
    },
    /// An attempt has failed, and another will follow.
    Retrying {
        /// The attempt that will follow.
        attempt: u32,
        /// Time until its start, in milliseconds.
        delay_ms: u64,
    },
    /// Output that could not be written, because the disk was full or failed.
    Missed {
        /// Bytes of standard output that are missing.
        stdout_bytes: u64,
        /// Bytes of standard error that are missing.
        stderr_bytes: u64,
        /// What the system said.
        reason: String,
    },
    /// The execution has ended. This is the last record of a journal.
    Ended {
        /// Serde form of the engine's result, without the text of the output.
        result: serde_json::Value,
    },
    /// An event of a later version.
    #[serde(other)]
    Unknown,
}

/// One record of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Byte offset of the record in its journal.
    pub position: u64,
    /// Byte offset behind it: the cursor of a reader that has seen it.
    pub end: u64,
    /// When it was written, in microseconds since 1970-01-01 UTC.
    pub time_us: i64,
    /// Which start of the program it belongs to; the first is 1, and 0 is before any start.
    pub attempt: u32,
    /// What the payload is.
    pub kind: Kind,
    /// Bytes of output, or the JSON of an event.
    pub payload: Bytes,
}

impl Record {
    /// Returns the event that the record holds; `None` for output.
    ///
    /// A payload that is no event of this version is [`JournalEvent::Unknown`].
    #[must_use]
    pub fn event(&self) -> Option<JournalEvent> {
        (self.kind == Kind::Event)
            .then(|| serde_json::from_slice(&self.payload).unwrap_or(JournalEvent::Unknown))
    }
}
