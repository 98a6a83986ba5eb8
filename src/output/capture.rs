//! The captured part of one stream: never more than the limit, with an exact count of what is
//! missing.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::lines::complete_characters;
use super::overflow::OverflowFile;
use super::text::text;
use crate::config::OversizedOutputStrategy;
use crate::types::{HistoryOutput, OutputCursor, OutputStream, StreamStats};

#[cfg(test)]
mod tests;

/// Collects what is kept of a stream during one attempt.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) buffer: Buffer,
    /// How much of the buffer is kept: it ends with a whole character.
    kept: usize,
    /// Most bytes in the buffer.
    limit: usize,
    /// Bytes of the stream in earlier attempts: the offset where the buffer begins.
    pub(super) base: u64,
    /// Bytes of the stream in this attempt.
    seen: u64,
    tail: Option<Box<Tail>>,
    /// The tail once nothing more comes.
    sealed_tail: Option<Box<Bytes>>,
    /// The file that has the rest.
    pub(super) overflow: Option<Arc<OverflowFile>>,
}

/// Output in memory.
#[derive(Debug, Clone)]
pub(super) enum Buffer {
    /// More output may join it.
    Growing(Vec<u8>),
    Complete(Bytes),
}

/// The last bytes of a stream, never more than a limit.
#[derive(Debug)]
struct Tail {
    bytes: VecDeque<u8>,
    limit: usize,
    /// How many more it may have: those that the first part has not kept.
    lent: usize,
}

/// Sizes of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamTotals {
    pub(crate) stats: StreamStats,
    /// True if memory does not have all of it.
    pub(crate) is_truncated: bool,
}

/// What became of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CaptureSplit {
    /// How many of its bytes are in the buffer; the others do not fit.
    pub(super) stored: usize,
    /// Bytes of earlier chunks that are no longer kept, so that no character is split.
    pub(super) taken_back: Vec<u8>,
}

impl Capture {
    pub(super) fn new(limit: usize, oversized: OversizedOutputStrategy) -> Self {
        let keeps_tail = oversized == OversizedOutputStrategy::KeepHeadAndTail;
        let last = keeps_tail.then_some(limit / 2);
        Self::empty(limit - last.unwrap_or(0), last, 0)
    }

    /// Creates a capture that is complete already.
    pub(super) fn of(captured: &CapturedOutput) -> Self {
        let length = captured.bytes.len();
        let buffer = Buffer::Complete(captured.bytes.clone());
        let sealed_tail = match &captured.rest {
            Remainder::Tail(tail) => Some(tail.clone()),
            Remainder::Dropped | Remainder::File(_) => None,
        };
        Self {
            buffer,
            kept: length,
            seen: captured.seen,
            sealed_tail,
            ..Self::empty(length, None, captured.base)
        }
    }

    /// Creates a capture with the same limits for what follows.
    pub(super) fn fresh(&self) -> Self {
        Self::empty(self.limit, self.tail.as_ref().map(|tail| tail.limit), self.base + self.seen)
    }

    fn empty(limit: usize, last: Option<usize>, base: u64) -> Self {
        let tail = last.map(|limit| Box::new(Tail { bytes: VecDeque::new(), limit, lent: 0 }));
        let buffer = Buffer::Growing(Vec::new());
        Self { buffer, kept: 0, limit, base, seen: 0, tail, sealed_tail: None, overflow: None }
    }

    /// Returns the offset in the stream up to which it is kept, if nothing more comes.
    pub(super) fn kept_until(&self) -> u64 {
        self.base + self.kept as u64
    }

    /// Returns what is kept in memory as two ranges of offsets in the stream: the first part and the
    /// last.
    pub(super) fn held(&self) -> [Range<u64>; 2] {
        let end = self.base + self.seen;
        let growing = || self.tail.as_ref().map_or(0, |tail| tail.bytes.len());
        let tail = self.sealed_tail.as_ref().map_or_else(growing, |tail| tail.len());
        [self.base..self.kept_until(), end - tail as u64..end]
    }

    /// Copies a part of what is kept.
    pub(super) fn copy(&self, range: Range<u64>, to: &mut Vec<u8>) {
        let [_, tail] = self.held();
        let starts_in = |start: u64| {
            let [from, to] = [range.start, range.end].map(|offset| to_index(offset - start));
            from..to
        };
        if range.start < tail.start {
            let Range { start, end } = starts_in(self.base);
            to.extend_from_slice(&self.buffer.part(start, end));
        } else if let Some(bytes) = &self.sealed_tail {
            to.extend_from_slice(&bytes[starts_in(tail.start)]);
        } else if let Some(growing) = &self.tail {
            to.extend(growing.bytes.range(starts_in(tail.start)));
        }
    }

    /// Returns a part of what is kept, within the first part or the last. Shared, where nothing more
    /// comes.
    pub(super) fn part(&self, range: Range<u64>) -> Bytes {
        let [_, tail] = self.held();
        if range.start < tail.start {
            let [from, to] = [range.start, range.end].map(|offset| to_index(offset - self.base));
            return self.buffer.part(from, to);
        }
        match &self.sealed_tail {
            Some(bytes) => {
                let [from, to] =
                    [range.start, range.end].map(|offset| to_index(offset - tail.start));
                bytes.slice(from..to)
            }
            None => {
                let mut bytes = Vec::new();
                self.copy(range, &mut bytes);
                bytes.into()
            }
        }
    }

    /// Keeps what fits of a chunk.
    pub(super) fn take(&mut self, chunk: &[u8]) -> CaptureSplit {
        // The first byte that is not kept closes the buffer, also if characters are taken back then.
        let seen = self.seen;
        self.seen += chunk.len() as u64;
        let (mut stored, mut taken_back) = (0, Vec::new());
        if let Buffer::Growing(bytes) = &mut self.buffer
            && bytes.len() as u64 == seen
        {
            stored = chunk.len().min(self.limit - bytes.len());
            bytes.extend_from_slice(&chunk[..stored]);
            self.kept = bytes.len();
            if stored < chunk.len() {
                self.kept = complete_characters(bytes);
                taken_back = bytes[self.kept..].to_vec();
            }
        }
        if let Some(tail) = &mut self.tail {
            // So that a stream of exactly the limit is kept as a whole.
            tail.lent += taken_back.len();
            tail.push(&taken_back);
            tail.push(&chunk[stored..]);
        }
        CaptureSplit { stored, taken_back }
    }

    /// Notes bytes that the program wrote, and that never came. What comes behind them does not
    /// follow what is kept.
    pub(super) fn miss(&mut self, bytes: u64) {
        self.seen += bytes;
        if let Some(tail) = &mut self.tail {
            tail.bytes.clear();
        }
    }

    /// Returns how much it has had and keeps so far.
    pub(super) fn totals(&self) -> StreamTotals {
        let [head, tail] = self.held();
        let in_memory = head.end - head.start + tail.end - tail.start;
        let in_file = self.overflow.as_ref().map_or(0, |file| file.written());
        let stats = StreamStats { seen_bytes: self.seen, kept_bytes: in_memory + in_file };
        StreamTotals { stats, is_truncated: in_memory < self.seen }
    }

    /// Ends keeping, and returns what is kept.
    pub(super) fn seal(&mut self) -> CapturedOutput {
        if let Buffer::Growing(bytes) = &mut self.buffer {
            let mut bytes = std::mem::take(bytes);
            bytes.shrink_to_fit();
            self.buffer = Buffer::Complete(Bytes::from(bytes));
        }
        let rest = match (self.overflow.take(), self.tail.take()) {
            (Some(file), _) => Remainder::File(file),
            (None, Some(tail)) if !tail.bytes.is_empty() => {
                let is_complete = (self.kept + tail.bytes.len()) as u64 == self.seen;
                let tail = Bytes::from(Vec::from(tail.bytes));
                let tail = Box::new(if is_complete { tail } else { whole_characters(&tail) });
                self.sealed_tail = Some(tail.clone());
                Remainder::Tail(tail)
            }
            _ => Remainder::Dropped,
        };
        CapturedOutput {
            bytes: self.buffer.part(0, self.kept),
            base: self.base,
            seen: self.seen,
            rest,
        }
    }
}

impl Buffer {
    /// Returns a part of it, which is shared where the buffer grows no more.
    pub(super) fn part(&self, from: usize, to: usize) -> Bytes {
        match self {
            Self::Growing(bytes) => Bytes::copy_from_slice(&bytes[from..to]),
            Self::Complete(bytes) => bytes.slice(from..to),
        }
    }
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let limit = self.limit + self.lent;
        let bytes = &bytes[bytes.len().saturating_sub(limit)..];
        let surplus = (self.bytes.len() + bytes.len()).saturating_sub(limit);
        self.bytes.drain(..surplus);
        let wanted = self.bytes.len() + bytes.len();
        if wanted > self.bytes.capacity() {
            // Twice as much each time, but never more than can be needed.
            let capacity = wanted.max(self.bytes.capacity() * 2).min(limit);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend(bytes);
    }
}

/// Cuts off the end of a character whose beginning is missing.
pub(super) fn whole_characters(bytes: &Bytes) -> Bytes {
    let is_continuation = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    bytes.slice(bytes.iter().take(3).take_while(is_continuation).count()..)
}

/// Converts an offset that lies within memory.
pub(super) fn to_index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// Captured output of one stream of an ended execution.
#[derive(Debug, Clone, Default)]
pub(crate) struct CapturedOutput {
    bytes: Bytes,
    /// Bytes of the stream in earlier attempts.
    base: u64,
    /// Bytes of the stream in this attempt.
    seen: u64,
    rest: Remainder,
}

/// Bytes beyond the first part.
#[derive(Debug, Clone, Default)]
enum Remainder {
    /// None, or they were dropped.
    #[default]
    Dropped,
    /// The last of them.
    Tail(Box<Bytes>),
    /// All of them.
    File(Arc<OverflowFile>),
}

/// Returns what a history has kept of a stream in the last attempt, as it was captured.
pub(crate) fn captured_of_history(output: &HistoryOutput, stream: OutputStream) -> CapturedOutput {
    let of = |cursor: OutputCursor| [cursor.stdout, cursor.stderr][stream.index()];
    let (base, end) = (of(output.begin), of(output.end));
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let mut head_end = base;
    let pieces = output.pieces.iter().filter(|it| it.stream == stream && it.offset >= base);
    for piece in pieces {
        if piece.offset == head_end && tail.is_empty() {
            head.extend_from_slice(&piece.bytes);
            head_end += piece.bytes.len() as u64;
        } else {
            tail.extend_from_slice(&piece.bytes);
        }
    }
    let rest = match tail.is_empty() {
        true => Remainder::Dropped,
        false => Remainder::Tail(Box::new(tail.into())),
    };
    let seen = end.saturating_sub(base);
    CapturedOutput { bytes: head.into(), base, seen, rest }
}

impl CapturedOutput {
    pub(crate) fn overflow(&self) -> Option<&OverflowFile> {
        match &self.rest {
            Remainder::File(file) => Some(file),
            Remainder::Dropped | Remainder::Tail(_) => None,
        }
    }

    pub(crate) fn overflow_path(&self) -> Option<PathBuf> {
        self.overflow().and_then(OverflowFile::path)
    }

    pub(crate) fn stats(&self) -> StreamStats {
        self.totals().stats
    }

    pub(crate) fn totals(&self) -> StreamTotals {
        let (tail, in_file) = match &self.rest {
            Remainder::Dropped => (0, 0),
            Remainder::Tail(tail) => (tail.len(), 0),
            Remainder::File(file) => (0, file.written()),
        };
        let in_memory = (self.bytes.len() + tail) as u64;
        let stats = StreamStats { seen_bytes: self.seen, kept_bytes: in_memory + in_file };
        StreamTotals { stats, is_truncated: in_memory < self.seen }
    }

    /// Returns what is kept in memory, byte for byte. Shared, unless it has two parts.
    pub(crate) fn bytes(&self) -> Bytes {
        match &self.rest {
            Remainder::Tail(tail) => Bytes::from([&self.bytes[..], &tail[..]].concat()),
            Remainder::Dropped | Remainder::File(_) => self.bytes.clone(),
        }
    }

    /// Returns what is kept in memory as text, with a notice in the place of what is missing.
    pub(crate) fn text(&self) -> String {
        let StreamStats { seen_bytes, kept_bytes } = self.stats();
        if kept_bytes == seen_bytes || self.overflow().is_some() {
            return text(&self.bytes());
        }
        let mut output = text(&self.bytes);
        if !output.is_empty() && !output.ends_with('\n') {
            output.push('\n');
        }
        if let Remainder::Tail(tail) = &self.rest {
            let missing = seen_bytes - kept_bytes;
            output.push_str(&format!("[output truncated: {missing} bytes are missing here]\n"));
            output.push_str(&text(tail));
        } else {
            output.push_str(&format!(
                "[output truncated: kept the first {kept_bytes} of {seen_bytes} bytes]\n"
            ));
        }
        output
    }
}
