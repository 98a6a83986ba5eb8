//! Splits streams into lines. Bytes become text only where a reader takes a line.

use bytes::Bytes;
use memchr::{memchr, memrchr};

use super::text::text;
use crate::types::OutputStream;

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

    /// Returns the text of the line that begins at `start`, and its length with its ending.
    #[inline]
    pub(crate) fn text_at(&self, start: usize) -> Option<(String, usize)> {
        let (line, length) = self.next_line(start)?;
        Some((text(line), length))
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

/// Returns where to cut a line that is too long: not inside a character.
fn piece_of(bytes: &[u8], longest: usize) -> usize {
    if bytes.len() <= longest {
        return bytes.len();
    }
    let is_continuation = |at: &usize| bytes[*at] & 0b1100_0000 == 0b1000_0000;
    let shortest = longest.saturating_sub(3).max(1).min(longest);
    (shortest..=longest).rev().find(|at| !is_continuation(at)).unwrap_or(longest)
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
        Self { stream, unfinished: Vec::new(), longest }
    }

    /// Returns the length of the unfinished line.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished.len()
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

    /// Forgets what is unfinished; returns how many bytes that was.
    pub(crate) fn discard_all(&mut self) -> usize {
        std::mem::take(&mut self.unfinished).len()
    }

    /// Returns how much of `chunk` belongs to a line of which `begun` bytes came before it; None
    /// if all does, and more may follow.
    pub(crate) fn rest_of_line(&self, chunk: &[u8], begun: usize) -> Option<usize> {
        let room = self.longest.saturating_sub(begun);
        let window = &chunk[..chunk.len().min(room.saturating_add(LONGEST_ENDING))];
        let line = memchr(b'\n', window).map(|end| end + 1);
        line.or_else(|| (chunk.len() > room).then(|| piece_of(chunk, room)))
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

#[cfg(test)]
mod tests {
    use bytes::Buf as _;
    use proptest::prelude::*;

    use super::*;

    const LONGEST_LINE: usize = 64 * 1024;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        split_at(LONGEST_LINE, chunks).into_iter().map(|line| line.text).collect()
    }

    fn split_at(longest: usize, chunks: &[&[u8]]) -> Vec<Line> {
        let mut splitter = LineSplitter::new(OutputStream::Stdout, longest);
        let mut twin = LineSplitter::new(OutputStream::Stdout, longest);
        let mut batches = Vec::new();
        for chunk in chunks {
            let mut rest = Bytes::copy_from_slice(chunk);
            let before = batches.len();
            while !rest.is_empty() {
                let (batch, taken) = splitter.split(&rest);
                rest.advance(taken);
                batches.extend(batch);
            }
            assert_eq!(twin.advance(chunk), batches.len() > before, "both complete a line");
            assert_eq!(twin.unfinished, splitter.unfinished, "both hold back the same");
        }
        batches.extend(splitter.finish());
        let counted: u64 = batches.iter().map(|batch| batch.count_from(0)).sum();
        let lines: Vec<_> = batches.iter().flat_map(LineBatch::lines).collect();
        assert_eq!(counted, lines.len() as u64);
        lines
    }

    #[test]
    fn partial_lines_put_together_with_newlines_after_the_others_are_the_text() {
        let text = "one\n\ntwo three\nfo\u{20ac}ur\nfive".repeat(3);
        for longest in 1..=12 {
            for at in 0..text.len() {
                let (a, b) = text.as_bytes().split_at(at);
                let lines = split_at(longest, &[a, b]);
                let whole: String = lines
                    .iter()
                    .map(|line| line.text.clone() + if line.is_partial { "" } else { "\n" })
                    .collect();
                if longest >= 3 {
                    assert_eq!(whole, text, "longest {longest}, cut at {at}");
                }
                assert!(lines.iter().all(|line| line.text.len() <= longest.max(9)));
            }
        }
    }

    #[test]
    fn lines_are_put_together_across_chunks() {
        assert_eq!(split(&[b"a\nb", b"c\r", b"\n\nd"]), ["a", "bc", "", "d"]);
    }

    #[test]
    fn a_line_without_end_travels_in_pieces() {
        let euros = "€".repeat(100_000);
        let lines = split(&[euros.as_bytes()]);
        assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE && !line.contains('\u{fffd}')));
        assert_eq!(lines.concat(), euros);
    }

    #[test]
    fn an_ending_is_not_counted_wherever_a_line_of_the_longest_length_is_cut() {
        let line = "x".repeat(LONGEST_LINE);
        for text in [format!("{line}\n"), format!("{line}\r\n")] {
            for at in [LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1] {
                let (one, two) = text.as_bytes().split_at(at);
                assert_eq!(split(&[one, two]), [line.as_str()]);
            }
        }
        assert_eq!(split(&[line.as_bytes(), b"\r", b"y\n"]), [line.as_str(), "\ry"]);
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            lines in prop::collection::vec("[a-zé\r]{0,12}", 0..40),
            cuts in prop::collection::vec(1usize..9, 1..40),
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut rest = text.as_bytes();
            let mut chunks = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, left) = rest.split_at(rest.len().min(*cut));
                chunks.push(chunk);
                rest = left;
            }
            let expected: Vec<_> =
                lines.iter().map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
            prop_assert_eq!(split(&chunks), expected);
        }
    }
}
