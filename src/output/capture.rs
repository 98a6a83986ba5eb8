//! What is kept of one stream: never more than the limit, and an exact count of the rest.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::overflow::OverflowFile;
use crate::model::StreamStats;

/// Collects the first bytes of a stream.
#[derive(Debug)]
pub(super) struct Capture {
    kept: Vec<u8>,
    limit: usize,
    seen: u64,
}

/// What did not fit: the bytes taken back so that no character is split, then the rest of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excess<'a> {
    pub(super) taken_back: Vec<u8>,
    pub(super) rest: &'a [u8],
}

impl Capture {
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), limit, seen: 0 }
    }

    /// Keeps what fits of a chunk and returns what does not.
    pub(super) fn take<'a>(&mut self, chunk: &'a [u8]) -> Option<Excess<'a>> {
        // The first byte beyond the limit closes the capture; `seen` tells that it has come.
        let closed = self.seen > self.limit as u64;
        self.seen += chunk.len() as u64;
        if closed {
            return Some(Excess { taken_back: Vec::new(), rest: chunk });
        }
        let (fits, rest) = chunk.split_at(chunk.len().min(self.limit - self.kept.len()));
        self.kept.extend_from_slice(fits);
        if rest.is_empty() {
            return None;
        }
        let taken_back = self.kept.split_off(complete_characters(&self.kept));
        Some(Excess { taken_back, rest })
    }

    pub(super) fn finish(mut self, overflow: Option<Arc<OverflowFile>>) -> Captured {
        self.kept.shrink_to_fit();
        Captured { bytes: Bytes::from(self.kept), seen: self.seen, overflow }
    }
}

/// The length of `bytes` without a UTF-8 character that has only begun at its end.
fn complete_characters(bytes: &[u8]) -> usize {
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

/// One stream of an ended execution.
#[derive(Debug, Clone, Default)]
pub(crate) struct Captured {
    bytes: Bytes,
    seen: u64,
    overflow: Option<Arc<OverflowFile>>,
}

impl Captured {
    pub(crate) fn overflow_path(&self) -> Option<&Path> {
        self.overflow.as_deref().map(OverflowFile::path)
    }

    pub(crate) fn stats(&self) -> StreamStats {
        let in_memory = self.bytes.len() as u64;
        let kept_bytes = if self.overflow.is_some() { self.seen } else { in_memory };
        StreamStats { seen_bytes: self.seen, kept_bytes }
    }

    /// The kept bytes as text, ended by a warning if something is missing.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        let StreamStats { seen_bytes, kept_bytes } = self.stats();
        if kept_bytes < seen_bytes {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&format!(
                "[output truncated: kept the first {kept_bytes} of {seen_bytes} bytes]\n"
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `chunks`; what is kept, and what came back as excess.
    fn fed(limit: usize, chunks: &[&[u8]]) -> (Captured, Vec<u8>) {
        let mut capture = Capture::new(limit);
        let mut excess = Vec::new();
        for chunk in chunks {
            if let Some(Excess { taken_back, rest }) = capture.take(chunk) {
                excess.extend(taken_back);
                excess.extend(rest);
            }
        }
        (capture.finish(None), excess)
    }

    #[test]
    fn exactly_the_limit_is_not_truncated() {
        let (kept, excess) = fed(4, &[b"ab", b"cd"]);
        assert_eq!((kept.text().as_str(), excess.as_slice()), ("abcd", &b""[..]));
    }

    #[test]
    fn one_more_byte_is() {
        let (kept, excess) = fed(4, &[b"abcd", b"e"]);
        assert_eq!(excess, b"e");
        assert_eq!(kept.text(), "abcd\n[output truncated: kept the first 4 of 5 bytes]\n");
    }

    #[test]
    fn a_character_is_never_split() {
        for limit in 0..=8 {
            let text = "aé€😀".as_bytes();
            for at in 0..text.len() {
                let (kept, excess) = fed(limit, &[&text[..at], &text[at..]]);
                let whole = [&kept.bytes[..], &excess[..]].concat();
                assert_eq!(whole, text, "limit {limit}, chunks cut at {at}");
                assert!(std::str::from_utf8(&kept.bytes).is_ok(), "limit {limit}, cut at {at}");
                assert!(kept.bytes.len() <= limit);
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_to_the_limit() {
        let (kept, excess) = fed(3, &[&[0x80, 0x80, 0x80, 0x80]]);
        assert_eq!((kept.bytes.len(), excess.len()), (3, 1));
    }
}
