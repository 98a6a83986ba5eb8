//! What is kept of one stream: never more than the limit, and an exact count of the rest.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::lines::complete_characters;
use super::overflow::OverflowFile;
use super::text::text;
use crate::types::StreamStats;

/// Which part of a stream is kept when it is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum KeepPolicy {
    /// The first bytes.
    #[default]
    First,
    /// The first half of the limit and the last.
    FirstAndLast,
}

/// Collects what is to be kept of a stream.
#[derive(Debug)]
pub(super) struct Capture {
    store: CaptureBuffer,
    /// How much of the store is kept: it ends with a whole character.
    kept: usize,
    limit: usize,
    /// How many bytes of the stream there had been before it.
    base: u64,
    /// How many of them since.
    seen: u64,
    last: Option<Box<Tail>>,
    overflow: Option<Arc<OverflowFile>>,
}

#[derive(Debug)]
enum CaptureBuffer {
    Growing(Vec<u8>),
    SealedJournal(Bytes),
}

/// The last bytes of a stream, never more than a limit.
#[derive(Debug)]
struct Tail {
    bytes: VecDeque<u8>,
    limit: usize,
    /// How many more it may have: those that the first part has taken back.
    lent: usize,
}

/// What became of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CaptureSplit {
    /// How many of its bytes are in the store; the others did not fit.
    pub(super) stored: usize,
    /// Bytes of earlier chunks that are no longer kept, so that no character is split.
    pub(super) taken_back: Vec<u8>,
}

impl Capture {
    pub(super) fn new(limit: usize, keep: KeepPolicy) -> Self {
        let last = match keep {
            KeepPolicy::First => None,
            KeepPolicy::FirstAndLast => Some(Box::new(Tail::new(limit / 2))),
        };
        let first = limit - last.as_ref().map_or(0, |last| last.limit);
        let store = CaptureBuffer::Growing(Vec::new());
        Self { store, kept: 0, limit: first, base: 0, seen: 0, last, overflow: None }
    }

    /// One that is complete already.
    pub(super) fn of(captured: &CapturedOutput) -> Self {
        Self {
            store: CaptureBuffer::SealedJournal(captured.bytes.clone()),
            kept: captured.bytes.len(),
            limit: captured.bytes.len(),
            base: captured.base,
            seen: captured.seen,
            last: None,
            overflow: None,
        }
    }

    /// One for what follows, which keeps as much.
    pub(super) fn fresh(&self) -> Self {
        let last = self.last.as_ref().map(|last| Box::new(Tail::new(last.limit)));
        Self {
            store: CaptureBuffer::Growing(Vec::new()),
            kept: 0,
            limit: self.limit,
            base: self.seen(),
            seen: 0,
            last,
            overflow: None,
        }
    }

    /// How many bytes of the stream there have been.
    pub(super) fn seen(&self) -> u64 {
        self.base + self.seen
    }

    /// Where in the stream the store begins.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Returns how far in the stream it is kept when nothing more comes.
    pub(super) fn kept_until(&self) -> u64 {
        self.base + self.kept as u64
    }

    /// A part of the store; shared where it grows no more.
    pub(super) fn part(&self, from: usize, to: usize) -> Bytes {
        match &self.store {
            CaptureBuffer::Growing(bytes) => Bytes::copy_from_slice(&bytes[from..to]),
            CaptureBuffer::SealedJournal(bytes) => bytes.slice(from..to),
        }
    }

    /// Keeps what fits of a chunk.
    pub(super) fn take(&mut self, chunk: &[u8]) -> CaptureSplit {
        // The first byte beyond the limit closes the store; `seen` tells that it has come.
        let closed = self.seen > self.limit as u64;
        self.seen += chunk.len() as u64;
        let (mut stored, mut taken_back) = (0, Vec::new());
        if let (false, CaptureBuffer::Growing(bytes)) = (closed, &mut self.store) {
            stored = chunk.len().min(self.limit - bytes.len());
            bytes.extend_from_slice(&chunk[..stored]);
            self.kept = bytes.len();
            if stored < chunk.len() {
                self.kept = complete_characters(bytes);
                taken_back = bytes[self.kept..].to_vec();
                if let Some(last) = &mut self.last {
                    // So that a stream of exactly the limit is kept as a whole.
                    last.lent = taken_back.len();
                }
            }
        }
        if let Some(last) = &mut self.last {
            last.push(&taken_back);
            last.push(&chunk[stored..]);
        }
        CaptureSplit { stored, taken_back }
    }

    /// The rest is in this file.
    pub(super) fn overflows_into(&mut self, file: Arc<OverflowFile>) {
        self.overflow = Some(file);
    }

    /// Nothing more comes.
    pub(super) fn seal(&mut self) -> CapturedOutput {
        if let CaptureBuffer::Growing(bytes) = &mut self.store {
            let mut bytes = std::mem::take(bytes);
            bytes.shrink_to_fit();
            self.store = CaptureBuffer::SealedJournal(Bytes::from(bytes));
        }
        let rest = match (self.overflow.take(), self.last.take()) {
            (Some(file), _) => Remainder::File(file),
            (None, Some(last)) if !last.bytes.is_empty() => {
                let nothing_is_missing = (self.kept + last.bytes.len()) as u64 == self.seen;
                let last = if nothing_is_missing { last.whole() } else { last.whole_characters() };
                Remainder::Tail(Box::new(last))
            }
            _ => Remainder::Dropped,
        };
        CapturedOutput { bytes: self.part(0, self.kept), base: self.base, seen: self.seen, rest }
    }
}

impl Tail {
    fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), limit, lent: 0 }
    }

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

    fn whole(self) -> Bytes {
        Bytes::from(Vec::from(self.bytes))
    }

    /// Without the end of a character whose beginning is missing.
    fn whole_characters(self) -> Bytes {
        let bytes = self.whole();
        let is_continuation = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        let cut = bytes.iter().take(3).take_while(is_continuation).count();
        bytes.slice(cut..)
    }
}

/// Captured output of one stream of an ended execution.
#[derive(Debug, Clone, Default)]
pub(crate) struct CapturedOutput {
    bytes: Bytes,
    /// How many bytes of the stream there had been before, in earlier attempts.
    base: u64,
    seen: u64,
    rest: Remainder,
}

/// Where the bytes are that did not fit.
#[derive(Debug, Clone, Default)]
enum Remainder {
    /// Nowhere, if there are any.
    #[default]
    Dropped,
    /// The last of them are here.
    Tail(Box<Bytes>),
    File(Arc<OverflowFile>),
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
        let in_memory = self.bytes.len() as u64;
        let kept_bytes = match &self.rest {
            Remainder::Dropped => in_memory,
            Remainder::Tail(last) => in_memory + last.len() as u64,
            Remainder::File(file) => in_memory + file.written(),
        };
        StreamStats { seen_bytes: self.seen, kept_bytes }
    }

    /// What is kept in memory, byte for byte. Shared, unless it has two parts.
    pub(crate) fn bytes(&self) -> Bytes {
        match &self.rest {
            Remainder::Tail(last) => Bytes::from([&self.bytes[..], &last[..]].concat()),
            Remainder::Dropped | Remainder::File(_) => self.bytes.clone(),
        }
    }

    /// The kept bytes as text, with a line that says so where something is missing.
    pub(crate) fn text(&self) -> String {
        let StreamStats { seen_bytes, kept_bytes } = self.stats();
        if kept_bytes == seen_bytes || self.overflow().is_some() {
            return match &self.rest {
                Remainder::Tail(last) => text(&[&self.bytes[..], &last[..]].concat()),
                Remainder::Dropped | Remainder::File(_) => text(&self.bytes),
            };
        }
        let mut text = text(&self.bytes);
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        match &self.rest {
            Remainder::Tail(last) => {
                let missing = seen_bytes - kept_bytes;
                text.push_str(&format!("[output truncated: {missing} bytes are missing here]\n"));
                text.push_str(&self::text(last));
            }
            Remainder::Dropped | Remainder::File(_) => text.push_str(&format!(
                "[output truncated: kept the first {kept_bytes} of {seen_bytes} bytes]\n"
            )),
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `chunks`; what is kept, and what did not fit.
    fn fed(limit: usize, keep: KeepPolicy, chunks: &[&[u8]]) -> (CapturedOutput, Vec<u8>) {
        let mut capture = Capture::new(limit, keep);
        let mut excess = Vec::new();
        for chunk in chunks {
            let CaptureSplit { stored, taken_back } = capture.take(chunk);
            excess.extend(taken_back);
            excess.extend(&chunk[stored..]);
        }
        (capture.seal(), excess)
    }

    #[test]
    fn exactly_the_limit_is_not_truncated() {
        for keep in [KeepPolicy::First, KeepPolicy::FirstAndLast] {
            let (kept, _) = fed(4, keep, &[b"ab", b"cd"]);
            assert_eq!((kept.text().as_str(), &kept.bytes()[..]), ("abcd", &b"abcd"[..]));
        }
    }

    #[test]
    fn exactly_the_limit_is_not_truncated_where_a_character_is_in_the_middle() {
        let text = "aé€😀é";
        let (kept, _) = fed(text.len(), KeepPolicy::FirstAndLast, &[text.as_bytes()]);
        assert_eq!(kept.text(), text);
    }

    #[test]
    fn one_more_byte_is() {
        let (kept, excess) = fed(4, KeepPolicy::First, &[b"abcd", b"e"]);
        assert_eq!(excess, b"e");
        assert_eq!(kept.text(), "abcd\n[output truncated: kept the first 4 of 5 bytes]\n");
    }

    #[test]
    fn the_first_and_the_last_are_kept_with_a_count_of_what_is_missing() {
        let text: Vec<u8> = (b'a'..=b'z').collect();
        for at in 0..text.len() {
            let (kept, _) = fed(7, KeepPolicy::FirstAndLast, &[&text[..at], &text[at..]]);
            let expected = "abcd\n[output truncated: 19 bytes are missing here]\nxyz";
            assert_eq!(kept.text(), expected, "cut at {at}");
            assert_eq!(kept.stats(), StreamStats { seen_bytes: 26, kept_bytes: 7 });
            assert_eq!(&kept.bytes()[..], b"abcdxyz");
        }
    }

    #[test]
    fn another_attempt_keeps_as_much_as_the_first() {
        let text = "abc€".repeat(9);
        for limit in 0..=20 {
            let mut capture = Capture::new(limit, KeepPolicy::FirstAndLast);
            for attempt in 1..4 {
                capture.take(text.as_bytes());
                let next = capture.fresh();
                let kept = std::mem::replace(&mut capture, next).seal();
                assert!(kept.bytes().len() <= limit, "limit {limit}, attempt {attempt}");
            }
        }
    }

    #[test]
    fn a_character_is_never_split() {
        for limit in 0..=8 {
            let text = "aé€😀".as_bytes();
            for at in 0..text.len() {
                let (kept, excess) = fed(limit, KeepPolicy::First, &[&text[..at], &text[at..]]);
                let whole = [&kept.bytes[..], &excess[..]].concat();
                assert_eq!(whole, text, "limit {limit}, chunks cut at {at}");
                assert!(std::str::from_utf8(&kept.bytes).is_ok(), "limit {limit}, cut at {at}");
                assert!(kept.bytes.len() <= limit);
                let (both, _) = fed(limit, KeepPolicy::FirstAndLast, &[&text[..at], &text[at..]]);
                assert!(!both.text().contains('\u{fffd}'), "limit {limit}, cut at {at}");
                assert!(both.bytes().len() <= limit);
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_to_the_limit() {
        let (kept, excess) = fed(3, KeepPolicy::First, &[&[0x80, 0x80, 0x80, 0x80]]);
        assert_eq!((kept.bytes.len(), excess.len()), (3, 1));
    }
}
