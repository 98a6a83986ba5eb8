//! Unfinished lines whose bytes may no longer be held: where they end, or are cut.

use std::fmt;

use memchr::memchr;

use super::{LONGEST_ENDING, cut_of, is_continuation};

/// Bytes at the end of a line that may be part of a character that is cut.
const TAIL: u32 = 3;
const LENGTH_BITS: u32 = u32::BITS - TAIL;

/// An unfinished line: its length, and which of its last bytes continue a character. That is all it
/// takes to know where it ends or is cut when more comes.
///
/// One number, because each entry of a journal has two of these: the length, and the marks of the
/// last three bytes above it, that of the last byte lowest.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UnfinishedLine(u32);

/// The first piece of a line whose beginning is missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MissingPiece {
    /// Its length, line ending included.
    pub(crate) length: usize,
    /// How many bytes of the chunk belong to it.
    pub(crate) taken: usize,
    /// Where in the chunk the byte ends that completed it.
    pub(crate) completed_at: usize,
    /// What came before the chunk and belongs to the next piece, whose beginning is missing, too.
    pub(crate) next: UnfinishedLine,
}

impl UnfinishedLine {
    /// The longest line that is not cut, so that every length fits.
    pub(crate) const MOST: usize = 1 << (LENGTH_BITS - 1);
    const LENGTH: u32 = (1 << LENGTH_BITS) - 1;

    pub(crate) fn of(line: &[u8]) -> Self {
        Self::default().with(line)
    }

    /// Returns one of which only the length is known.
    pub(crate) fn unknown(length: usize) -> Self {
        Self(u32::try_from(length).unwrap_or(u32::MAX).min(Self::LENGTH))
    }

    pub(crate) fn length(self) -> usize {
        (self.0 & Self::LENGTH) as usize
    }

    /// Returns it with more bytes at its end.
    pub(crate) fn with(self, more: &[u8]) -> Self {
        let last = &more[more.len().saturating_sub(TAIL as usize)..];
        let marks = last.iter().fold(self.0 >> LENGTH_BITS, |marks, byte| {
            (marks << 1) | u32::from(is_continuation(*byte))
        });
        let length = u32::try_from(self.length() + more.len()).unwrap_or(u32::MAX);
        // Marks beyond the third are pushed out at the top.
        Self((marks << LENGTH_BITS) | length.min(Self::LENGTH))
    }

    /// Returns what is left of it without its first bytes.
    pub(crate) fn without(self, first: usize) -> Self {
        let first = u32::try_from(first).unwrap_or(u32::MAX);
        let left = (self.0 & Self::LENGTH).saturating_sub(first);
        // There is no mark of a byte that is gone.
        let marks = (self.0 >> LENGTH_BITS) & ((1 << left.min(TAIL)) - 1);
        Self((marks << LENGTH_BITS) | left)
    }

    /// Returns its first piece that a chunk completes, if it is cut at this length. None if the
    /// whole chunk belongs to it, and more may follow.
    pub(crate) fn first_piece(self, chunk: &[u8], longest: usize) -> Option<MissingPiece> {
        let before = self.length();
        let room = longest.saturating_sub(before);
        let window = &chunk[..chunk.len().min(room + LONGEST_ENDING)];
        if let Some(end) = memchr(b'\n', window) {
            let has_return = end > 0 && chunk[end - 1] == b'\r';
            // An ending that was begun before the chunk has nothing before it that is too long.
            if end == 0 || before + end - usize::from(has_return) <= longest {
                let (length, taken) = (before + end + 1, end + 1);
                return Some(MissingPiece {
                    length,
                    taken,
                    completed_at: taken,
                    next: Self::default(),
                });
            }
        }
        // A carriage return alone makes no line too long: a newline may follow.
        let is_ending = before <= longest && chunk.get(room) == Some(&b'\r');
        let too_long_at = room + usize::from(is_ending);
        if too_long_at >= chunk.len() {
            return None;
        }
        let length = cut_of(longest, |at| match at.checked_sub(before) {
            Some(at) => is_continuation(chunk[at]),
            None => self.continues(before - at),
        });
        Some(MissingPiece {
            length,
            taken: length.saturating_sub(before),
            completed_at: too_long_at + 1,
            next: self.without(length),
        })
    }

    /// Returns what is unfinished behind more bytes.
    pub(crate) fn behind(mut self, mut bytes: &[u8], longest: usize) -> Self {
        while let Some(piece) = self.first_piece(bytes, longest) {
            self = piece.next;
            bytes = &bytes[piece.taken..];
        }
        self.with(bytes)
    }

    /// Returns `true` if the byte this far before the end continues a character, the last being 1.
    fn continues(self, back: usize) -> bool {
        back <= TAIL as usize && (self.0 >> LENGTH_BITS) >> (back - 1) & 1 == 1
    }
}

impl fmt::Debug for UnfinishedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.length())
    }
}
