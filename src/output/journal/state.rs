//! The writing side of a journal: appends entries and evicts old output.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::entry::{EntryKind, EventPayload, JournalEntry, JournalPosition};
use super::{Appended, SealedJournal};
use crate::output::capture::{Buffer, Capture, CaptureSplit, to_index};
use crate::output::lines::{LineSplitter, PartialFlush, UnfinishedLine};
use crate::types::OutputStream;

/// Entries held at most, gaps included, so that the index of much output in small portions stays
/// small, too.
pub(super) const MAX_ENTRIES: usize = 4096;
/// Events of attempts that stay: the first, and the last. So an execution that is retried without end
/// does not grow.
const FIRST_EVENTS: usize = 20;
const LAST_EVENTS: usize = 200;
/// Output of one stream that comes shortly after the other joins its entry, up to this length.
const JOINS_UP_TO: usize = 4096;
const JOINS_WITHIN_MICROS: i64 = 20_000;
/// From this size on a buffer is held as it is rather than copied, if it is half full.
const HELD_AS_IT_IS: usize = 16 * 1024;
/// Longest entry of output that is not kept, in bytes.
pub(super) const LONGEST_PORTION: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct JournalState {
    pub(super) entries: VecDeque<JournalEntry>,
    /// Where the next entry starts.
    pub(super) end: JournalPosition,
    pub(super) streams: [JournalStream; 2],
    /// Most bytes of evictable output.
    window: usize,
    evictable_bytes: usize,
    /// No evictable entry comes before this index.
    first_evictable: usize,
    /// Number of entries that are events of attempts.
    attempt_events: usize,
    /// The memory of an evicted buffer, for the next read: it is still warm.
    spare: Vec<u8>,
    /// Nothing more follows.
    pub(super) closed: bool,
    /// Sequence reached by each reader that the writer waits for.
    pub(super) pins: Vec<u64>,
    pub(super) wakers: HashMap<u64, Waker>,
    pub(super) readers: u64,
}

/// One stream: what is kept of it, and where its lines end.
#[derive(Debug)]
pub(super) struct JournalStream {
    pub(super) capture: Capture,
    pub(super) lines: LineSplitter,
}

impl JournalState {
    pub(super) fn new(captures: [Capture; 2], window: usize, max_line_bytes: usize) -> Self {
        let [stdout, stderr] = captures;
        let stream = |stream, capture| JournalStream {
            capture,
            lines: LineSplitter::new(stream, max_line_bytes),
        };
        Self {
            // The start and the status: an execution that prints nothing has no more for long.
            entries: VecDeque::with_capacity(2),
            end: JournalPosition::default(),
            streams: [stream(OutputStream::Stdout, stdout), stream(OutputStream::Stderr, stderr)],
            window,
            evictable_bytes: 0,
            first_evictable: 0,
            attempt_events: 0,
            spare: Vec::new(),
            closed: false,
            pins: Vec::new(),
            wakers: HashMap::new(),
            readers: 0,
        }
    }

    pub(super) fn stream(&mut self, stream: OutputStream) -> &mut JournalStream {
        &mut self.streams[stream.index()]
    }

    /// Returns where the entry at an index starts, or the end of the journal.
    pub(super) fn position(&self, index: usize) -> JournalPosition {
        self.entries.get(index).map_or(self.end, |entry| entry.start)
    }

    /// Returns the streams' unfinished lines at [`position`](Self::position).
    pub(super) fn unfinished(&self, index: usize) -> [UnfinishedLine; 2] {
        let now = || self.streams.each_ref().map(|stream| stream.lines.unfinished_line());
        self.entries.get(index).map_or_else(now, |entry| entry.unfinished)
    }

    /// Appends a chunk: that in the buffer, or a shared one, for which the buffer is empty.
    pub(super) fn append(
        &mut self,
        stream: OutputStream,
        buffer: &mut Vec<u8>,
        shared: Option<&Bytes>,
    ) -> Appended {
        let at = self.no_earlier(Utc::now());
        let chunk = shared.map_or(&buffer[..], |shared| &shared[..]);
        let CaptureSplit { stored, taken_back } = self.stream(stream).capture.take(chunk);
        let mut has_lines = stored > 0 && self.append_kept(at, stream, &chunk[..stored]);
        let excess = if stored < chunk.len() {
            let bytes = match shared {
                Some(shared) if stored == 0 => shared.clone(),
                None if stored == 0 && is_worth_holding(buffer) => {
                    Bytes::from(std::mem::replace(buffer, std::mem::take(&mut self.spare)))
                }
                _ => Bytes::copy_from_slice(&chunk[stored..]),
            };
            // In portions, because each leaves the window as a whole.
            for start in (0..bytes.len()).step_by(LONGEST_PORTION) {
                let portion = bytes.slice(start..bytes.len().min(start + LONGEST_PORTION));
                has_lines |= self.append_evictable(at, stream, &portion);
            }
            Some([Bytes::from(taken_back), bytes])
        } else {
            None
        };
        self.evict();
        if shared.is_some() {
            *buffer = std::mem::take(&mut self.spare);
        }
        let is_unfinished = self.stream(stream).lines.unfinished() > 0;
        Appended { has_lines, is_unfinished, excess }
    }

    pub(super) fn push_event(&mut self, at: DateTime<Utc>, payload: EventPayload) {
        let is_of_attempt = payload.is_of_attempt();
        self.push(self.no_earlier(at), EntryKind::Event(payload));
        self.end.non_output += 1;
        if is_of_attempt {
            self.attempt_events += 1;
            self.evict_events();
        }
    }

    /// Publishes unfinished lines as they are; returns `true` if there was anything to publish.
    pub(super) fn flush_partial(&mut self, stream: OutputStream, flush: PartialFlush) -> bool {
        let mut has_flushed = false;
        while let Some(length) = self.stream(stream).lines.partial(flush) {
            // The entry starts before the flush, so it comes first.
            self.push(self.no_earlier(Utc::now()), EntryKind::Partial(stream));
            self.stream(stream).lines.discard(length);
            self.end.non_output += 1;
            has_flushed = true;
        }
        has_flushed
    }

    /// Begins keeping anew, for another attempt: what was kept so far becomes evictable.
    pub(super) fn start_over(&mut self) {
        let old = self.streams.each_mut().map(|stream| {
            let fresh = stream.capture.fresh();
            let mut old = std::mem::replace(&mut stream.capture, fresh);
            // Sealed, it shares its bytes with the entries that hold them from now on.
            drop(old.seal());
            old
        });
        for index in 0..self.entries.len() {
            let EntryKind::Kept(stream) = self.entries[index].kind else { continue };
            let capture = &old[stream.index()];
            let [start, end] = [index, index + 1]
                .map(|index| to_index(self.position(index).bytes[stream.index()] - capture.base));
            let buffer = Box::new(Buffer::Complete(capture.buffer.part(start, end)));
            self.evictable_bytes += end - start;
            self.entries[index].kind = EntryKind::Evictable(stream, buffer);
        }
        self.first_evictable = 0;
        self.evict();
        for entry in &mut self.entries {
            // What is left is copied, because a part of a capture holds all of it in memory.
            if let EntryKind::Evictable(_, buffer) = &mut entry.kind
                && let Buffer::Complete(bytes) = &mut **buffer
                && !bytes.is_unique()
            {
                *bytes = Bytes::copy_from_slice(bytes);
            }
        }
    }

    /// Ends keeping, and returns what a record keeps: all but evictable output.
    pub(super) fn seal(&mut self) -> SealedJournal {
        let output = self.streams.each_mut().map(|stream| stream.capture.seal());
        let mut sealed: Vec<JournalEntry> = Vec::with_capacity(self.entries.len());
        for (index, entry) in self.entries.iter().enumerate() {
            let mut gap = JournalEntry { kind: EntryKind::Gap, ..*entry };
            match entry.kind {
                EntryKind::Event(_) | EntryKind::Partial(_) => {
                    sealed.push(entry.clone());
                    continue;
                }
                EntryKind::Kept(stream) => {
                    let (of, start) = (stream.index(), entry.start.bytes[stream.index()]);
                    let kept = self.streams[of].capture.kept_until();
                    if start < kept {
                        sealed.push(entry.clone());
                        if self.position(index + 1).bytes[of] <= kept {
                            continue;
                        }
                        // A character that does not fit as a whole is not kept.
                        let bytes = self.output(index, 0, kept - start).bytes;
                        let longest = self.streams[of].lines.longest();
                        gap.start.bytes[of] = kept;
                        gap.unfinished[of] = entry.unfinished[of].behind(&bytes, longest);
                    }
                }
                EntryKind::Evictable(..) | EntryKind::Gap => {}
            }
            match sealed.last_mut() {
                Some(last) if last.is_gap() => last.at = gap.at,
                _ => sealed.push(gap),
            }
        }
        let entries = sealed.into_boxed_slice();
        SealedJournal { output, entries, end: self.end, ..SealedJournal::default() }
    }

    /// Returns `true` if so many small entries wait to be read that nothing more should come.
    pub(super) fn is_crowded(&self) -> bool {
        self.entries.len() > MAX_ENTRIES
    }

    /// Converts a time; never to one before the last entry's, also if the system's clock is set
    /// back.
    fn no_earlier(&self, at: DateTime<Utc>) -> i64 {
        at.timestamp_micros().max(self.entries.back().map_or(i64::MIN, |last| last.at))
    }

    fn push(&mut self, at: i64, kind: EntryKind) {
        let unfinished = self.unfinished(self.entries.len());
        self.entries.push_back(JournalEntry { start: self.end, unfinished, at, kind });
    }

    /// Adds an entry at the end, with the time of now.
    pub(super) fn push_entry(&mut self, kind: EntryKind) {
        self.push(self.no_earlier(Utc::now()), kind);
    }

    fn append_kept(&mut self, at: i64, stream: OutputStream, bytes: &[u8]) -> bool {
        let joins = matches!(self.joinable(at, stream, bytes.len()), Some(EntryKind::Kept(_)));
        if !joins {
            self.push(at, EntryKind::Kept(stream));
        }
        self.advance(stream, bytes)
    }

    fn append_evictable(&mut self, at: i64, stream: OutputStream, bytes: &Bytes) -> bool {
        self.evictable_bytes += bytes.len();
        if let Some(EntryKind::Evictable(_, buffer)) = self.joinable(at, stream, bytes.len())
            && let Buffer::Growing(growing) = &mut **buffer
        {
            growing.extend_from_slice(bytes);
            return self.advance(stream, bytes);
        }
        let buffer = if bytes.len() < JOINS_UP_TO {
            Buffer::Growing(bytes.to_vec())
        } else {
            Buffer::Complete(bytes.clone())
        };
        self.push(at, EntryKind::Evictable(stream, Box::new(buffer)));
        self.advance(stream, bytes)
    }

    /// Moves the end behind output that the last entry holds; returns `true` if it completes a
    /// line.
    fn advance(&mut self, stream: OutputStream, bytes: &[u8]) -> bool {
        self.end.bytes[stream.index()] += bytes.len() as u64;
        self.stream(stream).lines.advance(bytes)
    }

    /// Returns the last entry if output of this stream may join it.
    fn joinable(&mut self, at: i64, stream: OutputStream, length: usize) -> Option<&mut EntryKind> {
        // When there are very many, holding them matters more than the exact time of each.
        let is_crowded = self.entries.len() > MAX_ENTRIES / 2;
        let last = self.entries.back_mut().filter(|last| last.stream() == Some(stream))?;
        let so_far = self.end.bytes[stream.index()] - last.start.bytes[stream.index()];
        let fits = so_far + length as u64 <= JOINS_UP_TO as u64;
        (fits && (is_crowded || at - last.at <= JOINS_WITHIN_MICROS)).then_some(&mut last.kind)
    }

    /// Evicts what is beyond the window, and the oldest entries if there are too many; never what
    /// the writer waits for a reader to read.
    fn evict(&mut self) {
        if self.evictable_bytes <= self.window && self.entries.len() <= MAX_ENTRIES {
            return;
        }
        let needed_from = self.needed_from();
        while self.evictable_bytes > self.window {
            let is_evictable =
                |entry: &JournalEntry| matches!(entry.kind, EntryKind::Evictable(..));
            let mut later = self.entries.range(self.first_evictable..);
            self.first_evictable += later.position(is_evictable).unwrap_or(later.len());
            if !self.evict_at(self.first_evictable, needed_from) {
                break;
            }
        }
        while self.entries.len() > MAX_ENTRIES {
            let stays =
                |entry: &JournalEntry| matches!(entry.kind, EntryKind::Event(_) | EntryKind::Gap);
            let oldest = self.entries.iter().take_while(|entry| stays(entry)).count();
            if !self.evict_at(oldest, needed_from) {
                break;
            }
        }
    }

    /// Evicts events of attempts, if there are too many.
    fn evict_events(&mut self) {
        while self.attempt_events > FIRST_EVENTS + LAST_EVENTS {
            let mut events =
                self.entries.iter().enumerate().filter(|(_, entry)| entry.is_event_of_attempt());
            let Some((index, _)) = events.nth(FIRST_EVENTS) else { return };
            if !self.evict_at(index, self.needed_from()) {
                return;
            }
            self.attempt_events -= 1;
        }
    }

    /// Returns the sequence from which on the writer waits for readers.
    fn needed_from(&self) -> u64 {
        self.pins.iter().copied().min().unwrap_or(u64::MAX)
    }

    /// Turns an entry into a gap, or a part of the gaps beside it; returns `false` if it is needed.
    fn evict_at(&mut self, index: usize, needed_from: u64) -> bool {
        if index >= self.entries.len() || self.position(index + 1).sequence() > needed_from {
            return false;
        }
        let length = self.position(index + 1).output() - self.position(index).output();
        let evicted = std::mem::replace(&mut self.entries[index].kind, EntryKind::Gap);
        if let EntryKind::Evictable(_, buffer) = evicted {
            self.evictable_bytes -= to_index(length);
            self.reuse(*buffer);
        }
        for second in [index + 1, index] {
            self.merge_gaps(second);
        }
        true
    }

    /// Makes one of a gap and the gap before it. Nothing is to be counted: the gap ends where the
    /// next entry starts.
    fn merge_gaps(&mut self, second: usize) {
        let is_gap = |index: usize| self.entries.get(index).is_some_and(JournalEntry::is_gap);
        let Some(first) = second.checked_sub(1).filter(|first| is_gap(*first) && is_gap(second))
        else {
            return;
        };
        self.entries[first].at = self.entries[second].at;
        self.entries.remove(second);
        if second < self.first_evictable {
            self.first_evictable -= 1;
        }
    }

    fn reuse(&mut self, buffer: Buffer) {
        if let Buffer::Complete(mut bytes) = buffer
            && bytes.len() >= HELD_AS_IT_IS
        {
            // Emptied first, so that nothing has to be moved to the front.
            bytes.clear();
            if let Ok(bytes) = bytes.try_into_mut() {
                self.spare = bytes.into();
            }
        }
    }
}

/// Returns `true` if a buffer is held as it is rather than copied.
pub(crate) fn is_worth_holding(buffer: &Vec<u8>) -> bool {
    buffer.len() >= HELD_AS_IT_IS.max(buffer.capacity() / 2)
}
