//! Records of what a reader finds in a journal, for handlers and subscriptions.

use std::sync::Arc;
use std::{iter, option};

use uuid::Uuid;

use crate::output::{Journal, JournalItem, JournalLines, Line};
use crate::types::{EventRecord, ExecutionEvent, ExecutionMetadata, OutputStream};

/// The execution or plan that records are about.
#[derive(Debug, Clone, Default)]
pub(super) struct RecordSource {
    id: Uuid,
    metadata: Option<Arc<ExecutionMetadata>>,
}

/// Records of one item of a journal that a handler has not received yet.
pub struct HandlerRecords(PendingRecords);

#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum PendingRecords {
    Lines(RecordSource, JournalLines),
    Events(iter::Chain<option::IntoIter<EventRecord>, option::IntoIter<EventRecord>>),
}

impl HandlerRecords {
    pub(super) fn of_lines(source: RecordSource, lines: JournalLines) -> Self {
        Self(PendingRecords::Lines(source, lines))
    }

    /// Returns the records of an event, and of the lines that were missed before it.
    pub(super) fn of_event(missed: Option<EventRecord>, event: Option<EventRecord>) -> Self {
        Self(PendingRecords::Events(missed.into_iter().chain(event)))
    }

    /// Returns the number of lines that are left; `None` if these are no lines.
    pub(super) fn lines_left(&self) -> Option<u64> {
        match &self.0 {
            PendingRecords::Lines(_, lines) => Some(lines.count()),
            PendingRecords::Events(_) => None,
        }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<EventRecord> {
        match &mut self.0 {
            PendingRecords::Lines(source, lines) => source.line(lines),
            PendingRecords::Events(events) => events.next(),
        }
    }
}

impl RecordSource {
    pub(super) fn of(journal: &Journal) -> Self {
        Self { id: journal.id(), metadata: journal.metadata() }
    }

    /// Returns the next of some lines as a record.
    #[inline]
    pub(super) fn line(&self, lines: &mut JournalLines) -> Option<EventRecord> {
        let (sequence, Line { text: line, is_partial, .. }) = lines.next()?;
        let execution_id = self.id;
        let event = match lines.stream() {
            OutputStream::Stdout => ExecutionEvent::Stdout { execution_id, line },
            OutputStream::Stderr => ExecutionEvent::Stderr { execution_id, line },
        };
        Some(EventRecord {
            sequence,
            timestamp: lines.at,
            execution_id,
            partial: is_partial,
            event,
            metadata: self.metadata.clone(),
            containment: None,
        })
    }

    /// Returns the record of an item that is one record by itself; `None` for output.
    pub(super) fn event(&self, item: JournalItem) -> Option<EventRecord> {
        let execution_id = self.id;
        let (sequence, timestamp, event, containment) = match item {
            JournalItem::Event { sequence, at, event, receipt } => (sequence, at, event, receipt),
            JournalItem::Missed { sequence, at, bytes } => {
                (sequence, at, ExecutionEvent::OutputMissed { execution_id, bytes }, None)
            }
            JournalItem::Lines(_) | JournalItem::Chunk { .. } => return None,
        };
        let metadata = self.metadata.clone();
        let partial = false;
        Some(EventRecord {
            sequence,
            timestamp,
            execution_id,
            partial,
            event,
            metadata,
            containment,
        })
    }
}
