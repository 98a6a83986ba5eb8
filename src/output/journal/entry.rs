//! What a journal is made of: small entries in the order in which things happened.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::types::{ContainmentReceipt, ExecutionEvent, ExecutionStatus, OutputStream};

/// One thing that an execution has published.
#[derive(Debug, Clone)]
pub(crate) struct JournalEntry {
    /// The sequence before it; it ends at this plus its length.
    pub(super) from: u64,
    /// When, in microseconds of the system's clock.
    pub(super) at: i64,
    pub(super) length: u32,
    /// How much of the sequence before it was no output.
    pub(super) others: u32,
    pub(super) what: EntryKind,
}

#[derive(Debug, Clone)]
pub(super) enum EntryKind {
    /// Output that is kept: a part of its stream's store.
    Kept(Span),
    /// Of the unfinished line of a stream so much is told as it is, which ends at the offset.
    Cut(Span),
    Event(EventPayload),
    /// Output beyond what is kept, held for a while for those who watch.
    Evictable(Box<Evictable>),
}

/// An event, small where there is one in each journal.
#[derive(Debug, Clone)]
pub(super) enum EventPayload {
    Started {
        pid: u32,
    },
    Status {
        from: ExecutionStatus,
        to: ExecutionStatus,
    },
    Event(Box<ExecutionEvent>),
    /// The last event, with the receipt.
    Last(Box<(ExecutionEvent, ContainmentReceipt)>),
}

/// Where some output is in its stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// The number of bytes of the stream before it.
    pub(super) offset: u64,
    /// The length of the unfinished line before it.
    pub(super) unfinished: u32,
    pub(super) stream: OutputStream,
}

#[derive(Debug, Clone)]
pub(super) struct Evictable {
    pub(super) span: Span,
    pub(super) held: Buffer,
}

#[derive(Debug, Clone)]
pub(super) enum Buffer {
    /// Small ones grow until they are worth it.
    Open(Vec<u8>),
    Closed(Bytes),
}

impl Span {
    /// Where the line that is unfinished before it begins.
    pub(super) fn line_start(&self) -> u64 {
        self.offset - u64::from(self.unfinished)
    }
}

impl Buffer {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Open(bytes) => bytes,
            Self::Closed(bytes) => bytes,
        }
    }

    pub(super) fn part(&self, from: usize, to: usize) -> Bytes {
        match self {
            Self::Open(bytes) => Bytes::copy_from_slice(&bytes[from..to]),
            Self::Closed(bytes) => bytes.slice(from..to),
        }
    }
}

impl JournalEntry {
    pub(super) fn end(&self) -> u64 {
        self.from + u64::from(self.length)
    }

    /// The same without output that a record does not keep: of each stream that is so much. None if
    /// nothing is left.
    pub(super) fn kept(&self, kept: [u64; 2]) -> Option<Self> {
        let length = match &self.what {
            EntryKind::Evictable(_) => 0,
            EntryKind::Kept(span) => {
                let left = kept[span.stream.index()].saturating_sub(span.offset);
                self.length.min(u32::try_from(left).unwrap_or(u32::MAX))
            }
            EntryKind::Cut(_) | EntryKind::Event(_) => self.length,
        };
        (length > 0).then(|| Self { length, ..self.clone() })
    }

    /// Where its output is in its stream; None if it is none.
    pub(super) fn span(&self) -> Option<&Span> {
        match &self.what {
            EntryKind::Kept(span) => Some(span),
            EntryKind::Evictable(loose) => Some(&loose.span),
            EntryKind::Cut(_) | EntryKind::Event(_) => None,
        }
    }

    /// How much of its first part, which is so long, is no output.
    pub(super) fn others_in(&self, length: u64) -> u32 {
        match self.span() {
            Some(_) => 0,
            None => u32::try_from(length).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn is_loose(&self) -> bool {
        matches!(self.what, EntryKind::Evictable(_))
    }

    pub(super) fn timestamp(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.at).unwrap_or_default()
    }
}

/// Positions in memory fit into memory.
pub(super) fn to_index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
