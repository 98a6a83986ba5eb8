//! What a journal guards.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::task::Waker;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::cursor::{JournalCursor, Lookup, Output, View};
use super::entry::{Buffer, EntryKind, EventPayload, Evictable, JournalEntry, Span, to_index};
use super::{Appended, SealedJournal};
use crate::output::capture::{Capture, CaptureSplit};
use crate::output::lines::{Cut, LineSplitter};
use crate::types::OutputStream;

/// Entries held at most, so that the index of much output in small portions stays small, too.
pub(super) const MAX_ENTRIES: usize = 4096;
/// Output of one stream that comes shortly after the other joins its entry, up to this length.
const JOINS_UP_TO: u32 = 4096;
const JOINS_WITHIN_MICROS: i64 = 20_000;
/// From this size on a buffer is held as it is rather than copied, if it is half full.
const HELD_AS_IT_IS: usize = 16 * 1024;
/// The longest entry of output that is not kept.
const LONGEST_PORTION: usize = 64 * 1024;
/// The longest piece that a reader takes at a time.
const LONGEST_PIECE: u64 = LONGEST_PORTION as u64;

#[derive(Debug)]
pub(super) struct JournalState {
    pub(super) entries: VecDeque<JournalEntry>,
    /// The sequence so far.
    pub(super) end: u64,
    /// How much of it is no output.
    pub(super) others: u32,
    streams: [JournalStream; 2],
    window: usize,
    loose_bytes: usize,
    /// A buffer that was held and is needed no more.
    spare: Vec<u8>,
    /// No loose entry is before this one.
    first_loose: usize,
    /// Whether the last entry is there.
    pub(super) closed: bool,
    /// How far each of those is for whom everything is held.
    pub(super) pins: Vec<u64>,
    pub(super) wakers: HashMap<u64, Waker>,
    pub(super) readers: u64,
}

/// One stream: what is kept of it, and where its lines end.
#[derive(Debug)]
pub(super) struct JournalStream {
    pub(super) capture: Capture,
    lines: LineSplitter,
}

impl JournalState {
    pub(super) fn new(captures: [Capture; 2], window: usize, max_line_bytes: usize) -> Self {
        let [stdout, stderr] = captures;
        let channel = |stream, capture| JournalStream {
            capture,
            lines: LineSplitter::new(stream, max_line_bytes),
        };
        Self {
            // The start and the status: more there is not until something is put out.
            entries: VecDeque::with_capacity(2),
            end: 0,
            others: 0,
            streams: [channel(OutputStream::Stdout, stdout), channel(OutputStream::Stderr, stderr)],
            window,
            loose_bytes: 0,
            spare: Vec::new(),
            first_loose: 0,
            closed: false,
            pins: Vec::new(),
            wakers: HashMap::new(),
            readers: 0,
        }
    }

    pub(super) fn stream(&mut self, stream: OutputStream) -> &mut JournalStream {
        &mut self.streams[stream.index()]
    }

    pub(super) fn append(&mut self, stream: OutputStream, buffer: &mut Vec<u8>) -> Appended {
        let at = Utc::now();
        let channel = self.stream(stream);
        let span = channel.here(stream);
        let CaptureSplit { stored, taken_back } = channel.capture.take(buffer);
        let mut has_lines = channel.lines.advance(&buffer[..stored]);
        if stored > 0 {
            self.push_kept(at, span, stored);
        }
        let excess = (stored < buffer.len()).then(|| {
            let bytes = if stored == 0 && buffer.len() >= HELD_AS_IT_IS.max(buffer.capacity() / 2) {
                Bytes::from(std::mem::replace(buffer, std::mem::take(&mut self.spare)))
            } else {
                Bytes::copy_from_slice(&buffer[stored..])
            };
            has_lines |= self.append_loose(at, stream, span.offset + stored as u64, &bytes);
            [Bytes::from(taken_back), bytes]
        });
        self.let_go();
        let is_unfinished = self.stream(stream).lines.unfinished() > 0;
        Appended { has_lines, is_unfinished, excess }
    }

    /// Output beyond what is kept, from this place of its stream on. In portions, because each leaves
    /// the window as a whole. Whether it has completed a line.
    fn append_loose(
        &mut self,
        at: DateTime<Utc>,
        stream: OutputStream,
        mut offset: u64,
        bytes: &Bytes,
    ) -> bool {
        let mut has_lines = false;
        for start in (0..bytes.len()).step_by(LONGEST_PORTION) {
            let portion = bytes.slice(start..bytes.len().min(start + LONGEST_PORTION));
            let channel = self.stream(stream);
            let span = Span { offset, ..channel.here(stream) };
            has_lines |= channel.lines.advance(&portion);
            offset += portion.len() as u64;
            self.push_loose(at, span, &portion);
        }
        has_lines
    }

    pub(super) fn cut(&mut self, stream: OutputStream, cut: Cut) -> bool {
        let mut has_told = false;
        while let Some(length) = self.stream(stream).lines.take_piece(cut) {
            let after = self.stream(stream).here(stream);
            let offset = after.offset - u64::from(after.unfinished);
            let unfinished = u32::try_from(length).unwrap_or(u32::MAX);
            self.push(Utc::now(), 1, EntryKind::Cut(Span { offset, unfinished, stream }));
            has_told = true;
        }
        has_told
    }

    pub(super) fn tell(&mut self, at: DateTime<Utc>, told: EventPayload) {
        self.push(at, 1, EntryKind::Event(told));
    }

    pub(super) fn start_over(&mut self) {
        let fresh = |channel: &mut JournalStream| {
            let fresh = channel.capture.fresh();
            let mut old = std::mem::replace(&mut channel.capture, fresh);
            // Sealed, it shares its bytes with the entries that hold them from now on.
            drop(old.seal());
            old
        };
        let old = self.streams.each_mut().map(fresh);
        for entry in &mut self.entries {
            let EntryKind::Kept(span) = entry.what else { continue };
            let capture = &old[span.stream.index()];
            let start = to_index(span.offset - capture.base());
            let held = Buffer::Closed(capture.part(start, start + entry.length as usize));
            entry.what = EntryKind::Evictable(Box::new(Evictable { span, held }));
            self.loose_bytes += entry.length as usize;
        }
        self.first_loose = 0;
        self.let_go();
        // What is left is copied, because a part of a store holds all of it.
        for entry in &mut self.entries {
            let EntryKind::Evictable(loose) = &mut entry.what else { continue };
            let store = old[loose.span.stream.index()].place();
            if let Buffer::Closed(held) = &mut loose.held
                && store.contains(&loose.span.offset)
            {
                *held = Bytes::copy_from_slice(held);
            }
        }
    }

    pub(super) fn seal(&mut self) -> SealedJournal {
        let output = self.streams.each_mut().map(|channel| channel.capture.seal());
        let kept = self.streams.each_ref().map(|channel| channel.capture.kept());
        let entries = self.entries.iter().filter_map(|entry| entry.kept(kept)).collect();
        SealedJournal {
            output,
            entries,
            end: self.end,
            others: self.others,
            ..SealedJournal::default()
        }
    }

    fn push(&mut self, at: DateTime<Utc>, length: u32, what: EntryKind) {
        // Time goes on, also where the system's clock is set back.
        let at = at.timestamp_micros().max(self.entries.back().map_or(i64::MIN, |last| last.at));
        let entry = JournalEntry { from: self.end, at, length, others: self.others, what };
        if entry.span().is_none() {
            self.others += length;
        }
        self.end += u64::from(length);
        self.entries.push_back(entry);
    }

    fn push_kept(&mut self, at: DateTime<Utc>, span: Span, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        if let Some(JournalEntry { what: EntryKind::Kept(last), length: so_far, .. }) =
            self.joinable(at, span, length)
            && last.offset + u64::from(*so_far) == span.offset
        {
            *so_far += length;
            self.end += u64::from(length);
            return;
        }
        self.push(at, length, EntryKind::Kept(span));
    }

    fn push_loose(&mut self, at: DateTime<Utc>, span: Span, bytes: &Bytes) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.loose_bytes += bytes.len();
        if let Some(JournalEntry { what: EntryKind::Evictable(last), length: so_far, .. }) =
            self.joinable(at, span, length)
            && let Buffer::Open(open) = &mut last.held
        {
            open.extend_from_slice(bytes);
            *so_far += length;
            self.end += u64::from(length);
            return;
        }
        if self.loose_bytes == bytes.len() {
            self.first_loose = self.entries.len();
        }
        let held = if length < JOINS_UP_TO {
            Buffer::Open(bytes.to_vec())
        } else {
            Buffer::Closed(bytes.clone())
        };
        self.push(at, length, EntryKind::Evictable(Box::new(Evictable { span, held })));
    }

    /// The last entry, if output of this stream may join it.
    fn joinable(
        &mut self,
        at: DateTime<Utc>,
        span: Span,
        length: u32,
    ) -> Option<&mut JournalEntry> {
        // When there are very many, the exact time matters less than having them.
        let crowded = self.entries.len() > MAX_ENTRIES / 2;
        // What came in between may have been let go already.
        let last = self.entries.back_mut().filter(|last| last.end() == self.end)?;
        let fits = last.length.checked_add(length).is_some_and(|sum| sum <= JOINS_UP_TO);
        let is_near = at.timestamp_micros() - last.at <= JOINS_WITHIN_MICROS;
        let same_stream = last.span().is_some_and(|other| other.stream == span.stream);
        (fits && same_stream && (is_near || crowded)).then_some(last)
    }

    /// Lets go of what is beyond the window, and of the oldest entries if there are too many; never
    /// of what somebody is waited for to read.
    fn let_go(&mut self) {
        if self.loose_bytes <= self.window && self.entries.len() <= MAX_ENTRIES {
            return;
        }
        let needed_from = self.pins.iter().copied().min().unwrap_or(u64::MAX);
        while self.loose_bytes > self.window {
            let Some(index) = self.oldest_loose() else { break };
            if self.entries[index].end() > needed_from || !self.remove(index) {
                break;
            }
        }
        while self.entries.len() > MAX_ENTRIES {
            let is_event = |entry: &JournalEntry| matches!(entry.what, EntryKind::Event(_));
            let Some(index) = self.entries.iter().position(|entry| !is_event(entry)) else { break };
            if self.entries[index].end() > needed_from || !self.remove(index) {
                break;
            }
        }
    }

    fn oldest_loose(&mut self) -> Option<usize> {
        let later = self.entries.iter().skip(self.first_loose);
        self.first_loose += later.take_while(|entry| !entry.is_loose()).count();
        (self.first_loose < self.entries.len()).then_some(self.first_loose)
    }

    fn remove(&mut self, index: usize) -> bool {
        let Some(entry) = self.entries.remove(index) else { return false };
        if let EntryKind::Evictable(loose) = entry.what {
            self.loose_bytes -= entry.length as usize;
            // Its memory is warm, and read into again at once.
            if let Buffer::Closed(mut bytes) = loose.held
                && bytes.len() >= HELD_AS_IT_IS
            {
                // Nothing in it is of use any more, so nothing of it has to be moved.
                bytes.clear();
                if let Ok(bytes) = bytes.try_into_mut() {
                    self.spare = bytes.into();
                }
            }
        }
        if index < self.first_loose {
            self.first_loose -= 1;
        }
        true
    }

    /// Whether so many small entries wait to be read that nothing more should come.
    pub(super) fn is_crowded(&self) -> bool {
        self.entries.len() > MAX_ENTRIES
    }

    /// What comes next for a reader, who has it then.
    pub(super) fn find(&mut self, cursor: &mut JournalCursor, end: u64) -> Option<Lookup> {
        let found = self.look(cursor, end.min(self.end));
        if let Some(pin) = cursor.pin {
            self.pins[pin] = cursor.position;
        }
        found
    }

    fn look(&self, cursor: &mut JournalCursor, end: u64) -> Option<Lookup> {
        while cursor.position < end {
            let from = cursor.position;
            let index = self.entries.partition_point(|entry| entry.end() <= from);
            let Some(entry) = self.entries.get(index).filter(|entry| entry.from <= from) else {
                let gap = self.gap(cursor, index);
                match gap {
                    Some(gap) => return Some(gap),
                    None => continue,
                }
            };
            let at = entry.timestamp();
            match &entry.what {
                EntryKind::Event(told) => {
                    cursor.pass(entry.end(), 1);
                    return Some(Lookup::Event { end: entry.end(), at, told: told.clone() });
                }
                EntryKind::Cut(span) => {
                    cursor.pass(entry.end(), 1);
                    if cursor.lens == View::Lines {
                        return Some(Lookup::Cut { span: *span, end: entry.end(), at });
                    }
                }
                EntryKind::Kept(_) | EntryKind::Evictable(_) if cursor.lens == View::Events => {
                    cursor.pass(entry.end(), 0);
                }
                EntryKind::Kept(span) => {
                    let to = entry.end().min(end).min(from + LONGEST_PIECE);
                    let capture = &self.streams[span.stream.index()].capture;
                    let start = to_index(span.offset - capture.base() + (from - entry.from));
                    let bytes = capture.part(start, start + to_index(to - from));
                    cursor.pass(to, 0);
                    cursor.has_read(span.stream, span.offset + (to - entry.from));
                    return Some(Lookup::Output(Output { stream: span.stream, bytes, from, at }));
                }
                EntryKind::Evictable(loose) => {
                    // It is longer where an earlier attempt has kept it.
                    let to = entry.end().min(end).min(from + LONGEST_PIECE);
                    let start = to_index(from - entry.from);
                    let bytes = loose.held.part(start, start + to_index(to - from));
                    let stream = loose.span.stream;
                    cursor.pass(to, 0);
                    cursor.has_read(stream, loose.span.offset + (to - entry.from));
                    return Some(Lookup::Output(Output { stream, bytes, from, at }));
                }
            }
        }
        None
    }

    /// Nothing is held where the reader is: on to the next that is.
    fn gap(&self, cursor: &mut JournalCursor, next: usize) -> Option<Lookup> {
        // What comes later has a later time than any entry that is there.
        let near = self.entries.get(next).or(self.entries.back());
        let at = near.map(JournalEntry::timestamp).unwrap_or_default();
        let (end, others) = match self.entries.get(next) {
            Some(entry) => (entry.from, entry.others),
            None => (self.end, self.others),
        };
        let output_before = cursor.position - u64::from(cursor.others);
        let mut bytes = (end - u64::from(others)).saturating_sub(output_before);
        (cursor.position, cursor.others) = (end, others);
        for stream in OutputStream::BOTH {
            bytes += cursor.jumps_behind(stream, &self.unfinished_before(stream, next));
        }
        (cursor.lens != View::Events && bytes > 0).then_some(Lookup::Gap { end, at, bytes })
    }

    /// Puts a new reader behind `after`, in the middle of lines as one who has read all before.
    pub(super) fn place(&self, cursor: &mut JournalCursor, after: u64) {
        let position = after.min(self.end);
        let index = self.entries.partition_point(|entry| entry.end() <= position);
        cursor.position = position;
        cursor.others = self.others_before(position, index);
        if cursor.lens == View::Lines {
            for stream in OutputStream::BOTH {
                let line = self.unfinished_at(stream, position, index);
                // Otherwise it is among what is missed.
                if self.is_whole(stream, position, index)
                    || self.seen_before(stream, index) == line.end
                {
                    cursor.starts_behind(stream, &line, &self.held(stream, &line));
                }
            }
        }
    }

    /// How much of the sequence before this place is no output; this entry is the first that ends behind
    /// it. Of what is let go that is known at its two ends, and taken to be spread evenly between them.
    fn others_before(&self, position: u64, index: usize) -> u32 {
        let (from, others) = match self.entries.get(index) {
            Some(entry) if entry.from <= position => {
                return entry.others + entry.others_in(position - entry.from);
            }
            Some(entry) => (entry.from, entry.others),
            None => (self.end, self.others),
        };
        let last = index.checked_sub(1).and_then(|last| self.entries.get(last));
        let (begin, before) = last.map_or((0, 0), |last| {
            (last.end(), last.others + last.others_in(u64::from(last.length)))
        });
        let gone = u128::from(from - begin).max(1);
        let part = u128::from(others - before) * u128::from(position - begin);
        before + u32::try_from((part + gone / 2) / gone).unwrap_or(0)
    }

    /// Whether nothing is let go between this place and the next that is held of a stream.
    fn is_whole(&self, stream: OutputStream, position: u64, index: usize) -> bool {
        let mut at = position;
        for entry in self.entries.range(index..) {
            if entry.from > at {
                return false;
            }
            if entry.span().is_some_and(|span| span.stream == stream) {
                return true;
            }
            at = entry.end();
        }
        at == self.end
    }

    /// How far a stream had come in the entries before this one.
    fn seen_before(&self, stream: OutputStream, index: usize) -> u64 {
        let mut ends = self.entries.range(..index).rev().filter_map(|entry| {
            let span = entry.span().filter(|span| span.stream == stream)?;
            Some(span.offset + u64::from(entry.length))
        });
        ends.next().unwrap_or(0)
    }

    /// Which part of a stream is read but no complete line at this place of the sequence.
    fn unfinished_at(&self, stream: OutputStream, position: u64, index: usize) -> Range<u64> {
        let here = self.entries.get(index).filter(|entry| entry.from < position);
        let inside = here.and_then(|entry| Some((entry, entry.span()?)));
        match inside.filter(|(_, span)| span.stream == stream) {
            Some((entry, span)) => span.line_start()..span.offset + (position - entry.from),
            None => self.unfinished_before(stream, index),
        }
    }

    /// The same before this entry.
    fn unfinished_before(&self, stream: OutputStream, index: usize) -> Range<u64> {
        let mut next = self.streams[stream.index()].here(stream);
        let mut told: Option<Range<u64>> = None;
        for entry in self.entries.range(index..) {
            match (&entry.what, entry.span()) {
                (EntryKind::Cut(span), _) if span.stream == stream => match &mut told {
                    None => told = Some(span.line_start()..span.offset),
                    Some(told) if told.end == span.line_start() => told.end = span.offset,
                    // Of another line; what was between is no longer held.
                    Some(_) => break,
                },
                (_, Some(span)) if span.stream == stream => {
                    next = *span;
                    break;
                }
                _ => {}
            }
        }
        match told {
            Some(told) if told.end == next.line_start() => told.start..next.offset,
            // What followed is no longer held.
            Some(told) => told,
            None => next.line_start()..next.offset,
        }
    }

    /// What is held of a part of a stream: all of it, or the end.
    fn held(&self, stream: OutputStream, part: &Range<u64>) -> Vec<u8> {
        let capture = &self.streams[stream.index()].capture;
        let (stored, base) = (capture.stored(), capture.base());
        let clamp = |offset: u64, length: usize| to_index(offset.min(length as u64));
        let in_store = |offset: u64| clamp(offset.saturating_sub(base), stored.len());
        let mut bytes = stored[in_store(part.start)..in_store(part.end)].to_vec();
        let mut end = part.start + bytes.len() as u64;
        for entry in &self.entries {
            let EntryKind::Evictable(loose) = &entry.what else { continue };
            let (start, held) = (loose.span.offset, loose.held.as_slice());
            if loose.span.stream == stream && start < part.end && start + held.len() as u64 > end {
                if start > end {
                    // What was between is gone.
                    bytes.clear();
                }
                let from = clamp(end.saturating_sub(start), held.len());
                let to = clamp(part.end - start, held.len());
                bytes.extend_from_slice(&held[from..to]);
                end = start + to as u64;
            }
        }
        bytes
    }
}

impl JournalStream {
    /// Where the next output of the stream is.
    fn here(&self, stream: OutputStream) -> Span {
        Span {
            offset: self.capture.seen(),
            unfinished: u32::try_from(self.lines.unfinished()).unwrap_or(u32::MAX),
            stream,
        }
    }
}
