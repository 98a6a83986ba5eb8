//! The last lines of output that comes in pieces.

use std::collections::VecDeque;

/// Fewest bytes that are kept of a longer line: its end.
const LONGEST_LINE: usize = 8 * 1024 * 1024;

/// The last lines. One that is not finished counts.
pub(super) struct LastLines {
    most: u64,
    lines: VecDeque<Vec<u8>>,
}

impl LastLines {
    pub(super) fn new(most: u64) -> Self {
        Self { most, lines: VecDeque::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match self.lines.back_mut().filter(|line| !line.ends_with(b"\n")) {
                Some(line) => line.extend_from_slice(part),
                None => self.lines.push_back(part.to_vec()),
            }
            // At twice the bound, so that each byte is moved once.
            if let Some(line) = self.lines.back_mut().filter(|line| line.len() > 2 * LONGEST_LINE) {
                line.drain(..line.len() - LONGEST_LINE);
            }
            if self.lines.len() as u64 > self.most {
                self.lines.pop_front();
            }
        }
    }

    pub(super) fn into_lines(self) -> impl Iterator<Item = Vec<u8>> {
        self.lines.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_lines(pieces: &[&[u8]], most: u64) -> Vec<u8> {
        let mut last = LastLines::new(most);
        pieces.iter().for_each(|piece| last.push(piece));
        last.into_lines().flatten().collect()
    }

    #[test]
    fn lines_are_counted_from_the_end_whatever_the_pieces_are() {
        for (text, most, expected) in [
            ("", 3, ""),
            ("\n\n", 1, "\n"),
            ("a\nb\nc\n", 0, ""),
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nbb\ncc", 1, "cc"),
            ("a\nbb\ncc", 2, "bb\ncc"),
        ] {
            let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
            for pieces in [&[text.as_bytes()][..], &bytes] {
                let last = last_lines(pieces, most);
                assert_eq!(last, expected.as_bytes(), "{most} of {text:?}");
            }
        }
    }

    #[test]
    fn of_a_line_without_an_end_the_last_bytes_are_kept() {
        let long = vec![b'x'; LONGEST_LINE];
        let last = last_lines(&[b"begin", &long, &long, b"end"], 1);
        assert_eq!(last.len(), LONGEST_LINE + b"end".len());
        assert!(last.ends_with(b"xend") && !last.contains(&b'b'));
    }
}
