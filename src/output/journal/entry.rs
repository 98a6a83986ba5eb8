//! What a journal is made of: small entries in the order in which things happened.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{ContainmentReceipt, ExecutionEvent, ExecutionStatus, Stream};

/// One thing that an execution has published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The sequence before it; it ends at this plus its length.
    pub(super) from: u64,
    /// When, in microseconds of the system's clock.
    pub(super) at: i64,
    pub(super) length: u32,
    /// How much of the sequence before it was no output.
    pub(super) others: u32,
    pub(super) what: What,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum What {
    /// Output that is kept: a part of its stream's store.
    Kept(Span),
    /// Of the unfinished line of a stream so much is told as it is, which ends at the offset.
    Cut(Span),
    Told(Told),
    /// Output beyond what is kept, held for a while for those who watch.
    // Those that are not serialized come last, because the others are numbered.
    #[serde(skip)]
    Loose(Box<Loose>),
}

/// An event, small where there is one in each journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Told {
    Started {
        pid: u32,
    },
    Status {
        from: ExecutionStatus,
        to: ExecutionStatus,
    },
    #[serde(skip)]
    Event(Box<ExecutionEvent>),
    /// The last event, with the receipt.
    #[serde(skip)]
    Last(Box<(ExecutionEvent, ContainmentReceipt)>),
}

/// Where some output is in its stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Span {
    /// The number of bytes of the stream before it.
    pub(super) offset: u64,
    /// The length of the unfinished line before it.
    pub(super) unfinished: u32,
    pub(super) stream: Stream,
}

#[derive(Debug, Clone)]
pub(super) struct Loose {
    pub(super) span: Span,
    pub(super) held: Held,
}

#[derive(Debug, Clone)]
pub(super) enum Held {
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

impl Held {
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

impl Entry {
    pub(super) fn end(&self) -> u64 {
        self.from + u64::from(self.length)
    }

    /// The same without output that a record does not keep: of each stream that is so much. None if
    /// nothing is left.
    pub(super) fn kept(&self, kept: [u64; 2]) -> Option<Self> {
        let length = match &self.what {
            What::Loose(_) => 0,
            What::Kept(span) => {
                let left = kept[span.stream.index()].saturating_sub(span.offset);
                self.length.min(u32::try_from(left).unwrap_or(u32::MAX))
            }
            What::Cut(_) | What::Told(_) => self.length,
        };
        (length > 0).then(|| Self { length, ..self.clone() })
    }

    /// Where its output is in its stream; None if it is none.
    pub(super) fn span(&self) -> Option<&Span> {
        match &self.what {
            What::Kept(span) => Some(span),
            What::Loose(loose) => Some(&loose.span),
            What::Cut(_) | What::Told(_) => None,
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
        matches!(self.what, What::Loose(_))
    }

    pub(super) fn timestamp(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.at).unwrap_or_default()
    }
}

/// Positions in memory fit into memory.
pub(super) fn to_index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
