//! Marks at the beginning of each line of output: its stream, and the time.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

/// What stands before each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    has_stream: bool,
    has_time: bool,
}

/// Reads a list of `stream` and `time`.
///
/// # Errors
/// What is wrong with it, and the fix.
pub(crate) fn parse(text: &str) -> Result<Prefix, String> {
    let mut prefix = Prefix { has_stream: false, has_time: false };
    for word in text.split(',') {
        match word {
            "stream" => prefix.has_stream = true,
            "time" => prefix.has_time = true,
            _ => return Err(format!("{word:?} is no mark; write stream, time or stream,time")),
        }
    }
    Ok(prefix)
}

/// One stream with marks. A line that comes in pieces has one, and nothing is held back.
#[derive(Debug)]
pub(super) struct Prefixed {
    prefix: Prefix,
    stream: &'static str,
    is_in_line: bool,
}

impl Prefixed {
    pub(super) fn new(prefix: Prefix, stream: &'static str) -> Self {
        Self { prefix, stream, is_in_line: false }
    }

    /// Returns the bytes with the marks in them.
    pub(super) fn lines(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mark = self.mark(Utc::now());
        let mut marked = Vec::with_capacity(bytes.len() + mark.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.is_in_line {
                marked.extend_from_slice(mark.as_bytes());
            }
            marked.extend_from_slice(line);
            self.is_in_line = line.last() != Some(&b'\n');
        }
        marked
    }

    fn mark(&self, now: DateTime<Utc>) -> String {
        let mut mark = String::new();
        if self.prefix.has_time {
            // Writing to a string cannot fail.
            let _written = write!(mark, "{} ", now.format("%Y-%m-%dT%H:%M:%S%.3fZ"));
        }
        if self.prefix.has_stream {
            let _written = write!(mark, "{} ", self.stream);
        }
        mark.push_str("| ");
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_one_mark_however_it_comes() {
        let mut stream = Prefixed::new(parse("stream").unwrap(), "stdout");
        let mut all = Vec::new();
        for piece in ["one\ntw", "o", "\n", "\n", "three"] {
            all.extend(stream.lines(piece.as_bytes()));
        }
        let expected = "stdout | one\nstdout | two\nstdout | \nstdout | three";
        assert_eq!(String::from_utf8(all).unwrap(), expected);
    }

    #[test]
    fn times_are_of_one_length() {
        let stream = Prefixed::new(parse("stream,time").unwrap(), "stderr");
        assert_eq!(stream.mark(DateTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z stderr | ");
        assert!(parse("colour").unwrap_err().contains("stream,time"));
    }
}
