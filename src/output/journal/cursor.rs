//! The place of one reader in a journal, and the items that it makes of what it passes.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::entry::JournalPosition;
use crate::output::lines::{Line, LineBatch, LineSplitter};
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

/// The unfinished line of one stream, for a reader of lines: held here, or missed.
#[derive(Debug)]
struct StreamPosition {
    splitter: LineSplitter,
    /// Length of the unfinished line if its beginning is missing, else 0.
    missing_prefix: usize,
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

    /// Returns the text of the next line, for readers that need no number.
    #[inline]
    pub(crate) fn next_text(&mut self) -> Option<String> {
        let (text, length) = self.batch.text_at(self.taken)?;
        self.taken += length;
        Some(text)
    }

    /// Returns the next line and its sequence.
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
            missing_prefix: 0,
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

    /// Starts in the middle of a line of this length; `held` is the line so far.
    pub(super) fn start_in_line(&mut self, stream: OutputStream, length: u32, held: Option<&[u8]>) {
        let place = &mut self.streams[stream.index()];
        match held {
            Some(held) => _ = place.splitter.advance(held),
            None => place.missing_prefix = length as usize,
        }
    }

    /// Passes a gap that ends here, where lines of these lengths are unfinished; returns the number
    /// of bytes that are missed with it.
    pub(super) fn pass_gap(&mut self, end: JournalPosition, unfinished: [u32; 2]) -> u64 {
        let mut missed = end.output() - self.position.output();
        for stream in OutputStream::BOTH.map(OutputStream::index) {
            let has_output = end.bytes[stream] > self.position.bytes[stream];
            missed += self.streams[stream].pass_gap(has_output, unfinished[stream] as usize);
        }
        self.position = end;
        missed
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
        let missed = place.pass_missing_line(bytes);
        if missed > 0 {
            self.keep_rest(&output, missed);
            let (sequence, bytes) = (from + missed as u64, missed as u64);
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

    /// Returns the first bytes of an unfinished line, as far as they are not missed.
    pub(super) fn flush(
        &mut self,
        stream: OutputStream,
        length: usize,
        end: u64,
        at: DateTime<Utc>,
    ) -> Option<JournalItem> {
        let place = &mut self.streams[stream.index()];
        place.missing_prefix = place.missing_prefix.saturating_sub(length);
        let batch = place.splitter.flush(length)?;
        let numbers = LineNumbering::Flushed { end };
        Some(JournalItem::Lines(JournalLines { batch, taken: 0, numbers, at }))
    }
}

impl StreamPosition {
    /// Passes a gap at whose end a line of this length is unfinished; returns the number of bytes
    /// of another line that are missed with it.
    fn pass_gap(&mut self, has_output: bool, unfinished: usize) -> u64 {
        if has_output {
            self.missing_prefix = unfinished;
            return self.splitter.discard_all() as u64;
        }
        // Of this stream, the gap can only hold flushes of the line.
        let flushed = self.splitter.unfinished().saturating_sub(unfinished);
        self.splitter.discard(flushed);
        self.missing_prefix = self.missing_prefix.min(unfinished);
        flushed as u64
    }

    /// Returns how many of these bytes belong to a line whose beginning is missing. It is missed
    /// as a whole, because its end alone looks like another line.
    fn pass_missing_line(&mut self, bytes: &[u8]) -> usize {
        if self.missing_prefix == 0 {
            return 0;
        }
        let rest = self.splitter.rest_of_line(bytes, self.missing_prefix);
        let missed = rest.unwrap_or(bytes.len());
        self.missing_prefix = if rest.is_some() { 0 } else { self.missing_prefix + missed };
        missed
    }
}
