//! One reader's place in a journal, and what it makes of what it finds there.

use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::entry::{EventPayload, Span, to_index};
use crate::output::lines::{Line, LineBatch, LineSplitter};
use crate::types::{ContainmentReceipt, ExecutionEvent, OutputStream};

/// What a reader wants to see beside events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Output as lines.
    Lines,
    /// Output as it was read.
    Chunks,
    /// No output.
    Events,
}

#[derive(Debug)]
pub(crate) struct JournalCursor {
    pub(super) lens: View,
    /// The sequence that it has been told.
    pub(super) position: u64,
    /// How much of that was no output.
    pub(super) others: u32,
    /// Its pin, if it is waited for.
    pub(super) pin: Option<usize>,
    /// What it has passed and is yet to make pieces of.
    rest: Option<Output>,
    streams: [StreamPosition; 2],
}

/// One stream, for a reader that wants lines.
#[derive(Debug)]
struct StreamPosition {
    splitter: LineSplitter,
    /// How far it has read.
    offset: u64,
    /// How long the unfinished line is, if its beginning is missing.
    beheaded: usize,
}

/// What is at a place.
#[derive(Debug)]
pub(super) enum Lookup {
    Output(Output),
    Cut { span: Span, end: u64, at: DateTime<Utc> },
    Gap { end: u64, at: DateTime<Utc>, bytes: u64 },
    Event { end: u64, at: DateTime<Utc>, told: EventPayload },
}

#[derive(Debug)]
pub(super) struct Output {
    pub(super) stream: OutputStream,
    pub(super) bytes: Bytes,
    /// The sequence before it.
    pub(super) from: u64,
    pub(super) at: DateTime<Utc>,
}

/// What a reader is told.
#[derive(Debug)]
pub(crate) enum JournalItem {
    Lines(JournalLines),
    Chunk {
        sequence: u64,
        at: DateTime<Utc>,
        stream: OutputStream,
        bytes: Bytes,
    },
    Event {
        sequence: u64,
        at: DateTime<Utc>,
        event: ExecutionEvent,
        /// With the last event.
        receipt: Option<Box<ContainmentReceipt>>,
    },
    /// So many bytes of output are no longer held.
    Missed {
        sequence: u64,
        at: DateTime<Utc>,
        bytes: u64,
    },
}

/// Some lines with their places in the sequence.
#[derive(Debug)]
pub(crate) struct JournalLines {
    batch: LineBatch,
    /// How much of the batch has been taken.
    taken: usize,
    numbers: LineNumbering,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug)]
enum LineNumbering {
    /// Each line has the place of the byte that completed it, which is in the chunk that was read:
    /// the bytes carried over from chunks before it, and the sequence before it.
    Read { carried: u64, from: u64 },
    /// It was cut off, and is numbered by that.
    Cut { end: u64 },
}

impl JournalLines {
    pub(crate) fn stream(&self) -> OutputStream {
        self.batch.stream
    }

    /// How many are left.
    pub(crate) fn count(&self) -> u64 {
        self.batch.count_from(self.taken)
    }

    /// The next line alone, for those who need no number.
    #[inline]
    pub(crate) fn next_text(&mut self) -> Option<String> {
        let (text, length) = self.batch.text_at(self.taken)?;
        self.taken += length;
        Some(text)
    }

    /// The next line, and its sequence.
    pub(crate) fn next(&mut self) -> Option<(u64, Line)> {
        let line = self.batch.line_at(self.taken)?;
        self.taken = line.end;
        let sequence = match self.numbers {
            LineNumbering::Read { carried, from } => from + line.completed_at as u64 - carried,
            LineNumbering::Cut { end } => end,
        };
        Some((sequence, line))
    }
}

impl JournalCursor {
    pub(super) fn new(lens: View, max_line_bytes: usize) -> Self {
        let place = |stream| StreamPosition {
            splitter: LineSplitter::new(stream, max_line_bytes),
            offset: 0,
            beheaded: 0,
        };
        Self {
            lens,
            position: 0,
            others: 0,
            pin: None,
            rest: None,
            streams: OutputStream::BOTH.map(place),
        }
    }

    /// Is waited for by this pin of the journal.
    pub(crate) fn pinned(mut self, pin: usize) -> Self {
        self.pin = Some(pin);
        self
    }

    pub(super) fn pass(&mut self, end: u64, others: u32) {
        self.position = end;
        self.others += others;
    }

    /// Passes output up to here in its stream.
    pub(super) fn has_read(&mut self, stream: OutputStream, offset: u64) {
        self.streams[stream.index()].offset = offset;
    }

    /// Starts in the middle of a line, which is all of this range of its stream.
    pub(super) fn starts_behind(&mut self, stream: OutputStream, line: &Range<u64>, held: &[u8]) {
        let place = &mut self.streams[stream.index()];
        place.offset = line.end;
        let length = to_index(line.end - line.start);
        if held.len() == length || held.contains(&b'\n') {
            place.splitter.advance(held);
        } else {
            place.beheaded = length;
        }
    }

    /// Goes on in the middle of a line, which is all of this range of its stream: how many bytes of
    /// another line that was begun are missed then.
    pub(super) fn jumps_behind(&mut self, stream: OutputStream, line: &Range<u64>) -> u64 {
        let place = &mut self.streams[stream.index()];
        let length = to_index(line.end - line.start);
        if place.offset == line.end {
            // More than that was told as it was, of which nothing is held any more.
            let told = place.splitter.unfinished().saturating_sub(length);
            place.splitter.cut(told);
            place.beheaded = place.beheaded.min(length);
            return told as u64;
        }
        place.offset = line.end;
        place.beheaded = length;
        place.splitter.clear() as u64
    }

    /// The next piece of what it has passed.
    pub(super) fn rest(&mut self) -> Option<JournalItem> {
        let rest = self.rest.take()?;
        self.output(&rest)
    }

    pub(super) fn output(&mut self, output: &Output) -> Option<JournalItem> {
        let Output { stream, ref bytes, from, at } = *output;
        if self.lens == View::Chunks {
            let sequence = from + bytes.len() as u64;
            return Some(JournalItem::Chunk { sequence, at, stream, bytes: bytes.clone() });
        }
        if let Some(missed) = self.misses(output) {
            return Some(missed);
        }
        let splitter = &mut self.streams[stream.index()].splitter;
        let carried = splitter.unfinished() as u64;
        let (batch, taken) = splitter.split(bytes);
        self.returns(output, taken);
        let numbers = LineNumbering::Read { carried, from };
        Some(JournalItem::Lines(JournalLines { batch: batch?, taken: 0, numbers, at }))
    }

    /// Comes back to what it passed, but for the part that is taken.
    fn returns(&mut self, output: &Output, taken: usize) {
        if taken < output.bytes.len() {
            let (bytes, from) = (output.bytes.slice(taken..), output.from + taken as u64);
            self.rest = Some(Output { bytes, from, ..*output });
        }
    }

    /// A line of which the beginning was missed is missed as a whole: nobody could tell what is left
    /// of it from a line.
    fn misses(&mut self, output: &Output) -> Option<JournalItem> {
        let Output { stream, ref bytes, from, at } = *output;
        let place = &mut self.streams[stream.index()];
        if place.beheaded == 0 {
            return None;
        }
        let rest = place.splitter.rest_of_line(bytes, place.beheaded);
        let missed = rest.unwrap_or(bytes.len());
        place.beheaded = if rest.is_some() { 0 } else { place.beheaded + missed };
        if missed == 0 {
            return None;
        }
        self.returns(output, missed);
        Some(JournalItem::Missed { sequence: from + missed as u64, at, bytes: missed as u64 })
    }

    pub(super) fn cut(&mut self, span: &Span, end: u64, at: DateTime<Utc>) -> Option<JournalItem> {
        let place = &mut self.streams[span.stream.index()];
        let length = span.unfinished as usize;
        place.beheaded = place.beheaded.saturating_sub(length);
        let batch = place.splitter.cut(length)?;
        Some(JournalItem::Lines(JournalLines {
            batch,
            taken: 0,
            numbers: LineNumbering::Cut { end },
            at,
        }))
    }
}
