//! Records of a subscription: an event or a piece of output with its sequence number and its time.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ContainmentReceipt, ExecutionEvent, ExecutionMetadata, OutputStream, json_form, text_or_numbers,
};

/// Event of an execution with its position in the sequence of events.
///
/// Sequence numbers grow strictly within an execution: by one for each byte of output, for each
/// event that is not output, and for each piece of a line that is delivered although it is not
/// finished (a prompt, the end of a stream without a newline). So they order the lines of both
/// streams by the moment at which they were read, and
/// [`subscribe_from`](crate::ExecutionEngine::subscribe_from) continues after any of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventRecord {
    /// Position: for a line, that of its last byte; for an unfinished one, the position after it.
    pub sequence: u64,
    /// When it happened; for a line, when its last byte was read. Lines that came within 20 ms of
    /// each other may have the same time.
    pub timestamp: DateTime<Utc>,
    /// The execution; nil in [`ExecutionEvent::ExecutionsMissed`].
    pub execution_id: Uuid,
    /// For a line, `true` if no line ending followed: it is a piece of a long line, or was
    /// delivered before it was finished. What follows on that stream belongs to the same line.
    #[serde(default)]
    pub partial: bool,
    /// What happened.
    pub event: ExecutionEvent,
    /// Notes of the request, such as its tags, if it has any. All records of an execution share them,
    /// and they are no part of the JSON: a [summary](crate::ExecutionSummary::metadata) has them.
    #[serde(skip)]
    pub metadata: Option<Arc<ExecutionMetadata>>,
    /// Receipt of the containment, with the last event of an execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<Box<ContainmentReceipt>>,
}

/// Output as it was read, or an event, of
/// [`subscribe_chunks`](crate::ExecutionEngine::subscribe_chunks).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChunkRecord {
    /// Position, in the same numbers as those of an [`EventRecord`]: for output, that of the last
    /// byte.
    pub sequence: u64,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// The execution.
    pub execution_id: Uuid,
    /// Output or event.
    pub content: ChunkContent,
}

/// Content of a [`ChunkRecord`].
///
/// In JSON: `{"type":"output","stream":"stdout","data":"text"}` (or a list of numbers if the bytes
/// are not UTF-8), `{"type":"event","event":{"type":"started","..":".."}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ChunkContentJson", into = "ChunkContentJson")]
#[non_exhaustive]
pub enum ChunkContent {
    /// Some bytes of a stream, at most 64 KiB, cut anywhere.
    Output {
        /// The stream.
        stream: OutputStream,
        /// The bytes; in JSON as `data`.
        bytes: Bytes,
    },
    /// An event that is not output.
    Event(ExecutionEvent),
}

// An event has a `type` of its own, so it needs a field.
json_form! {
    ChunkContentJson for ChunkContent {
        Output {
            stream: OutputStream,
            #[serde(with = "text_or_numbers")]
            data: Bytes
        } = Output { stream, bytes: data };
        Event { event: ExecutionEvent } = Event(event);
    }
}

impl From<EventRecord> for ChunkRecord {
    fn from(record: EventRecord) -> Self {
        let EventRecord { sequence, timestamp, execution_id, event, .. } = record;
        Self { sequence, timestamp, execution_id, content: ChunkContent::Event(event) }
    }
}
