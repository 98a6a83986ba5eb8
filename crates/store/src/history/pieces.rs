//! Output of an engine as a journal.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use execution_engine::{HistoryEntry, HistoryOutput, OutputPiece, OutputStream};
use execution_engine_journal::{
    JournalEvent, JournalReader, JournalWriter, Kind, MAX_OUTPUT_BYTES, ReadAt, Record,
    StreamTotals,
};

use crate::archive;
use crate::error::{Result, StoreError};
use crate::files::{Files, private_dir};
use crate::key::sync_parent;
use crate::output::StoredOutput;
use crate::store::Store;

/// Longest journal that is kept in the database.
const INLINE_BYTES: u64 = 64 << 10;
/// How the names of journals end that are being written.
pub(super) const NEW: &str = "journal-new";
/// Bytes of a journal that are read at once.
const READ_BYTES: usize = 1 << 20;

/// Output that is kept.
pub(super) enum Kept {
    Nothing,
    /// The bytes of its journal.
    Inline(Vec<u8>),
    /// A file, which is announced in `unowned_files`.
    Archive {
        path: String,
        file_bytes: u64,
        journal_bytes: u64,
    },
}

/// Removes what a crash has left: journals of this kind.
pub(super) fn remove_left(files: &Files, kind: &str) -> Result<()> {
    let dir = files.resolve("outputs");
    for entry in fs::read_dir(&dir).map_err(StoreError::io("cannot read", &dir))? {
        let path = entry.map_err(StoreError::io("cannot read", &dir))?.path();
        if path.extension().is_some_and(|extension| extension == kind) {
            fs::remove_file(&path).map_err(StoreError::io("cannot remove", &path))?;
        }
    }
    Ok(())
}

/// Writes output to where it is kept.
pub(super) fn write(store: &Store, entry: &HistoryEntry, output: &HistoryOutput) -> Result<Kept> {
    if output.pieces.is_empty() {
        return Ok(Kept::Nothing);
    }
    let files = store.files();
    let new = files.resolve(&format!("outputs/{}.{NEW}", entry.id()));
    let kept = write_journal(&new, entry, output)
        .map_err(StoreError::io("cannot write", &new))
        .and_then(|bytes| keep(store, entry, &new, bytes));
    let removed = fs::remove_file(&new).map_err(StoreError::io("cannot remove", &new));
    let kept = kept?;
    removed.map(|()| kept)
}

fn keep(store: &Store, entry: &HistoryEntry, journal: &Path, bytes: u64) -> Result<Kept> {
    if bytes <= INLINE_BYTES {
        let journal = fs::read(journal).map_err(StoreError::io("cannot read", journal))?;
        return Ok(Kept::Inline(journal));
    }
    let path = Files::new_archive_path(entry.id());
    let announced = path.clone();
    store.write_blocking("archive_announced", 256, move |tx| tx.announce_file(&announced))?;
    let file = store.files().resolve(&path);
    if let Some(dir) = file.parent() {
        private_dir(dir)?;
        sync_parent(dir)?;
    }
    let written = archive::write(&JournalReader::open(journal)?, bytes, &file);
    match written.and_then(|file_bytes| sync_parent(&file).map(|()| file_bytes)) {
        Ok(file_bytes) => Ok(Kept::Archive { path, file_bytes, journal_bytes: bytes }),
        Err(error) => {
            store.files().remove(vec![path]);
            Err(error)
        }
    }
}

fn write_journal(path: &Path, entry: &HistoryEntry, output: &HistoryOutput) -> io::Result<u64> {
    let mut journal = JournalWriter::create(path)?;
    let attempt = entry.summary.attempts;
    let time_us = entry.summary.completed_at.unwrap_or(entry.summary.started_at).timestamp_micros();
    let mut at = StreamTotals::default();
    for piece in &output.pieces {
        let (kind, at) = match piece.stream {
            OutputStream::Stdout => (Kind::Stdout, &mut at.stdout),
            OutputStream::Stderr => (Kind::Stderr, &mut at.stderr),
        };
        let missing = piece.offset.saturating_sub(*at);
        if missing > 0 {
            let of = |kind_of: Kind| if kind == kind_of { missing } else { 0 };
            let missed = JournalEvent::Missed {
                stdout_bytes: of(Kind::Stdout),
                stderr_bytes: of(Kind::Stderr),
                reason: "the engine has not kept it".to_string(),
            };
            journal.append_event(attempt, time_us, &missed)?;
        }
        for part in piece.bytes.chunks(MAX_OUTPUT_BYTES) {
            journal.append(kind, attempt, time_us, part)?;
        }
        *at = piece.offset + piece.bytes.len() as u64;
    }
    Ok(journal.end())
}

/// Reads the pieces of an output.
pub(super) fn read(output: &StoredOutput) -> Result<Vec<OutputPiece>> {
    let journal = JournalReader::new(output, output.name());
    Ok(read_to(&journal, output.end())?.0)
}

/// Reads the pieces of a journal up to a position, and how many bytes they and the gaps are.
pub(super) fn read_to<R: ReadAt>(
    journal: &JournalReader<R>,
    end: u64,
) -> Result<(Vec<OutputPiece>, StreamTotals)> {
    let (mut pieces, mut position) = (Vec::new(), 0);
    let mut at = StreamTotals::default();
    while position < end {
        let batch = journal.read(position, end, READ_BYTES)?;
        position = batch.next;
        pieces.extend(batch.records.iter().filter_map(|record| of_record(record, &mut at)));
    }
    Ok((pieces, at))
}

/// Returns the piece that a record holds or marks, and counts it.
pub(super) fn of_record(record: &Record, at: &mut StreamTotals) -> Option<OutputPiece> {
    let (stream, offset) = match record.kind {
        Kind::Stdout => (OutputStream::Stdout, at.stdout),
        Kind::Stderr => (OutputStream::Stderr, at.stderr),
        Kind::Event => return gap(&record.event()?, at),
    };
    at.add(record);
    // A record is a part of what was read together; alone it does not keep that in memory.
    Some(OutputPiece { stream, offset, bytes: Bytes::copy_from_slice(&record.payload) })
}

/// Returns the piece without bytes that marks a gap.
fn gap(event: &JournalEvent, at: &mut StreamTotals) -> Option<OutputPiece> {
    let JournalEvent::Missed { stdout_bytes, stderr_bytes, .. } = event else { return None };
    at.stdout += stdout_bytes;
    at.stderr += stderr_bytes;
    let (stream, offset) = match stderr_bytes {
        0 => (OutputStream::Stdout, at.stdout),
        _ => (OutputStream::Stderr, at.stderr),
    };
    Some(OutputPiece { stream, offset, bytes: Bytes::new() })
}
