//! The place of one reader in a journal, and the items that it makes of what it passes.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::entry::JournalPosition;
use crate::output::lines::{Line, LineBatch, LineSplitter, MissingPiece, UnfinishedLine};
use crate::types::{ContainmentReceipt, ExecutionEvent, OutputStream};

/// What a reader gets beside events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Output as lines.
    Lines,
    /// Output as it was read.
    Chunks,
    /// No output.
    Events,
}

/// The place of one reader.
#[derive(Debug)]
pub(crate) struct JournalCursor {
    pub(super) view: View,
    /// What it has passed.
    pub(super) position: JournalPosition,
    /// It resumes behind this sequence: what comes before only completes what comes later.
    pub(super) after: u64,
    /// Its pin, if the writer waits for it.
    pub(super) pin: Option<usize>,
    /// What it has passed, but not yet returned as items.
    rest: Option<Output>,
    streams: [StreamPosition; 2],
}

/// The unfinished line of one stream, for a reader of lines: held here, or missing. It is reported
/// once it is finished or a piece of it is, as a line or as missed: so a reader that resumes in it
/// gets all of it, and one that has got everything before has got nothing of it.
#[derive(Debug)]
struct StreamPosition {
    splitter: LineSplitter,
    /// The unfinished line if its beginning is missing, else nothing.
    missing: UnfinishedLine,
}

/// Consecutive output of one stream.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) stream: OutputStream,
    pub(super) bytes: Bytes,
    /// The sequence before it.
    pub(super) from: u64,
    pub(super) at: DateTime<Utc>,
}

/// What a reader gets.
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
    /// Bytes of output that are no longer held, or belong to a line of which others are not.
    Missed {
        sequence: u64,
        at: DateTime<Utc>,
        bytes: u64,
    },
}

/// Some lines with their sequence numbers.
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
    /// A line has the number of the byte that completed it. That byte is in the chunk that was read
    /// behind `from`; `carried` bytes of the batch come from chunks before.
    Read { carried: u64, from: u64 },
    /// A partial line has the number of its flush.
    Flushed { end: u64 },
}

impl JournalLines {
    pub(crate) fn stream(&self) -> OutputStream {
        self.batch.stream
    }

    /// Returns the number of lines left.
    pub(crate) fn count(&self) -> u64 {
        self.batch.count_from(self.taken)
    }

    /// Returns the next line and its sequence.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(u64, Line)> {
        let line = self.batch.line_at(self.taken)?;
        self.taken = line.end;
        Some((self.sequence_of(&line), line))
    }

    /// Skips lines up to a sequence; returns `true` if any are left.
    fn skip_until(&mut self, after: u64) -> bool {
        while let Some(line) = self.batch.line_at(self.taken) {
            if self.sequence_of(&line) > after {
                return true;
            }
            self.taken = line.end;
        }
        false
    }

    fn sequence_of(&self, line: &Line) -> u64 {
        match self.numbers {
            LineNumbering::Read { carried, from } => from + line.completed_at as u64 - carried,
            LineNumbering::Flushed { end } => end,
        }
    }
}

impl JournalCursor {
    pub(super) fn new(view: View, max_line_bytes: usize) -> Self {
        let streams = OutputStream::BOTH.map(|stream| StreamPosition {
            splitter: LineSplitter::new(stream, max_line_bytes),
            missing: UnfinishedLine::default(),
        });
        Self {
            view,
            position: JournalPosition::default(),
            after: 0,
            pin: None,
            rest: None,
            streams,
        }
    }

    /// Makes the writer wait for it, by this pin of the journal if there is one.
    pub(crate) fn pinned(self, pin: Option<usize>) -> Self {
        Self { pin, ..self }
    }

    /// Starts in the middle of a line; `held` is the line so far.
    pub(super) fn start_in_line(
        &mut self,
        stream: OutputStream,
        line: UnfinishedLine,
        held: Option<&[u8]>,
    ) {
        let place = &mut self.streams[stream.index()];
        match held {
            Some(held) => _ = place.splitter.advance(held),
            None => place.missing = line,
        }
    }

    /// Passes a gap that ends here, where these lines are unfinished. Returns the number of bytes
    /// that are missed with it.
    pub(super) fn pass_gap(
        &mut self,
        end: JournalPosition,
        unfinished: [UnfinishedLine; 2],
    ) -> u64 {
        let before = std::mem::replace(&mut self.position, end);
        if self.view != View::Lines {
            return end.output() - before.output();
        }
        let of_stream = |(of, place): (usize, &mut StreamPosition)| {
            place.pass_gap(end.bytes[of] - before.bytes[of], unfinished[of])
        };
        self.streams.iter_mut().enumerate().map(of_stream).sum()
    }

    /// Returns the next item of what was passed already.
    pub(super) fn rest(&mut self) -> Option<JournalItem> {
        while let Some(rest) = self.rest.take() {
            let item = self.read(rest);
            if item.is_some() {
                return item;
            }
        }
        None
    }

    /// Returns the first item of output; None if it completes no line.
    pub(super) fn read(&mut self, output: Output) -> Option<JournalItem> {
        let Output { stream, ref bytes, from, at } = output;
        if self.view == View::Chunks {
            let sequence = from + bytes.len() as u64;
            return Some(JournalItem::Chunk { sequence, at, stream, bytes: output.bytes });
        }
        let place = &mut self.streams[stream.index()];
        if place.missing.length() > 0 {
            let MissingPiece { length, taken, completed_at, .. } = place.pass_missing(bytes)?;
            self.keep_rest(&output, taken);
            let (sequence, bytes) = (from + completed_at as u64, length as u64);
            return (sequence > self.after).then_some(JournalItem::Missed { sequence, at, bytes });
        }
        let carried = place.splitter.unfinished() as u64;
        let (batch, taken) = place.splitter.split(bytes);
        self.keep_rest(&output, taken);
        let numbers = LineNumbering::Read { carried, from };
        let mut lines = JournalLines { batch: batch?, taken: 0, numbers, at };
        if from < self.after && !lines.skip_until(self.after) {
            return None;
        }
        Some(JournalItem::Lines(lines))
    }

    /// Keeps what is left of passed output.
    fn keep_rest(&mut self, output: &Output, taken: usize) {
        if taken < output.bytes.len() {
            let (bytes, from) = (output.bytes.slice(taken..), output.from + taken as u64);
            self.rest = Some(Output { bytes, from, ..*output });
        }
    }

    /// Returns the first bytes of an unfinished line, or that they are missed.
    pub(super) fn flush(
        &mut self,
        stream: OutputStream,
        length: usize,
        end: u64,
        at: DateTime<Utc>,
    ) -> Option<JournalItem> {
        let place = &mut self.streams[stream.index()];
        if place.missing.length() > 0 {
            place.missing = place.missing.without(length);
            return Some(JournalItem::Missed { sequence: end, at, bytes: length as u64 });
        }
        let batch = place.splitter.flush(length)?;
        let numbers = LineNumbering::Flushed { end };
        Some(JournalItem::Lines(JournalLines { batch, taken: 0, numbers, at }))
    }
}

impl StreamPosition {
    /// Passes a gap with so many bytes of this stream, at whose end this line is unfinished. Returns
    /// the number of bytes that are missed with it: those of lines that end in it.
    fn pass_gap(&mut self, output: u64, unfinished: UnfinishedLine) -> u64 {
        let (held, left) = (self.splitter.unfinished(), unfinished.length());
        let begun = (held + self.missing.length()) as u64;
        if output == 0 && held > 0 {
            // Of this stream, the gap can only hold flushes of the line.
            self.splitter.discard(held.saturating_sub(left));
        } else {
            self.splitter.discard_all();
            self.missing = unfinished;
        }
        (begun + output).saturating_sub(left as u64)
    }

    /// Passes bytes of a line whose beginning is missing, up to the end of its first piece. It is
    /// missed as a whole, because its end alone looks like another line.
    fn pass_missing(&mut self, bytes: &[u8]) -> Option<MissingPiece> {
        let piece = self.missing.first_piece(bytes, self.splitter.longest());
        self.missing = piece.as_ref().map_or_else(|| self.missing.with(bytes), |piece| piece.next);
        piece
    }
}
