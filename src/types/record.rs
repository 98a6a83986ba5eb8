use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ContainmentReceipt, ExecutionEvent, OutputStream};

/// One thing that happened to an execution, with its place in the order of things.
///
/// Sequence numbers grow strictly within an execution: by one for each byte of output, for each event
/// that is not output, and for each piece of a line that is told although nothing has finished it (a
/// prompt, the end of a stream without a newline). So they order the lines of both streams by the
/// moment at which they were read, and
/// [`subscribe_from`](crate::ExecutionEngine::subscribe_from) takes up behind any of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventRecord {
    /// Its place: for a line, that of its last byte; for one that nothing has finished, the one after it.
    pub sequence: u64,
    /// When it happened; for a line, when its last byte was read. Lines that came within 20 ms of
    /// each other may have the same time.
    pub timestamp: DateTime<Utc>,
    /// The execution; nil in [`ExecutionEvent::ExecutionsMissed`].
    pub execution_id: Uuid,
    /// For a line, whether no line ending followed: it is a piece of a long line, or was told before
    /// it was finished. What follows on that stream belongs to the same line.
    #[serde(default)]
    pub partial: bool,
    /// What happened.
    pub event: ExecutionEvent,
    /// With the last event of an execution: what was done so that nothing outlives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<Box<ContainmentReceipt>>,
}

/// Output as it was read, or an event: see
/// [`subscribe_chunks`](crate::ExecutionEngine::subscribe_chunks).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChunkRecord {
    /// Its place, among the same numbers as those of an [`EventRecord`]: for output, that of the
    /// last byte.
    pub sequence: u64,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// The execution.
    pub execution_id: Uuid,
    /// What it is.
    pub content: ChunkContent,
}

/// What a [`ChunkRecord`] holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkContent {
    /// Some bytes of a stream, at most 64 KiB, cut anywhere.
    Output {
        /// The stream.
        stream: OutputStream,
        /// The bytes.
        bytes: Bytes,
    },
    /// Something that is not output.
    Event(ExecutionEvent),
}

impl From<EventRecord> for ChunkRecord {
    fn from(record: EventRecord) -> Self {
        let EventRecord { sequence, timestamp, execution_id, event, .. } = record;
        Self { sequence, timestamp, execution_id, content: ChunkContent::Event(event) }
    }
}
