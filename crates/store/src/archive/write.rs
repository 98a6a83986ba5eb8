//! How an archive is made of a journal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use execution_engine_journal::{JournalReader, ReadAt, StreamTotals};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::index::{Entry, Index};
use crate::error::{Result, StoreError};
use crate::key::open_private;

/// Bytes of the journal in a frame, about.
const FRAME_BYTES: usize = 256 << 10;

/// Writes an archive of the first bytes of a journal and returns its size. When this returns, it is on the disk
/// (`fsync`), but for its name. A record that is damaged is an error, so no archive replaces what may be saved yet.
pub(crate) fn write<R: ReadAt>(
    journal: &JournalReader<R>,
    journal_bytes: u64,
    path: &Path,
) -> Result<u64> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let file = open_private(path, &mut options);
    let file = file.map_err(StoreError::io("cannot create", path))?;
    let failed = |error| StoreError::io("cannot write", path)(error);
    let mut compressor = Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL).map_err(failed)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true)).map_err(failed)?;
    let mut end = Entry { offset: 0, position: 0, before: StreamTotals::default() };
    let mut frames = Vec::new();
    while end.position < journal_bytes {
        let batch = journal.read(end.position, journal_bytes, FRAME_BYTES)?;
        frames.push(end);
        let raw = bytes_of(journal.source(), end.position, batch.next).map_err(failed)?;
        let frame = compressor.compress(&raw).map_err(failed)?;
        (&file).write_all(&frame).map_err(failed)?;
        end.offset += frame.len() as u64;
        end.position = batch.next;
        batch.records.iter().for_each(|record| end.before.add(record));
    }
    finish(&file, &Index { frames, end }).map_err(failed)
}

fn finish(mut file: &File, index: &Index) -> io::Result<u64> {
    let bytes = index.encode();
    file.write_all(&bytes)?;
    file.sync_all()?;
    Ok(index.end.offset + bytes.len() as u64)
}

fn bytes_of(source: &impl ReadAt, position: u64, end: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(end - position).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match source.read_at(position + filled as u64, &mut bytes[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(bytes)
}
