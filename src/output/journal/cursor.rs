//! One reader's place in a journal, and what it makes of what it finds there.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::entry::Told;
use crate::model::{ExecutionEvent, Stream};
use crate::output::lines::{Line, LineBatch, LineSplitter};

/// What a reader wants to see beside events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lens {
    /// Output as lines.
    Lines,
    /// Output as it was read.
    Chunks,
    /// No output.
    Events,
}

#[derive(Debug)]
pub(crate) struct Cursor {
    pub(super) lens: Lens,
    /// The sequence that it has been told.
    pub(super) position: u64,
    /// How much of that was no output.
    pub(super) others: u32,
    /// Its pin, if it is waited for.
    pub(super) pin: Option<usize>,
    splitters: [LineSplitter; 2],
}

/// What is at a place.
#[derive(Debug)]
pub(super) enum Found {
    Output(Output),
    Cut { stream: Stream, end: u64, at: DateTime<Utc> },
    Gap { end: u64, at: DateTime<Utc>, bytes: u64 },
    Told { end: u64, at: DateTime<Utc>, told: Told },
}

#[derive(Debug)]
pub(super) struct Output {
    pub(super) stream: Stream,
    pub(super) bytes: Bytes,
    /// The sequence before it.
    pub(super) from: u64,
    pub(super) at: DateTime<Utc>,
}

/// What a reader is told.
#[derive(Debug)]
pub(crate) enum Piece {
    Lines(Lines),
    Chunk {
        sequence: u64,
        at: DateTime<Utc>,
        stream: Stream,
        bytes: Bytes,
    },
    Event {
        sequence: u64,
        at: DateTime<Utc>,
        event: ExecutionEvent,
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
pub(crate) struct Lines {
    batch: LineBatch,
    /// How much of the batch has been taken.
    taken: usize,
    numbers: Numbers,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug)]
enum Numbers {
    /// Each line has the place of the byte that completed it, which is in the chunk that was read:
    /// the bytes carried over from chunks before it, and the sequence before it.
    Read { carried: u64, from: u64 },
    /// They were cut off, and are numbered by that.
    Cut { next: u64 },
}

impl Lines {
    pub(crate) fn stream(&self) -> Stream {
        self.batch.stream
    }

    /// How many are left.
    pub(crate) fn count(&self) -> u64 {
        self.batch.count_from(self.taken)
    }

    /// The next line, and its sequence.
    pub(crate) fn next(&mut self) -> Option<(u64, Line)> {
        let line = self.batch.line_at(self.taken)?;
        self.taken = line.end;
        let sequence = match &mut self.numbers {
            Numbers::Read { carried, from } => *from + line.completed_at as u64 - *carried,
            Numbers::Cut { next } => {
                *next += 1;
                *next - 1
            }
        };
        Some((sequence, line))
    }
}

impl Cursor {
    pub(super) fn new(lens: Lens, longest_line: usize) -> Self {
        let splitters = Stream::BOTH.map(|stream| LineSplitter::new(stream, longest_line));
        Self { lens, position: 0, others: 0, pin: None, splitters }
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

    /// As if it had read these bytes.
    pub(super) fn has_read(&mut self, stream: Stream, bytes: &[u8]) {
        self.splitters[stream.index()].advance(bytes);
    }

    pub(super) fn output(&mut self, output: &Output) -> Option<Piece> {
        let Output { stream, ref bytes, from, at } = *output;
        if self.lens == Lens::Chunks {
            let sequence = from + bytes.len() as u64;
            return Some(Piece::Chunk { sequence, at, stream, bytes: bytes.clone() });
        }
        let splitter = &mut self.splitters[stream.index()];
        let carried = splitter.unfinished() as u64;
        let batch = splitter.split(bytes)?;
        let numbers = Numbers::Read { carried, from };
        Some(Piece::Lines(Lines { batch, taken: 0, numbers, at }))
    }

    pub(super) fn cut(&mut self, stream: Stream, end: u64, at: DateTime<Utc>) -> Option<Piece> {
        let batch = self.splitters[stream.index()].finish()?;
        let numbers = Numbers::Cut { next: end + 1 - batch.count_from(0).min(end) };
        Some(Piece::Lines(Lines { batch, taken: 0, numbers, at }))
    }

    /// A line of which only the beginning was read is missed as a whole.
    pub(super) fn gap(&mut self, end: u64, at: DateTime<Utc>, bytes: u64) -> Option<Piece> {
        let begun: usize = self.splitters.iter().map(LineSplitter::unfinished).sum();
        self.splitters.iter_mut().for_each(|splitter| drop(splitter.finish()));
        Some(Piece::Missed { sequence: end, at, bytes: bytes + begun as u64 })
    }
}
