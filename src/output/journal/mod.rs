//! The journal of an execution: output and events in the order of publication, for any number of
//! readers.
//!
//! # Model
//!
//! A journal is a list of entries without holes. An entry is output of one stream (kept, or
//! evictable), an event, the flush of a partial line, or a gap. An entry starts at a position: the
//! exact number of bytes of stdout, bytes of stderr, and other entries before it. It ends where the
//! next one starts, so no length is stored and none can be wrong. The sequence number is the sum of
//! the three, so it grows by one per byte of output and by one per other entry. Readers of lines
//! and of chunks share these numbers.
//!
//! Kept output stays as long as the journal. Other output is evictable: a window of the last bytes
//! is held, and what a pinned reader, a handler, has not read. The writer waits for pinned readers
//! only. Evicting an entry turns it into a gap, and gaps that touch become one. Nothing is counted
//! then: what a reader misses is the difference between the end of the gap and its own position.
//!
//! # Invariants
//!
//! - The first entry starts at 0. Positions grow strictly from entry to entry.
//! - No two gaps touch. The only events that become a gap are those of attempts, where there are very
//!   many.
//! - A reader's position is exact, so what it got and what it missed is all that was written.
//! - A line is told or missed when it ends, or a piece of it does. So behind each sequence there is
//!   the same to tell and to miss, whatever a reader has held of an unfinished line before.
//! - A reader that resumes strictly inside a gap has no such position. It starts at the end of the
//!   gap, and misses as many bytes as lie between, and the longest lines that may have been
//!   unfinished. If flushes of partial lines were evicted, too, their place among the bytes is not
//!   known: they are taken to come first. So the number is never too small.
//!
//! # Memory
//!
//! What the capture keeps, the window, and what pinned readers have not read (the writer pauses for
//! them). At most [`MAX_ENTRIES`](state::MAX_ENTRIES) entries beside events and the gaps between
//! those: if there are more, the oldest output becomes a gap, kept output as well, which stays in
//! the result. Small pieces of one stream share an entry.

mod cursor;
mod entry;
mod kept;
mod lookup;
mod page;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use super::capture::{Capture, CapturedOutput, StreamTotals};
use super::lines::PartialFlush;
use super::overflow::OverflowFile;
use crate::config::OversizedOutputStrategy;
use crate::types::{
    ContainmentReceipt, ExecutionEvent, ExecutionMetadata, ExecutionStatus, HistoryOutput,
    OutputStream,
};
use crate::waker;
pub(crate) use cursor::{JournalCursor, JournalItem, JournalLines, View};
pub(crate) use entry::EventPayload;
use entry::{EntryKind, JournalEntry, JournalPosition};
use lookup::Lookup;
use state::JournalState;
pub(crate) use state::is_worth_holding;

/// How much a journal keeps and holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JournalLimits {
    /// Bytes kept per stream.
    pub(crate) limit: usize,
    pub(crate) oversized: OversizedOutputStrategy,
    /// Bytes of output held beyond what is kept.
    pub(crate) window: usize,
    /// Longest line that is published in one piece, in bytes.
    pub(crate) max_line_bytes: usize,
}

/// The execution or plan that a journal belongs to. The id alone does not identify it: when an
/// execution is forgotten, a later one may have its id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct JournalOwner {
    pub(crate) id: Uuid,
    /// Its number in the order of acceptance, which no other execution or plan of its engine has.
    pub(crate) number: u64,
}

/// The journal of one execution. One writer appends, the supervisor; readers follow at their own
/// pace, each with a [`JournalCursor`].
#[derive(Debug)]
pub(crate) struct Journal {
    owner: JournalOwner,
    command: Arc<str>,
    /// None if the request has none, or is not of an execution.
    metadata: Option<Arc<ExecutionMetadata>>,
    max_line_bytes: usize,
    state: Mutex<JournalState>,
}

/// What became of a chunk of output.
#[derive(Debug, Default)]
pub(crate) struct Appended {
    /// It completed a line.
    pub(crate) has_lines: bool,
    /// A line of its stream is unfinished now.
    pub(crate) is_unfinished: bool,
    /// What is not kept, in order; None if all of it fits.
    pub(crate) excess: Option<[Bytes; 2]>,
}

/// What a journal says of an execution without its output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JournalTotals {
    /// That of the last program that was started.
    pub(crate) pid: Option<u32>,
    pub(crate) streams: [StreamTotals; 2],
}

/// What a record keeps of a journal.
#[derive(Debug, Clone, Default)]
pub(crate) struct SealedJournal {
    pub(crate) output: [CapturedOutput; 2],
    entries: Box<[JournalEntry]>,
    end: JournalPosition,
    max_line_bytes: usize,
}

impl SealedJournal {
    pub(crate) fn totals(&self) -> JournalTotals {
        let streams = self.output.each_ref().map(CapturedOutput::totals);
        JournalTotals { pid: entry::last_pid(self.entries.iter()), streams }
    }

    /// Returns the last status that was published.
    pub(crate) fn status_before_the_end(&self) -> ExecutionStatus {
        let status = |entry: &JournalEntry| match entry.kind {
            EntryKind::Event(EventPayload::Status { to, .. }) => Some(to),
            _ => None,
        };
        self.entries.iter().rev().find_map(status).unwrap_or(ExecutionStatus::Pending)
    }
}

impl Journal {
    pub(crate) fn new(owner: JournalOwner, command: Arc<str>, limits: JournalLimits) -> Self {
        let JournalLimits { limit, oversized, window, max_line_bytes } = limits;
        let captures = [Capture::new(limit, oversized), Capture::new(limit, oversized)];
        let state = JournalState::new(captures, window, max_line_bytes);
        Self { owner, command, metadata: None, max_line_bytes, state: Mutex::new(state) }
    }

    /// Makes the journal of an ended execution from its record. The caller appends the last event.
    pub(crate) fn revive(owner: JournalOwner, command: Arc<str>, sealed: &SealedJournal) -> Self {
        let max_line_bytes = sealed.max_line_bytes;
        let captures = sealed.output.each_ref().map(Capture::of);
        let mut state = JournalState::new(captures, 0, max_line_bytes);
        state.entries.extend(sealed.entries.iter().cloned());
        state.end = sealed.end;
        Self { owner, command, metadata: None, max_line_bytes, state: Mutex::new(state) }
    }

    /// Makes the journal of an execution of the history: its output, without its events. Its pages are
    /// exact, its lines may begin where output is missing.
    pub(crate) fn of_history(id: Uuid, output: &HistoryOutput, is_ended: bool) -> Self {
        let (oversized, max_line_bytes) =
            (OversizedOutputStrategy::TruncateWithWarning, usize::MAX);
        let limits = JournalLimits { limit: 0, oversized, window: usize::MAX, max_line_bytes };
        let journal = Self::new(JournalOwner { id, number: 0 }, "".into(), limits);
        journal.write(|state| state.restore(output, is_ended));
        journal
    }

    /// Returns the output that is held.
    pub(crate) fn kept_output(&self) -> HistoryOutput {
        self.state.lock().kept_output()
    }

    /// Lets its records have these notes of the request.
    pub(crate) fn with_metadata(self, metadata: Option<Arc<ExecutionMetadata>>) -> Self {
        Self { metadata, ..self }
    }

    pub(crate) fn metadata(&self) -> Option<Arc<ExecutionMetadata>> {
        self.metadata.clone()
    }

    pub(crate) fn id(&self) -> Uuid {
        self.owner.id
    }

    pub(crate) fn owner(&self) -> JournalOwner {
        self.owner
    }

    /// Returns the sequence of the last thing that was published.
    pub(crate) fn end(&self) -> u64 {
        self.state.lock().end.sequence()
    }

    /// Returns the sequence of the last thing that was published, and whether nothing follows.
    pub(crate) fn reach(&self) -> (u64, bool) {
        let state = self.state.lock();
        (state.end.sequence(), state.closed)
    }

    /// Appends what was read of a stream. Takes the whole buffer if it is worth holding as it is.
    pub(crate) fn append(&self, stream: OutputStream, buffer: &mut Vec<u8>) -> Appended {
        self.write(|state| state.append(stream, buffer, None))
    }

    /// Like [`append`](Self::append), for a chunk that another one holds, too: it is held as it is
    /// rather than copied. The buffer gets memory for the next read.
    pub(crate) fn append_shared(
        &self,
        stream: OutputStream,
        chunk: &Bytes,
        buffer: &mut Vec<u8>,
    ) -> Appended {
        self.write(|state| state.append(stream, buffer, Some(chunk)))
    }

    /// Publishes the unfinished line of a stream as it is; returns `true` if there was one.
    pub(crate) fn flush_partial(&self, stream: OutputStream, flush: PartialFlush) -> bool {
        self.write(|state| state.flush_partial(stream, flush))
    }

    /// Leaves a gap for bytes of a stream that never came.
    pub(crate) fn miss(&self, stream: OutputStream, bytes: u64) {
        self.write(|state| state.miss(stream, bytes));
    }

    /// Closes it without an event: the execution was refused after all.
    pub(crate) fn close(&self) {
        self.write(|state| state.closed = true);
    }

    /// Publishes an event, and closes the journal behind a terminal one.
    pub(crate) fn event(&self, at: DateTime<Utc>, event: impl Into<EventPayload>) {
        self.append_event(at, event);
        self.wake();
    }

    /// Like [`event`](Self::event), without waking the readers: for a caller that holds a lock.
    pub(crate) fn append_event(&self, at: DateTime<Utc>, event: impl Into<EventPayload>) {
        let (event, mut state) = (event.into(), self.state.lock());
        state.closed |= event.is_terminal();
        state.push_event(at, event);
    }

    /// Wakes the readers.
    pub(crate) fn wake(&self) {
        self.write(|_| ());
    }

    /// Notes the file that has the rest of a stream.
    pub(crate) fn overflows_into(&self, stream: OutputStream, file: Arc<OverflowFile>) {
        self.state.lock().stream(stream).capture.overflow = Some(file);
    }

    /// Begins keeping anew, for another attempt. What was kept so far is held only as long as other
    /// output that is not kept.
    pub(crate) fn start_over(&self) {
        self.state.lock().start_over();
    }

    /// Returns the number of bytes of each stream so far.
    pub(crate) fn seen(&self) -> [u64; 2] {
        self.state.lock().end.bytes
    }

    pub(crate) fn totals(&self) -> JournalTotals {
        let state = self.state.lock();
        let streams = state.streams.each_ref().map(|stream| stream.capture.totals());
        JournalTotals { pid: entry::last_pid(state.entries.iter()), streams }
    }

    /// Ends keeping, and returns what a record keeps. No output may follow.
    pub(crate) fn seal(&self) -> SealedJournal {
        SealedJournal { max_line_bytes: self.max_line_bytes, ..self.state.lock().seal() }
    }

    /// Makes a pin: a reader's place that the writer waits for. See [`behind`](Self::behind).
    pub(crate) fn pin(&self) -> usize {
        let mut state = self.state.lock();
        let start = state.end.sequence();
        state.pins.push(start);
        state.pins.len() - 1
    }

    /// Returns how much of the sequence a pinned reader has not read; `u64::MAX` if that is too
    /// many small entries.
    pub(crate) fn behind(&self, pin: usize) -> u64 {
        let state = self.state.lock();
        match state.end.sequence() - state.pins[pin] {
            0 => 0,
            _ if state.is_crowded() => u64::MAX,
            distance => distance,
        }
    }

    /// Returns the next item for a reader, up to this end; None if there is none yet.
    pub(crate) fn next(&self, cursor: &mut JournalCursor, end: u64) -> Option<JournalItem> {
        loop {
            if let Some(item) = cursor.rest() {
                return Some(item);
            }
            let found = self.state.lock().find(cursor, end)?;
            if let Some(item) = self.item(cursor, found) {
                return Some(item);
            }
        }
    }

    /// Like [`next`](Self::next), for a reader that is woken for more; Ready(None) after the last
    /// item.
    pub(crate) fn poll_next(
        &self,
        cursor: &mut JournalCursor,
        reader: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<JournalItem>> {
        loop {
            if let Some(item) = self.next(cursor, u64::MAX) {
                return Poll::Ready(Some(item));
            }
            let state = self.state.lock();
            if cursor.position != state.end {
                // Published before the lock was taken again.
                continue;
            }
            if state.closed {
                return Poll::Ready(None);
            }
            wake_later(state, reader, cx);
            return Poll::Pending;
        }
    }

    /// Registers a reader for [`poll_next`](Self::poll_next), and returns its number.
    pub(crate) fn enter(&self) -> u64 {
        let mut state = self.state.lock();
        state.readers += 1;
        state.readers
    }

    /// Removes a reader.
    pub(crate) fn leave(&self, reader: u64) {
        let waker = self.state.lock().wakers.remove(&reader);
        drop(waker);
    }

    /// Makes a reader of what comes after a sequence number; 0 is before everything.
    pub(crate) fn reader(&self, view: View, after: u64) -> JournalCursor {
        let mut cursor = JournalCursor::new(view, self.max_line_bytes);
        self.state.lock().place(&mut cursor, after);
        cursor
    }

    /// Returns the first item of what was found; None if the reader sees nothing of it.
    fn item(&self, cursor: &mut JournalCursor, found: Lookup) -> Option<JournalItem> {
        match found {
            Lookup::Output(output) => cursor.read(output),
            Lookup::Partial { stream, length, end, at } => cursor.flush(stream, length, end, at),
            Lookup::Missed(item) => Some(item),
            Lookup::Event { end, at, payload } => {
                let (event, receipt) = self.event_of(payload);
                Some(JournalItem::Event { sequence: end, at, event, receipt })
            }
        }
    }

    fn event_of(&self, payload: EventPayload) -> (ExecutionEvent, Option<Box<ContainmentReceipt>>) {
        let execution_id = self.owner.id;
        let event = match payload {
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

    /// Changes the state, then wakes the readers without the lock held.
    fn write<T>(&self, change: impl FnOnce(&mut JournalState) -> T) -> T {
        let mut state = self.state.lock();
        let changed = change(&mut state);
        if state.wakers.is_empty() {
            return changed;
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_values().for_each(waker::wake);
        changed
    }
}

/// Lets a reader be woken by the next write.
fn wake_later(mut state: MutexGuard<'_, JournalState>, reader: u64, cx: &mut Context<'_>) {
    let before = state.wakers.insert(reader, cx.waker().clone());
    // Dropped without the lock: a foreign task may end with it, and read here.
    drop(state);
    drop(before);
}
