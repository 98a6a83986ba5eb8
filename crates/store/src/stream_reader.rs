//! Bytes of a stream out of the records of a journal, by offset.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use execution_engine::OutputStream;
use execution_engine_journal::{JournalReader, Kind, ReadAt, StreamTotals};

use crate::archive::of_stream;
use crate::error::Result;

/// Least and most bytes of a journal that are read at once. Two places that are kept are as far apart as the second.
const PIECE: (usize, usize) = (4 << 10, 256 << 10);

/// Place in a journal from which on to read for some byte of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputStart {
    /// Position of a record in the journal.
    pub position: u64,
    /// Bytes of each stream before it.
    pub before: StreamTotals,
}

/// Reads one stream of a journal, or both as they were written, at any offset.
///
/// A journal has no index, so where a byte is can only be found by going through the records before it. The reader
/// keeps places that it has passed: reading all of a stream piece by piece, forwards or backwards, goes through the
/// journal a bounded number of times.
#[derive(Debug)]
pub struct StreamReader<R> {
    journal: JournalReader<R>,
    stream: Option<OutputStream>,
    end: u64,
    passed: Mutex<Passed>,
}

#[derive(Debug, Default)]
struct Passed {
    /// In the order of their positions.
    places: Vec<OutputStart>,
    /// Where the last read stopped.
    last: OutputStart,
}

impl<R: ReadAt> StreamReader<R> {
    /// Returns a reader of the records before `end`, which is the end of one of them.
    pub fn new(journal: JournalReader<R>, stream: Option<OutputStream>, end: u64) -> Self {
        Self { journal, stream, end, passed: Mutex::default() }
    }

    /// Returns what the journal is read from.
    pub fn source(&self) -> &R {
        self.journal.source()
    }

    /// Returns bytes from `offset` on: `max` of them, fewer at the end, and none behind it. `start` is a place at or
    /// before `offset` that is known otherwise, such as the beginning.
    ///
    /// # Errors
    ///
    /// [`Journal`](crate::StoreError::Journal) if the file cannot be read or is damaged.
    pub fn read(&self, start: OutputStart, offset: u64, max: usize) -> Result<Bytes> {
        let mut place = self.nearest(start, offset);
        let mut found = BytesMut::new();
        while place.position < self.end && found.len() < max {
            let piece = (max - found.len()).clamp(PIECE.0, PIECE.1);
            let batch = self.journal.read(place.position, self.end, piece)?;
            for record in batch.records {
                place.position = record.position;
                self.pass(place);
                let length = record.payload.len() as u64;
                if is_of(record.kind, self.stream) {
                    let at = of_stream(place.before, self.stream);
                    if at + length > offset {
                        // It lies within the record, whose length is a `usize`.
                        let skipped = offset.saturating_sub(at) as usize;
                        let end = record.payload.len().min(skipped + (max - found.len()));
                        found.extend_from_slice(&record.payload[skipped..end]);
                        if found.len() == max {
                            // The next read may begin within this record.
                            return Ok(found.freeze());
                        }
                    }
                }
                match record.kind {
                    Kind::Stdout => place.before.stdout += length,
                    Kind::Stderr => place.before.stderr += length,
                    Kind::Event => {}
                }
            }
            place.position = batch.next;
        }
        self.pass(place);
        Ok(found.freeze())
    }

    /// Returns the last known place at or before a byte.
    fn nearest(&self, start: OutputStart, offset: u64) -> OutputStart {
        let is_before = |place: &OutputStart| of_stream(place.before, self.stream) <= offset;
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = passed.places.partition_point(is_before).checked_sub(1);
        let known = [Some(start), kept.map(|at| passed.places[at]), Some(passed.last)];
        let known = known.into_iter().flatten().filter(is_before);
        known.max_by_key(|place| place.position).unwrap_or_default()
    }

    fn pass(&self, place: OutputStart) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.last = place;
        let reached = passed.places.last().map_or(0, |last| last.position);
        if place.position >= reached + PIECE.1 as u64 {
            passed.places.push(place);
        }
    }
}

fn is_of(kind: Kind, stream: Option<OutputStream>) -> bool {
    match kind {
        Kind::Stdout => stream != Some(OutputStream::Stderr),
        Kind::Stderr => stream != Some(OutputStream::Stdout),
        Kind::Event => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    use execution_engine_journal::JournalWriter;

    use super::*;

    /// Counts the bytes that are read.
    struct Counted(Vec<u8>, AtomicU64);

    impl ReadAt for Counted {
        fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read_at(position, buffer)?;
            self.1.fetch_add(count as u64, Ordering::Relaxed);
            Ok(count)
        }

        fn total_bytes(&self) -> io::Result<u64> {
            self.0.total_bytes()
        }
    }

    /// Returns a journal of both streams, and the bytes of standard output in it.
    fn journal() -> (Counted, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut writer = JournalWriter::create(&path).unwrap();
        let mut stdout = Vec::new();
        for number in 0..1000_usize {
            let bytes: Vec<u8> = (0..8000).map(|at| ((number * 31 + at) % 251) as u8).collect();
            writer.append(Kind::Stdout, 1, 0, &bytes).unwrap();
            writer.append(Kind::Stderr, 1, 0, b"other").unwrap();
            stdout.extend_from_slice(&bytes);
        }
        (Counted(std::fs::read(&path).unwrap(), AtomicU64::new(0)), stdout)
    }

    #[test]
    fn reading_all_of_a_stream_in_pieces_reads_its_journal_a_few_times() {
        let (source, expected) = journal();
        let all = source.0.len() as u64;
        for size in [10_000, 64 << 10, 256 << 10, 1 << 20] {
            for backwards in [false, true] {
                source.1.store(0, Ordering::Relaxed);
                let journal = JournalReader::new(&source, "test");
                let reader = StreamReader::new(journal, Some(OutputStream::Stdout), all);
                let mut offsets: Vec<usize> = (0..expected.len()).step_by(size).collect();
                if backwards {
                    offsets.reverse();
                }
                for offset in offsets {
                    let read = reader.read(OutputStart::default(), offset as u64, size).unwrap();
                    let end = expected.len().min(offset + size);
                    assert!(read == expected[offset..end], "{size} at {offset}");
                }
                let read = source.1.load(Ordering::Relaxed);
                // Backwards, small pieces go through what is between two places that are kept again and again.
                let most = if backwards { 3 + (PIECE.1 / size) as u64 } else { 3 };
                assert!(read <= most * all, "{size} {backwards}: {read} of {all}");
            }
        }
    }

    #[test]
    fn bytes_are_the_same_wherever_the_reader_was_before() {
        let (source, expected) = journal();
        let journal = JournalReader::new(&source, "test");
        let end = source.0.len() as u64;
        let reader = StreamReader::new(journal, Some(OutputStream::Stdout), end);
        for step in 0..200_usize {
            let offset = step * 7_654_321 % expected.len();
            let max = 1 + step * 977 % 50_000;
            let read = reader.read(OutputStart::default(), offset as u64, max).unwrap();
            assert!(read == expected[offset..expected.len().min(offset + max)], "{offset} {max}");
        }
        assert!(reader.read(OutputStart::default(), expected.len() as u64, 10).unwrap().is_empty());
    }
}
