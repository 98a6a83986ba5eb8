//! The last lines of an output.

use crate::error::ServiceError;
use crate::service::Output;

/// Most bytes that are read at once.
const CHUNK: u64 = 64 << 10;

/// Returns where the last lines of an output begin. A line that is not finished counts as one.
pub(super) async fn tail(output: &mut Output, lines: u64) -> Result<u64, ServiceError> {
    let length = output.len();
    let mut search = Search::new(lines, length);
    while let Some(range) = search.next_range() {
        let mut bytes = Vec::new();
        let wanted = (range.end - range.start) as usize;
        while bytes.len() < wanted {
            let from = range.start + bytes.len() as u64;
            let more = output.read(from, wanted - bytes.len()).await?;
            if more.is_empty() {
                break;
            }
            bytes.extend_from_slice(&more);
        }
        search.look_at(&bytes);
    }
    Ok(search.begin)
}

/// Search for the beginning of the last lines, from the end on.
struct Search {
    /// Line breaks that are still to be found.
    left: u64,
    /// Where what has been looked at begins, and in the end the lines.
    begin: u64,
    length: u64,
    done: bool,
}

impl Search {
    fn new(lines: u64, length: u64) -> Self {
        Self { left: lines, begin: length, length, done: lines == 0 }
    }

    /// Returns which bytes are to be looked at next.
    fn next_range(&self) -> Option<std::ops::Range<u64>> {
        let more = !self.done && self.begin > 0;
        more.then(|| self.begin.saturating_sub(CHUNK)..self.begin)
    }

    /// Looks at the bytes of [`next_range`](Self::next_range).
    fn look_at(&mut self, bytes: &[u8]) {
        let from = self.begin.saturating_sub(CHUNK);
        for (index, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let behind = from + index as u64 + 1;
            // The one at the very end finishes the last line and begins none.
            if behind == self.length {
                continue;
            }
            self.left -= 1;
            if self.left == 0 {
                (self.begin, self.done) = (behind, true);
                return;
            }
        }
        self.begin = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_lines(text: &[u8], lines: u64) -> &[u8] {
        let mut search = Search::new(lines, text.len() as u64);
        while let Some(range) = search.next_range() {
            search.look_at(&text[range.start as usize..range.end as usize]);
        }
        &text[search.begin as usize..]
    }

    #[test]
    fn lines_are_counted_from_the_end() {
        for (text, lines, expected) in [
            ("", 3, ""),
            ("\n", 1, "\n"),
            ("\n\n", 1, "\n"),
            ("a\nb\nc\n", 0, ""),
            ("a\nb\nc\n", 1, "c\n"),
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc\n", 3, "a\nb\nc\n"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nb\nc", 1, "c"),
            ("a\nb\nc", 2, "b\nc"),
            ("abc", 1, "abc"),
        ] {
            assert_eq!(
                last_lines(text.as_bytes(), lines),
                expected.as_bytes(),
                "{lines} of {text:?}"
            );
        }
    }

    #[test]
    fn long_lines_and_many_lines_go_over_the_pieces() {
        let long = [vec![b'x'; 200_000], vec![b'\n'], vec![b'y'; 70_000]].concat();
        assert_eq!(last_lines(&long, 1), &long[200_001..]);
        assert_eq!(last_lines(&long, 2), &long[..]);
        let many: String = (0..50_000).map(|number| format!("{number}\n")).collect();
        let last: String = (20_000..50_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(last_lines(many.as_bytes(), 30_000), last.as_bytes());
    }
}
