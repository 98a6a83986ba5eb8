//! Cuts a stream into lines; bytes become text only at the very edge.

use bytes::Bytes;
use memchr::{memchr, memrchr};

use super::text::text;
use crate::types::OutputStream;

/// A newline may have a carriage return before it, which is no part of the line either.
const LONGEST_ENDING: usize = 2;

/// Some consecutive lines of one stream, all but possibly the last ended by a newline.
#[derive(Debug, Clone)]
pub(crate) struct LineBatch {
    pub(crate) stream: OutputStream,
    bytes: Bytes,
    longest: usize,
    /// Whether the last piece was cut with a carriage return held back behind it.
    last_held: bool,
}

/// One line, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Whether no line ending followed: it is a piece of a longer line, or was not finished.
    pub(crate) is_partial: bool,
    /// Where in its batch it ends, its line ending included.
    pub(crate) end: usize,
    /// Where the byte ends that completed it: its newline, or the one that made a piece too long.
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

    /// The line that begins at `start`; None at the end of the batch.
    pub(crate) fn line_at(&self, start: usize) -> Option<Line> {
        let rest = &self.bytes[start..];
        let (line, length) = next_line(rest, self.longest)?;
        let is_partial = line.len() == length;
        let completed_by = if is_partial {
            let held = rest.get(self.longest).map_or(self.last_held, |&byte| byte == b'\r');
            self.longest.saturating_add(1 + usize::from(held))
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

    /// The text of the line that begins at `start`, and how much it takes with its ending.
    #[inline]
    pub(crate) fn text_at(&self, start: usize) -> Option<(String, usize)> {
        let (line, length) = next_line(&self.bytes[start..], self.longest)?;
        Some((text(line), length))
    }

    /// How many lines there are from `start` on.
    pub(crate) fn count_from(&self, start: usize) -> u64 {
        let mut rest = &self.bytes[start..];
        let one = || {
            let (_, length) = next_line(rest, self.longest)?;
            rest = &rest[length..];
            Some(())
        };
        std::iter::from_fn(one).count() as u64
    }
}

/// The first line without its ending, or the first piece of a long one, and how many bytes it takes
/// with its ending.
#[inline]
fn next_line(bytes: &[u8], longest: usize) -> Option<(&[u8], usize)> {
    if bytes.is_empty() {
        return None;
    }
    let window = &bytes[..bytes.len().min(longest.saturating_add(LONGEST_ENDING))];
    if let Some(end) = memchr(b'\n', window) {
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        if line.len() <= longest {
            return Some((line, end + 1));
        }
    }
    let length = piece_of(bytes, longest);
    Some((&bytes[..length], length))
}

/// Where to cut a line that is too long: not inside a character.
fn piece_of(bytes: &[u8], longest: usize) -> usize {
    if bytes.len() <= longest {
        return bytes.len();
    }
    let is_continuation = |at: &usize| bytes[*at] & 0b1100_0000 == 0b1000_0000;
    let shortest = longest.saturating_sub(3).max(1).min(longest);
    (shortest..=longest).rev().find(|at| !is_continuation(at)).unwrap_or(longest)
}

/// The length of `bytes` without a UTF-8 character that has only begun at its end.
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

/// How much of an unfinished line is told as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All of it: the stream has ended.
    AtTheEnd,
    /// What is complete characters: the rest of one that has only begun may follow.
    AtACharacter,
}

/// Holds back the unfinished last line of a stream until the rest of it comes.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    stream: OutputStream,
    unfinished: Vec<u8>,
    /// The longest line that travels in one piece; a longer one is cut, so that memory stays
    /// bounded.
    longest: usize,
}

impl LineSplitter {
    pub(crate) fn new(stream: OutputStream, longest: usize) -> Self {
        Self { stream, unfinished: Vec::new(), longest }
    }

    /// The length of the line that is not finished.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// The next lines that a chunk completes, and how much of it is taken; the rest of it comes next. A
    /// line that was begun before comes by itself, for it alone has to be copied: all others stay where
    /// they are.
    pub(crate) fn split(&mut self, chunk: &Bytes) -> (Option<LineBatch>, usize) {
        if !self.unfinished.is_empty() {
            return self.go_on(chunk);
        }
        let lines = complete(chunk);
        self.unfinished.extend_from_slice(&chunk[lines..]);
        let mut pieces = 0;
        let last_held = self.cut_pieces(|piece| pieces += piece.len());
        (self.batch(chunk.slice(..lines + pieces), last_held), chunk.len())
    }

    fn go_on(&mut self, chunk: &[u8]) -> (Option<LineBatch>, usize) {
        if let Some(end) = memchr(b'\n', chunk) {
            let mut line = std::mem::take(&mut self.unfinished);
            line.extend_from_slice(&chunk[..=end]);
            return (self.batch(line.into(), false), end + 1);
        }
        self.unfinished.extend_from_slice(chunk);
        let mut pieces = Vec::new();
        let last_held = self.cut_pieces(|piece| pieces.extend_from_slice(piece));
        (self.batch(pieces.into(), last_held), chunk.len())
    }

    /// The same without the lines: whether there are any.
    pub(crate) fn advance(&mut self, chunk: &[u8]) -> bool {
        let (now, later) = chunk.split_at(complete(chunk));
        let mut has_lines = !now.is_empty();
        if has_lines {
            self.unfinished.clear();
        }
        self.unfinished.extend_from_slice(later);
        self.cut_pieces(|_| has_lines = true);
        has_lines
    }

    /// What is unfinished, as it is: the stream has ended.
    pub(crate) fn finish(&mut self) -> Option<LineBatch> {
        self.cut(self.unfinished.len())
    }

    /// So many of the unfinished bytes, as they are.
    pub(crate) fn cut(&mut self, length: usize) -> Option<LineBatch> {
        let bytes: Vec<u8> = self.unfinished.drain(..length.min(self.unfinished.len())).collect();
        self.batch(bytes.into(), false)
    }

    /// The same without the bytes: how many are the next piece of an unfinished line that is to be
    /// told as it is.
    pub(crate) fn take_piece(&mut self, cut: Cut) -> Option<usize> {
        let told = match cut {
            Cut::AtTheEnd => self.unfinished.len(),
            Cut::AtACharacter => complete_characters(&self.unfinished),
        };
        let piece = piece_of(&self.unfinished[..told], self.longest);
        self.unfinished.drain(..piece);
        (piece > 0).then_some(piece)
    }

    /// Forgets what is unfinished: how many bytes.
    pub(crate) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.unfinished).len()
    }

    /// How much of `chunk` belongs to a line of which so much was before it; None if all does, and
    /// the line may go on.
    pub(crate) fn rest_of_line(&self, chunk: &[u8], begun: usize) -> Option<usize> {
        let room = self.longest.saturating_sub(begun);
        let window = &chunk[..chunk.len().min(room.saturating_add(LONGEST_ENDING))];
        let line = memchr(b'\n', window).map(|end| end + 1);
        line.or_else(|| (chunk.len() > room).then(|| piece_of(chunk, room)))
    }

    /// Whether a carriage return is held back behind the last piece.
    fn cut_pieces(&mut self, mut take: impl FnMut(&[u8])) -> bool {
        // A carriage return at the end is held back: a newline may follow.
        let ending = usize::from(self.unfinished.ends_with(b"\r"));
        let (mut cut, mut held) = (0, false);
        while self.unfinished.len() - ending - cut > self.longest {
            let piece = piece_of(&self.unfinished[cut..], self.longest);
            take(&self.unfinished[cut..cut + piece]);
            held = self.unfinished.get(cut + self.longest) == Some(&b'\r');
            cut += piece;
        }
        self.unfinished.drain(..cut);
        held
    }

    fn batch(&self, bytes: Bytes, last_held: bool) -> Option<LineBatch> {
        let (stream, longest) = (self.stream, self.longest);
        (!bytes.is_empty()).then_some(LineBatch { stream, bytes, longest, last_held })
    }
}

/// How much of a chunk is complete lines.
fn complete(chunk: &[u8]) -> usize {
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
            assert_eq!(twin.advance(chunk), batches.len() > before, "both tell of lines");
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
