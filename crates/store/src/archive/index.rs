//! Index of an archive, as bytes.

use execution_engine_journal::StreamTotals;

/// What zstd skips begins with this, and with the length of what follows.
const SKIPPABLE: u32 = 0x184d_2a50;
const VERSION: u32 = 1;
const MARK: [u8; 4] = *b"exar";
const ENTRY: usize = 32;
/// Version and number of entries.
const HEAD: usize = 8;
/// Bytes of the journal and of both streams, checksum, length, mark.
const TAIL: usize = 24 + 4 + 4 + 4;

/// Where a frame begins, or where all of them end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// In the file.
    pub(super) offset: u64,
    /// In the journal.
    pub(super) position: u64,
    /// Bytes of each stream before it.
    pub(super) before: StreamTotals,
}

/// Index of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) frames: Vec<Entry>,
    pub(super) end: Entry,
}

/// Bytes at the end of a file that say how long its index is.
pub(super) const FOOT: usize = 8;

impl Index {
    pub(super) fn encode(&self) -> Vec<u8> {
        let length = HEAD + self.frames.len() * ENTRY + TAIL;
        let mut bytes = Vec::with_capacity(8 + length);
        bytes.extend_from_slice(&SKIPPABLE.to_le_bytes());
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.frames.len() as u32).to_le_bytes());
        for entry in &self.frames {
            bytes.extend_from_slice(&entry.offset.to_le_bytes());
            bytes.extend_from_slice(&entry.position.to_le_bytes());
            push_totals(&mut bytes, entry.before);
        }
        bytes.extend_from_slice(&self.end.position.to_le_bytes());
        push_totals(&mut bytes, self.end.before);
        let checksum = crc32fast::hash(&bytes[8..]);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(&(bytes.len() as u32 + FOOT as u32).to_le_bytes());
        bytes.extend_from_slice(&MARK);
        bytes
    }

    /// Returns how many bytes at the end of a file are the index, from its last [`FOOT`] bytes.
    pub(super) fn length(foot: &[u8; FOOT]) -> Option<u64> {
        let [a, b, c, d, mark @ ..] = *foot;
        (mark == MARK).then(|| u64::from(u32::from_le_bytes([a, b, c, d])))
    }

    /// Reads the index of a file of `file_bytes` from its last bytes. None if it is damaged.
    pub(super) fn decode(bytes: &[u8], file_bytes: u64) -> Option<Self> {
        let covered = bytes.len().checked_sub(FOOT + 4)?;
        let checksum = u32::from_le_bytes(bytes.get(covered..covered + 4)?.try_into().ok()?);
        let mut content = Content(bytes.get(8..covered)?);
        if crc32fast::hash(content.0) != checksum || content.u32()? != VERSION {
            return None;
        }
        let count = content.u32()?;
        let entry = |content: &mut Content<'_>, offset: Option<u64>| {
            let offset = offset.map_or_else(|| content.u64(), Some)?;
            let position = content.u64()?;
            let before = StreamTotals { stdout: content.u64()?, stderr: content.u64()? };
            Some(Entry { offset, position, before })
        };
        let frames = (0..count).map(|_| entry(&mut content, None)).collect::<Option<Vec<_>>>()?;
        let end = entry(&mut content, Some(file_bytes.checked_sub(bytes.len() as u64)?))?;
        let ordered = frames
            .iter()
            .chain([&end])
            .is_sorted_by(|a, b| a.offset <= b.offset && a.position < b.position);
        (ordered && content.0.is_empty()).then_some(Self { frames, end })
    }
}

fn push_totals(bytes: &mut Vec<u8>, totals: StreamTotals) {
    bytes.extend_from_slice(&totals.stdout.to_le_bytes());
    bytes.extend_from_slice(&totals.stderr.to_le_bytes());
}

struct Content<'a>(&'a [u8]);

impl Content<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let entry = |n: u64| Entry {
            offset: n * 100,
            position: n * 1000,
            before: StreamTotals { stdout: n * 500, stderr: n * 7 },
        };
        Index { frames: (0..3).map(entry).collect(), end: entry(3) }
    }

    #[test]
    fn index_comes_back() {
        let bytes = index().encode();
        let foot = bytes.last_chunk().unwrap();
        assert_eq!(Index::length(foot), Some(bytes.len() as u64));
        assert_eq!(Index::decode(&bytes, 300 + bytes.len() as u64), Some(index()));
    }

    #[test]
    fn damaged_index_is_recognised_whichever_byte_it_is() {
        let whole = index().encode();
        let file = 300 + whole.len() as u64;
        // The first eight bytes are for zstd, the last eight for finding it.
        for at in 8..whole.len() - FOOT {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert_eq!(Index::decode(&bytes, file), None, "byte {at}");
        }
        for length in 0..whole.len() {
            assert_eq!(Index::decode(&whole[..length], file), None);
        }
    }
}
