//! What a journal consists of: entries in the order of publication, each with the exact position
//! where it starts.

use chrono::{DateTime, Utc};

use crate::output::capture::Buffer;
use crate::output::lines::UnfinishedLine;
use crate::types::{ContainmentReceipt, ExecutionEvent, ExecutionStatus, OutputStream};

/// A place between two bytes or entries: an exact count of everything before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct JournalPosition {
    /// Bytes of each stream.
    pub(super) bytes: [u64; 2],
    /// Events, and flushes of partial lines.
    pub(super) non_output: u64,
}

/// One published thing, or a gap. It ends where the next entry starts.
#[derive(Debug, Clone)]
pub(crate) struct JournalEntry {
    pub(super) start: JournalPosition,
    /// Each stream's unfinished line at the start.
    pub(super) unfinished: [UnfinishedLine; 2],
    /// When, in microseconds of the system's clock; never earlier than the entry before.
    pub(super) at: i64,
    pub(super) kind: EntryKind,
}

#[derive(Debug, Clone)]
pub(super) enum EntryKind {
    Event(EventPayload),
    /// Output that stays as long as the journal: part of what its stream's capture stores.
    Kept(OutputStream),
    /// The beginning of an unfinished line is published as it is.
    Partial(OutputStream),
    /// Evicted output, flushes of partial lines, and events of attempts.
    Gap,
    /// Output beyond what is kept, until it is evicted.
    Evictable(OutputStream, Box<Buffer>),
}

/// An event. The two that every journal has are small; all others are on the heap.
#[derive(Debug, Clone)]
pub(crate) enum EventPayload {
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

impl From<ExecutionEvent> for EventPayload {
    fn from(event: ExecutionEvent) -> Self {
        Self::Event(Box::new(event))
    }
}

impl EventPayload {
    /// Returns `true` for the events that each attempt has: it has been started, or has failed.
    pub(super) fn is_of_attempt(&self) -> bool {
        match self {
            Self::Started { .. } => true,
            Self::Event(event) => matches!(**event, ExecutionEvent::Retrying { .. }),
            Self::Status { .. } | Self::Last(_) => false,
        }
    }

    /// Returns `true` if nothing follows it.
    pub(super) fn is_terminal(&self) -> bool {
        match self {
            Self::Started { .. } | Self::Status { .. } => false,
            Self::Event(event) => event.is_terminal(),
            Self::Last(_) => true,
        }
    }
}

impl JournalPosition {
    /// Returns the sequence number of the last thing before this position.
    pub(super) fn sequence(&self) -> u64 {
        self.output() + self.non_output
    }

    /// Returns the number of bytes of both streams before this position.
    pub(super) fn output(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// Returns the position that a sequence number names inside the gap from here to `end`.
    ///
    /// Nothing records the order inside a gap. It is defined instead: first what is no output, then
    /// stdout, then stderr. So the loss of a reader that resumes there is never reported too small.
    pub(super) fn inside_gap(&self, end: Self, sequence: u64) -> Self {
        let mut left = end.sequence() - sequence;
        let mut position = end;
        for (bytes, start) in position.bytes.iter_mut().zip(self.bytes).rev() {
            let after = left.min(*bytes - start);
            *bytes -= after;
            left -= after;
        }
        position.non_output -= left;
        position
    }
}

/// Returns the process id of the last program that was started.
pub(super) fn last_pid<'a>(
    entries: impl DoubleEndedIterator<Item = &'a JournalEntry>,
) -> Option<u32> {
    entries.rev().find_map(|entry| match entry.kind {
        EntryKind::Event(EventPayload::Started { pid }) => Some(pid),
        _ => None,
    })
}

impl JournalEntry {
    /// Returns true for an event of an attempt.
    pub(super) fn is_event_of_attempt(&self) -> bool {
        matches!(&self.kind, EntryKind::Event(event) if event.is_of_attempt())
    }

    /// Returns the stream of an entry that holds output.
    pub(super) fn stream(&self) -> Option<OutputStream> {
        match self.kind {
            EntryKind::Kept(stream) | EntryKind::Evictable(stream, _) => Some(stream),
            EntryKind::Event(_) | EntryKind::Partial(_) | EntryKind::Gap => None,
        }
    }

    pub(super) fn is_gap(&self) -> bool {
        matches!(self.kind, EntryKind::Gap)
    }

    pub(super) fn timestamp(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.at).unwrap_or_default()
    }
}
