//! Splits streams into lines. Bytes become text only where a reader takes a line.

#[cfg(test)]
mod tests;
mod unfinished;

use bytes::Bytes;
use memchr::{memchr, memrchr};

use super::text::text;
use crate::types::OutputStream;
pub(crate) use unfinished::{MissingPiece, UnfinishedLine};

/// A newline may have a carriage return before it, which is no part of the line either.
const LONGEST_ENDING: usize = 2;

/// Consecutive lines of one stream, all but possibly the last ended by a newline.
#[derive(Debug, Clone)]
pub(crate) struct LineBatch {
    pub(crate) stream: OutputStream,
    /// The lines, and perhaps the beginning of another.
    bytes: Bytes,
    /// Where the last line ends.
    end: usize,
    longest: usize,
}

/// One line, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// No line ending follows: it is a piece of a longer line, or is not finished.
    pub(crate) is_partial: bool,
    /// Where in its batch it ends, its line ending included.
    pub(crate) end: usize,
    /// Where the byte ends that completed it: its newline, or the byte that made the line too long.
    pub(crate) completed_at: usize,
}

impl LineBatch {
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let line = self.line_at(at)?;
            at = line.end;
            Some(line)
        })
    }

    /// Returns the line that begins at `start`; None at the end of the batch.
    #[inline]
    pub(crate) fn line_at(&self, start: usize) -> Option<Line> {
        let (line, length) = self.next_line(start)?;
        let is_partial = line.len() == length;
        let completed_by = if is_partial {
            // A carriage return alone makes no line too long: a newline may follow.
            let limit = start.saturating_add(self.longest);
            let is_ending = self.bytes.get(limit) == Some(&b'\r');
            self.longest.saturating_add(1 + usize::from(is_ending))
        } else {
            length
        };
        Some(Line {
            text: text(line),
            is_partial,
            end: start + length,
            completed_at: start.saturating_add(completed_by),
        })
    }

    /// Returns the number of lines from `start` on.
    pub(crate) fn count_from(&self, mut start: usize) -> u64 {
        let mut count = 0;
        while let Some((_, length)) = self.next_line(start) {
            start += length;
            count += 1;
        }
        count
    }

    /// Returns the line from `start` on without its ending, or the first piece of a long one, and
    /// how many bytes it takes with its ending.
    #[inline]
    fn next_line(&self, start: usize) -> Option<(&[u8], usize)> {
        let bytes = &self.bytes[start..self.end];
        if bytes.is_empty() {
            return None;
        }
        let window = &bytes[..bytes.len().min(self.longest.saturating_add(LONGEST_ENDING))];
        if let Some(end) = memchr(b'\n', window) {
            let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
            if line.len() <= self.longest {
                return Some((line, end + 1));
            }
        }
        let length = piece_of(bytes, self.longest);
        Some((&bytes[..length], length))
    }
}

/// Returns the length of the first piece of a line.
fn piece_of(bytes: &[u8], longest: usize) -> usize {
    if bytes.len() <= longest {
        return bytes.len();
    }
    cut_of(longest, |at| is_continuation(bytes[at]))
}

/// Returns where to cut a line that is too long: not inside a character, i.e. not before a byte that
/// continues one.
fn cut_of(longest: usize, continues: impl Fn(usize) -> bool) -> usize {
    let shortest = longest.saturating_sub(3).max(1).min(longest);
    (shortest..=longest).rev().find(|at| !continues(*at)).unwrap_or(longest)
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Returns the length of `bytes` without a UTF-8 character that has only begun at its end.
pub(super) fn complete_characters(bytes: &[u8]) -> usize {
    for back in 1..=3.min(bytes.len()) {
        let start = bytes.len() - back;
        let length = match bytes[start] {
            0b1000_0000..=0b1011_1111 => continue,
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000..=0b1111_0111 => 4,
            _ => 1,
        };
        return if length > back { start } else { bytes.len() };
    }
    bytes.len()
}

/// How much of an unfinished line is published as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartialFlush {
    /// All of it: the stream has ended.
    Everything,
    /// What is complete characters: the rest of one that has only begun may follow.
    WholeCharacters,
}

/// Holds back the unfinished last line of a stream until the rest of it comes.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    stream: OutputStream,
    unfinished: Vec<u8>,
    /// Longest line that is not cut into pieces, so that memory stays bounded.
    longest: usize,
}

impl LineSplitter {
    pub(crate) fn new(stream: OutputStream, longest: usize) -> Self {
        Self { stream, unfinished: Vec::new(), longest: longest.min(UnfinishedLine::MOST) }
    }

    /// Returns the length of the unfinished line.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    pub(crate) fn unfinished_line(&self) -> UnfinishedLine {
        UnfinishedLine::of(&self.unfinished)
    }

    /// Returns the length of the longest line that is not cut into pieces.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Returns the next lines that a chunk completes, and how much of it is taken; the rest of it
    /// comes next. A line that was begun before comes by itself, for it alone has to be copied: all
    /// others stay where they are.
    pub(crate) fn split(&mut self, chunk: &Bytes) -> (Option<LineBatch>, usize) {
        if self.unfinished.is_empty() {
            let lines = complete_lines(chunk);
            self.unfinished.extend_from_slice(&chunk[lines..]);
            let pieces = self.complete_pieces();
            self.unfinished.drain(..pieces);
            return (self.batch(chunk.clone(), lines + pieces), chunk.len());
        }
        if let Some(end) = memchr(b'\n', chunk) {
            let mut line = std::mem::take(&mut self.unfinished);
            line.extend_from_slice(&chunk[..=end]);
            let length = line.len();
            return (self.batch(line.into(), length), end + 1);
        }
        self.unfinished.extend_from_slice(chunk);
        let pieces = self.complete_pieces();
        if pieces == 0 {
            return (None, chunk.len());
        }
        let bytes = Bytes::copy_from_slice(&self.unfinished);
        self.unfinished.drain(..pieces);
        (self.batch(bytes, pieces), chunk.len())
    }

    /// Like [`split`](Self::split), without the lines; returns `true` if there are any.
    pub(crate) fn advance(&mut self, chunk: &[u8]) -> bool {
        let (now, later) = chunk.split_at(complete_lines(chunk));
        if !now.is_empty() {
            self.unfinished.clear();
        }
        self.unfinished.extend_from_slice(later);
        let pieces = self.complete_pieces();
        self.unfinished.drain(..pieces);
        !now.is_empty() || pieces > 0
    }

    /// Returns what is unfinished as it is: the stream has ended.
    pub(crate) fn finish(&mut self) -> Option<LineBatch> {
        self.flush(self.unfinished.len())
    }

    /// Returns the first unfinished bytes as they are, this many at most.
    pub(crate) fn flush(&mut self, length: usize) -> Option<LineBatch> {
        let bytes: Vec<u8> = self.unfinished.drain(..length.min(self.unfinished.len())).collect();
        let length = bytes.len();
        self.batch(bytes.into(), length)
    }

    /// Returns the length of the first piece of the unfinished line that a flush publishes.
    pub(crate) fn partial(&self, flush: PartialFlush) -> Option<usize> {
        let length = match flush {
            PartialFlush::Everything => self.unfinished.len(),
            PartialFlush::WholeCharacters => complete_characters(&self.unfinished),
        };
        Some(piece_of(&self.unfinished[..length], self.longest)).filter(|piece| *piece > 0)
    }

    /// Forgets the first unfinished bytes.
    pub(crate) fn discard(&mut self, length: usize) {
        self.unfinished.drain(..length);
    }

    /// Forgets what is unfinished.
    pub(crate) fn discard_all(&mut self) {
        self.unfinished = Vec::new();
    }

    /// Returns the length of those pieces of the unfinished line that nothing can complete any
    /// more.
    fn complete_pieces(&self) -> usize {
        // A carriage return at the end is held back: a newline may follow.
        let length = self.unfinished.len() - usize::from(self.unfinished.ends_with(b"\r"));
        let mut pieces = 0;
        while length.saturating_sub(pieces) > self.longest {
            pieces += piece_of(&self.unfinished[pieces..], self.longest);
        }
        pieces
    }

    fn batch(&self, bytes: Bytes, end: usize) -> Option<LineBatch> {
        let (stream, longest) = (self.stream, self.longest);
        (end > 0).then_some(LineBatch { stream, bytes, end, longest })
    }
}

/// Returns how much of a chunk is complete lines.
fn complete_lines(chunk: &[u8]) -> usize {
    memrchr(b'\n', chunk).map_or(0, |end| end + 1)
}
