//! The last lines of an output that is read from its beginning.

use std::collections::VecDeque;

use execution_engine::Uuid;

use crate::failure::Failure;
use crate::service::elsewhere::{Remote, output};

/// Returns how many bytes of what an execution has written now stand before its last lines; 0 without a number of lines.
pub(super) async fn bytes_before(
    remote: &Remote,
    id: Uuid,
    lines: Option<u64>,
) -> Result<u64, Failure> {
    let Some(lines) = lines else { return Ok(0) };
    let mut last = LineBegins::new(lines);
    let mut count = |_, part: &[u8]| {
        last.push(part);
        Ok(())
    };
    // What is missing is told when the output is printed.
    output::read_now(remote, id, &mut count).await?;
    Ok(last.begin())
}

/// Places where the last lines begin.
struct LineBegins {
    most: u64,
    begins: VecDeque<u64>,
    seen: u64,
    is_begin: bool,
}

impl LineBegins {
    fn new(most: u64) -> Self {
        Self { most, begins: VecDeque::new(), seen: 0, is_begin: true }
    }

    fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.is_begin {
                self.begins.push_back(self.seen);
                if self.begins.len() as u64 > self.most {
                    self.begins.pop_front();
                }
            }
            self.seen += part.len() as u64;
            self.is_begin = part.ends_with(b"\n");
        }
    }

    /// Returns where the first of the last lines begins.
    fn begin(&self) -> u64 {
        self.begins.front().copied().unwrap_or(self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_however_the_output_comes() {
        let text = b"one\n\nthree\nfo";
        for (lines, expected) in [(0, 13), (1, 11), (2, 5), (3, 4), (4, 0), (9, 0)] {
            for size in [1, 2, 5, 100] {
                let mut last = LineBegins::new(lines);
                text.chunks(size).for_each(|part| last.push(part));
                assert_eq!(last.begin(), expected, "{lines} lines in pieces of {size}");
            }
        }
        assert_eq!(LineBegins::new(3).begin(), 0, "of nothing");
    }
}
