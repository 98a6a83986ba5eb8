//! How a journal is read from its archive, a frame at a time.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use execution_engine::OutputStream;
use execution_engine_journal::{ReadAt, StreamTotals};

use super::index::{Entry, FOOT, Index};
use super::of_stream;
use crate::error::{Result, StoreError};

/// An archive, opened. The index is in memory, and the frame that was read last.
#[derive(Debug)]
pub(crate) struct Archive {
    file: File,
    path: PathBuf,
    index: Index,
    last: Mutex<Option<(usize, Bytes)>>,
    frames_read: AtomicU64,
}

impl Archive {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(StoreError::io("cannot open", path))?;
        let index = read_index(&file).map_err(StoreError::io("cannot read", path))?;
        let index = index.ok_or_else(|| StoreError::Damaged {
            path: path.to_path_buf(),
            what: "it has no index, or a damaged one".to_string(),
        })?;
        let last = Mutex::new(None);
        Ok(Self { file, path: path.to_path_buf(), index, last, frames_read: AtomicU64::new(0) })
    }

    pub(crate) fn journal_bytes(&self) -> u64 {
        self.index.end.position
    }

    /// Returns the beginning of the last frame before which there are at most `byte` bytes of a stream: its
    /// position, and the bytes of both streams before it. Behind the last byte of the stream it is the end.
    pub(crate) fn place_of(&self, stream: Option<OutputStream>, byte: u64) -> (u64, StreamTotals) {
        let Index { frames, end } = &self.index;
        let entry = match frames.partition_point(|entry| of_stream(entry.before, stream) <= byte) {
            _ if of_stream(end.before, stream) <= byte => end,
            after => after.checked_sub(1).and_then(|at| frames.get(at)).unwrap_or(end),
        };
        (entry.position, entry.before)
    }

    /// Returns how many frames were decompressed since it was opened.
    pub(crate) fn frames_read(&self) -> u64 {
        self.frames_read.load(Ordering::Relaxed)
    }

    fn frame(&self, at: usize) -> io::Result<Bytes> {
        let mut last = self.last.lock().map_err(|_| io::Error::other("a reader has panicked"))?;
        if let Some((_, bytes)) = last.as_ref().filter(|(number, _)| *number == at) {
            return Ok(bytes.clone());
        }
        let begin = self.index.frames[at];
        let end = self.index.frames.get(at + 1).unwrap_or(&self.index.end);
        let bytes = Bytes::from(self.decompress(begin, *end)?);
        *last = Some((at, bytes.clone()));
        Ok(bytes)
    }

    fn decompress(&self, begin: Entry, end: Entry) -> io::Result<Vec<u8>> {
        self.frames_read.fetch_add(1, Ordering::Relaxed);
        let size = |bytes: u64| usize::try_from(bytes).map_err(io::Error::other);
        let mut frame = vec![0; size(end.offset - begin.offset)?];
        read_whole(&self.file, begin.offset, &mut frame)?;
        let length = size(end.position - begin.position)?;
        let raw = zstd::bulk::decompress(&frame, length);
        raw.ok().filter(|raw| raw.len() == length).ok_or_else(|| {
            let what =
                format!("{} is damaged: a frame cannot be decompressed", self.path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }
}

impl ReadAt for Archive {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if position >= self.journal_bytes() || buffer.is_empty() {
            return Ok(0);
        }
        let after = self.index.frames.partition_point(|entry| entry.position <= position);
        // The first frame begins at 0.
        let at = after - 1;
        let frame = self.frame(at)?;
        let skipped = (position - self.index.frames[at].position) as usize;
        let count = buffer.len().min(frame.len() - skipped);
        buffer[..count].copy_from_slice(&frame[skipped..skipped + count]);
        Ok(count)
    }

    fn total_bytes(&self) -> io::Result<u64> {
        Ok(self.journal_bytes())
    }
}

fn read_index(file: &File) -> io::Result<Option<Index>> {
    let file_bytes = file.metadata()?.len();
    let mut foot = [0; FOOT];
    let Some(at) = file_bytes.checked_sub(FOOT as u64) else { return Ok(None) };
    read_whole(file, at, &mut foot)?;
    let length = Index::length(&foot).filter(|length| *length <= file_bytes);
    let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
        return Ok(None);
    };
    let mut bytes = vec![0; length];
    read_whole(file, file_bytes - length as u64, &mut bytes)?;
    let index = Index::decode(&bytes, file_bytes);
    // A position is found in the last frame that begins at or before it, so the first one begins at 0.
    Ok(index.filter(|index| index.frames.first().unwrap_or(&index.end).position == 0))
}

fn read_whole(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match ReadAt::read_at(file, at + filled as u64, &mut buffer[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
