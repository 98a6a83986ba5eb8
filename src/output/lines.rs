//! Cuts a stream into lines; bytes become text only at the very edge.

use bytes::Bytes;
use memchr::{memchr, memrchr};

use crate::model::Stream;

/// The longest line that travels in one piece; a longer one is cut, so that memory stays bounded.
pub(crate) const LONGEST_LINE: usize = 64 * 1024;

/// A newline may have a carriage return before it, which is no part of the line either.
const LONGEST_ENDING: usize = 2;

/// Some consecutive lines of one stream, all but possibly the last ended by a newline.
#[derive(Debug, Clone)]
pub(crate) struct LineBatch {
    pub(crate) stream: Stream,
    bytes: Bytes,
}

impl LineBatch {
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The lines without their endings.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (line, left) = next_line(rest)?;
            rest = left;
            Some(String::from_utf8_lossy(line).into_owned())
        })
    }

    pub(crate) fn count(&self) -> u64 {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(|| {
            let (_, left) = next_line(rest)?;
            rest = left;
            Some(())
        })
        .count() as u64
    }
}

/// The first line without its ending, or the first piece of a long one, and what follows.
fn next_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let window = &bytes[..bytes.len().min(LONGEST_LINE + LONGEST_ENDING)];
    if let Some(end) = memchr(b'\n', window) {
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        if line.len() <= LONGEST_LINE {
            return Some((line, &bytes[end + 1..]));
        }
    }
    Some(bytes.split_at(piece_of(bytes)))
}

/// Where to cut a line that is too long: not inside a character.
fn piece_of(bytes: &[u8]) -> usize {
    if bytes.len() <= LONGEST_LINE {
        return bytes.len();
    }
    let is_continuation = |at: &usize| bytes[*at] & 0b1100_0000 == 0b1000_0000;
    (LONGEST_LINE - 3..=LONGEST_LINE).rev().find(|at| !is_continuation(at)).unwrap_or(LONGEST_LINE)
}

/// Holds back the unfinished last line of a stream until the rest of it comes.
#[derive(Debug)]
pub(super) struct LineSplitter {
    stream: Stream,
    unfinished: Vec<u8>,
}

impl LineSplitter {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, unfinished: Vec::new() }
    }

    /// The lines that a chunk completes.
    pub(super) fn split(&mut self, chunk: &[u8]) -> Option<LineBatch> {
        let complete = memrchr(b'\n', chunk).map_or(0, |end| end + 1);
        let (now, later) = chunk.split_at(complete);
        let mut bytes = Vec::new();
        if complete > 0 {
            bytes.reserve_exact(self.unfinished.len() + complete);
            bytes.append(&mut self.unfinished);
            bytes.extend_from_slice(now);
        }
        self.unfinished.extend_from_slice(later);
        while self.is_too_long() {
            let rest = self.unfinished.split_off(piece_of(&self.unfinished));
            bytes.append(&mut self.unfinished);
            self.unfinished = rest;
        }
        self.batch(bytes)
    }

    /// A carriage return at the end is held back: a newline may follow.
    fn is_too_long(&self) -> bool {
        let ending = usize::from(self.unfinished.ends_with(b"\r"));
        self.unfinished.len() - ending > LONGEST_LINE
    }

    /// What is left when the stream has ended.
    pub(super) fn finish(&mut self) -> Option<LineBatch> {
        let bytes = std::mem::take(&mut self.unfinished);
        self.batch(bytes)
    }

    fn batch(&self, bytes: Vec<u8>) -> Option<LineBatch> {
        (!bytes.is_empty()).then(|| LineBatch { stream: self.stream, bytes: bytes.into() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = LineSplitter::new(Stream::Stdout);
        let mut batches: Vec<_> = chunks.iter().filter_map(|chunk| splitter.split(chunk)).collect();
        batches.extend(splitter.finish());
        let counted: u64 = batches.iter().map(LineBatch::count).sum();
        let lines: Vec<_> = batches.iter().flat_map(LineBatch::lines).collect();
        assert_eq!(counted, lines.len() as u64);
        lines
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
