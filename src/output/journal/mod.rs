//! The journal of an execution: what it has published so far, output and events in one sequence.
//!
//! One writer appends, the supervisor of the execution; any number of readers follow, each at its
//! own pace. What is kept of the output is held for as long as the execution is remembered. Output
//! beyond that is held for a while: a window of the last bytes, and whatever a handler has still to
//! be told, for the writer waits for handlers. It waits for nobody else: who falls behind the window
//! is told how much was missed.
//!
//! The sequence grows by one for each byte of output and for each other entry. So a line and a raw
//! chunk can name the same place, and how much lies between two places is a subtraction.

mod cursor;
mod entry;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::capture::{Capture, CapturedOutput, KeepPolicy};
use super::lines::Cut;
use super::overflow::OverflowFile;
use crate::types::{ContainmentReceipt, ExecutionEvent, ExecutionStatus, OutputStream};
use cursor::Lookup;
pub(crate) use cursor::{JournalCursor, JournalItem, JournalLines, View};
pub(crate) use entry::JournalEntry;
use entry::{EntryKind, EventPayload};
use state::JournalState;

/// How much a journal keeps and holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JournalLimits {
    /// Bytes kept per stream.
    pub(crate) limit: usize,
    pub(crate) keep: KeepPolicy,
    /// Bytes of output held beyond what is kept.
    pub(crate) window: usize,
    /// The longest line that travels in one piece, in bytes.
    pub(crate) max_line_bytes: usize,
}

/// Whose journal it is. An id alone does not say that: when an execution is forgotten, the next one may
/// have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct JournalOwner {
    pub(crate) id: Uuid,
    pub(crate) accepted_at: DateTime<Utc>,
}

#[derive(Debug)]
pub(crate) struct Journal {
    owner: JournalOwner,
    command: Arc<str>,
    max_line_bytes: usize,
    inner: Mutex<JournalState>,
}

/// What became of a chunk of output.
#[derive(Debug, Default)]
pub(crate) struct Appended {
    /// Whether it completed a line.
    pub(crate) has_lines: bool,
    /// Whether a line is unfinished now.
    pub(crate) is_unfinished: bool,
    /// What is not kept, in order; None if all of it fits.
    pub(crate) excess: Option<[Bytes; 2]>,
}

/// What a record keeps of a journal.
#[derive(Debug, Clone, Default)]
pub(crate) struct SealedJournal {
    pub(crate) output: [CapturedOutput; 2],
    entries: Box<[JournalEntry]>,
    end: u64,
    others: u32,
    max_line_bytes: usize,
}

impl SealedJournal {
    /// The last status that was told.
    pub(crate) fn status_before_the_end(&self) -> ExecutionStatus {
        let status = |entry: &JournalEntry| match entry.what {
            EntryKind::Event(EventPayload::Status { to, .. }) => Some(to),
            _ => None,
        };
        self.entries.iter().rev().find_map(status).unwrap_or(ExecutionStatus::Pending)
    }
}

impl Journal {
    pub(crate) fn new(owner: JournalOwner, command: Arc<str>, holding: JournalLimits) -> Self {
        let JournalLimits { limit, keep, window, max_line_bytes } = holding;
        let captures = [Capture::new(limit, keep), Capture::new(limit, keep)];
        let inner = JournalState::new(captures, window, max_line_bytes);
        Self { owner, command, max_line_bytes, inner: Mutex::new(inner) }
    }

    /// The journal of an ended execution, made again from its record; what follows is appended by
    /// the caller.
    pub(crate) fn revive(owner: JournalOwner, command: Arc<str>, sealed: &SealedJournal) -> Self {
        let max_line_bytes = sealed.max_line_bytes;
        let captures = sealed.output.each_ref().map(Capture::of);
        let mut inner = JournalState::new(captures, 0, max_line_bytes);
        inner.entries.extend(sealed.entries.iter().cloned());
        (inner.end, inner.others) = (sealed.end, sealed.others);
        Self { owner, command, max_line_bytes, inner: Mutex::new(inner) }
    }

    pub(crate) fn id(&self) -> Uuid {
        self.owner.id
    }

    pub(crate) fn owner(&self) -> JournalOwner {
        self.owner
    }

    /// The sequence of the last thing that was published.
    pub(crate) fn end(&self) -> u64 {
        self.lock().end
    }

    /// The same, and whether that was the end.
    pub(crate) fn reach(&self) -> (u64, bool) {
        let inner = self.lock();
        (inner.end, inner.closed)
    }

    /// Takes what was read of a stream. A buffer that it wants to hold it takes as a whole.
    pub(crate) fn append(&self, stream: OutputStream, buffer: &mut Vec<u8>) -> Appended {
        self.write(|inner| inner.append(stream, buffer))
    }

    /// Tells the unfinished line of a stream as it is. Whether there was something to tell.
    pub(crate) fn cut(&self, stream: OutputStream, cut: Cut) -> bool {
        self.write(|inner| inner.cut(stream, cut))
    }

    /// Nothing more comes: the execution was refused after all.
    pub(crate) fn close(&self) {
        self.write(|inner| inner.closed = true);
    }

    pub(crate) fn started(&self, pid: u32) {
        self.write(|inner| inner.tell(Utc::now(), EventPayload::Started { pid }));
    }

    pub(crate) fn status(&self, at: DateTime<Utc>, from: ExecutionStatus, to: ExecutionStatus) {
        self.write(|inner| inner.tell(at, EventPayload::Status { from, to }));
    }

    pub(crate) fn event(&self, at: DateTime<Utc>, event: ExecutionEvent) {
        self.write(|inner| {
            inner.closed |= event.is_terminal();
            inner.tell(at, EventPayload::Event(Box::new(event)));
        });
    }

    /// The last event.
    pub(crate) fn last(
        &self,
        at: DateTime<Utc>,
        event: ExecutionEvent,
        receipt: ContainmentReceipt,
    ) {
        self.write(|inner| {
            inner.closed = true;
            inner.tell(at, EventPayload::Last(Box::new((event, receipt))));
        });
    }

    /// The rest of a stream is in this file.
    pub(crate) fn overflows_into(&self, stream: OutputStream, file: Arc<OverflowFile>) {
        self.lock().stream(stream).capture.overflows_into(file);
    }

    /// Keeping begins anew, for another attempt. What was kept so far is held for a while only, like
    /// all that is not kept.
    pub(crate) fn start_over(&self) {
        self.lock().start_over();
    }

    /// How many bytes of each stream there have been.
    pub(crate) fn seen(&self) -> [u64; 2] {
        let mut inner = self.lock();
        OutputStream::BOTH.map(|stream| inner.stream(stream).capture.seen())
    }

    /// No more output comes. What a record is to keep of this.
    pub(crate) fn seal(&self) -> SealedJournal {
        let max_line_bytes = self.max_line_bytes;
        SealedJournal { max_line_bytes, ..self.lock().seal() }
    }

    /// A new place in the sequence that output waits for: see [`behind`](Self::behind).
    pub(crate) fn pin(&self) -> usize {
        let mut inner = self.lock();
        let start = inner.end;
        inner.pins.push(start);
        inner.pins.len() - 1
    }

    /// How much of the sequence a pinned reader has still to be told.
    pub(crate) fn behind(&self, pin: usize) -> u64 {
        let inner = self.lock();
        match inner.end - inner.pins[pin] {
            0 => 0,
            _ if inner.is_crowded() => u64::MAX,
            distance => distance,
        }
    }

    /// The next piece that a reader has not been told, up to this end. None if there is none yet.
    pub(crate) fn next(&self, cursor: &mut JournalCursor, end: u64) -> Option<JournalItem> {
        loop {
            if let Some(piece) = cursor.rest() {
                return Some(piece);
            }
            let found = self.lock().find(cursor, end)?;
            if let Some(piece) = self.piece(cursor, found) {
                return Some(piece);
            }
        }
    }

    /// The same for a reader that wants to be woken; Ready(None) after the last piece.
    pub(crate) fn poll_next(
        &self,
        cursor: &mut JournalCursor,
        reader: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<JournalItem>> {
        loop {
            if let Some(piece) = cursor.rest() {
                return Poll::Ready(Some(piece));
            }
            let found = {
                let mut inner = self.lock();
                match inner.find(cursor, u64::MAX) {
                    Some(found) => found,
                    None if inner.closed => return Poll::Ready(None),
                    None => {
                        let before = inner.wakers.insert(reader, cx.waker().clone());
                        // Without the lock: what it belongs to is not ours, and may read here, too.
                        drop(inner);
                        drop(before);
                        return Poll::Pending;
                    }
                }
            };
            if let Some(piece) = self.piece(cursor, found) {
                return Poll::Ready(Some(piece));
            }
        }
    }

    /// Names a reader for [`poll_next`](Self::poll_next).
    pub(crate) fn enter(&self) -> u64 {
        let mut inner = self.lock();
        inner.readers += 1;
        inner.readers
    }

    /// Forgets a reader.
    pub(crate) fn leave(&self, reader: u64) {
        let waker = self.lock().wakers.remove(&reader);
        drop(waker);
    }

    /// A reader of what comes after this place; 0 is before everything.
    pub(crate) fn reader(&self, lens: View, after: u64) -> JournalCursor {
        let mut cursor = JournalCursor::new(lens, self.max_line_bytes);
        self.lock().place(&mut cursor, after);
        cursor
    }

    /// What was found, as the reader sees it; None if it sees nothing of it.
    fn piece(&self, cursor: &mut JournalCursor, found: Lookup) -> Option<JournalItem> {
        match found {
            Lookup::Output(output) => cursor.output(&output),
            Lookup::Cut { span, end, at } => cursor.cut(&span, end, at),
            Lookup::Gap { end, at, bytes } => {
                Some(JournalItem::Missed { sequence: end, at, bytes })
            }
            Lookup::Event { end, at, told } => {
                let (event, receipt) = self.event_of(told);
                Some(JournalItem::Event { sequence: end, at, event, receipt })
            }
        }
    }

    fn event_of(&self, told: EventPayload) -> (ExecutionEvent, Option<Box<ContainmentReceipt>>) {
        let execution_id = self.owner.id;
        let event = match told {
            EventPayload::Started { pid } => {
                ExecutionEvent::Started { execution_id, command: self.command.to_string(), pid }
            }
            EventPayload::Status { from, to } => {
                ExecutionEvent::StatusChanged { execution_id, from, to }
            }
            EventPayload::Event(event) => *event,
            EventPayload::Last(last) => {
                let (event, receipt) = *last;
                return (event, Some(Box::new(receipt)));
            }
        };
        (event, None)
    }

    /// Changes it and wakes those who follow, without the lock held.
    fn write<T>(&self, change: impl FnOnce(&mut JournalState) -> T) -> T {
        let mut inner = self.lock();
        let changed = change(&mut inner);
        if inner.wakers.is_empty() {
            return changed;
        }
        let wakers = std::mem::take(&mut inner.wakers);
        drop(inner);
        wakers.into_values().for_each(std::task::Waker::wake);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, JournalState> {
        // What it guards is consistent between any two statements.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
