//! Output of executions that run. It is what is left of the output if the program dies.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::Utc;
use execution_engine::{HistoryOutput, OutputChunk, OutputCursor, OutputSink, OutputStream};
use execution_engine_journal::{
    JournalEvent, JournalReader, JournalWriter, Kind, MAX_OUTPUT_BYTES,
};
use uuid::Uuid;

use super::pieces;
use crate::error::Result;
use crate::files::Files;
use crate::workers::Workers;

/// How the names of these journals end.
pub(super) const LIVE: &str = "journal-live";
/// Length of a journal from which on output is only counted.
const MAX_BYTES: u64 = 64 << 20;
/// Bytes that may wait to be written, of all executions. No program waits for the disk: beyond, output is only
/// counted.
const MAX_WAITING: usize = 16 << 20;

/// Journals of the executions that run, and the thread that writes them.
pub(super) struct LiveOutput(Arc<Shared>);

struct Shared {
    thread: Workers<HashMap<Uuid, Journal>>,
    waiting: AtomicUsize,
}

/// Takes the output of one execution.
struct LiveSink {
    shared: Arc<Shared>,
    path: PathBuf,
    /// Bytes of each stream that are to be counted only.
    missing: [AtomicU64; 2],
}

/// Output that is to be written.
struct Written {
    attempt: u32,
    stream: OutputStream,
    bytes: Bytes,
    /// Bytes of each stream that are missing before it.
    missing: [u64; 2],
}

/// Journal of one execution.
struct Journal {
    writer: JournalWriter,
    /// Where the journal became too long, and how many bytes of each stream have followed.
    full: Option<(u64, [u64; 2])>,
}

impl std::fmt::Debug for LiveOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LiveOutput")
    }
}

impl Drop for LiveOutput {
    /// Waits for what is being written: afterwards the directory may be another one's.
    fn drop(&mut self) {
        self.0.thread.close();
    }
}

impl LiveOutput {
    pub(super) fn start() -> Result<Self> {
        let thread = Workers::start("exeng-live-output", vec![HashMap::new()])?;
        Ok(Self(Arc::new(Shared { thread, waiting: AtomicUsize::new(0) })))
    }

    /// Returns the sink for an execution.
    pub(super) fn sink(&self, files: &Files, id: Uuid) -> Arc<dyn OutputSink> {
        let (shared, missing) = (Arc::clone(&self.0), Default::default());
        Arc::new(LiveSink { shared, path: path(files, id), missing })
    }

    /// Removes the journal of an execution that is stored. One that cannot be removed is at the next opening.
    pub(super) fn remove(&self, files: &Files, id: Uuid) {
        let path = path(files, id);
        let _closed = self.0.thread.run(move |journals| {
            if journals.remove(&id).is_some()
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(%error, path = %path.display(), "a file of output could not be removed");
            }
        });
    }
}

#[async_trait]
impl OutputSink for LiveSink {
    /// Passes it to the thread that writes. It survives the death of this process then, but may not survive a loss of
    /// power.
    async fn write(&self, chunk: OutputChunk) -> io::Result<()> {
        let OutputChunk { execution_id, attempt, stream, bytes, .. } = chunk;
        let (length, waiting) = (bytes.len(), &self.shared.waiting);
        if waiting.fetch_add(length, Ordering::Relaxed) + length > MAX_WAITING {
            waiting.fetch_sub(length, Ordering::Relaxed);
            self.missing[index(stream)].fetch_add(length as u64, Ordering::Relaxed);
            return Ok(());
        }
        let missing = self.missing.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        let written = Written { attempt, stream, bytes, missing };
        let (shared, path) = (Arc::clone(&self.shared), self.path.clone());
        let queued = self.shared.thread.run(move |journals| {
            if let Err(error) = append(journals, execution_id, &path, &written) {
                tracing::warn!(%error, path = %path.display(), "output of a running execution is not stored");
            }
            shared.waiting.fetch_sub(length, Ordering::Relaxed);
        });
        queued.map_err(io::Error::from)
    }
}

/// Appends output to the journal of an execution, which is created at its first.
fn append(
    journals: &mut HashMap<Uuid, Journal>,
    id: Uuid,
    path: &Path,
    written: &Written,
) -> io::Result<()> {
    match journals.entry(id) {
        Entry::Occupied(journal) => journal.into_mut().append(written),
        Entry::Vacant(place) => {
            let writer = JournalWriter::create(path)?;
            place.insert(Journal { writer, full: None }).append(written)
        }
    }
}

impl Journal {
    fn append(&mut self, written: &Written) -> io::Result<()> {
        let Written { attempt, stream, bytes, missing } = written;
        let (attempt, missing, time_us) = (*attempt, *missing, Utc::now().timestamp_micros());
        if self.full.is_none() && self.writer.end() < MAX_BYTES {
            if missing != [0; 2] {
                self.writer.append_event(attempt, time_us, &missed(missing))?;
            }
            let kind = match stream {
                OutputStream::Stdout => Kind::Stdout,
                OutputStream::Stderr => Kind::Stderr,
            };
            for part in bytes.chunks(MAX_OUTPUT_BYTES) {
                self.writer.append(kind, attempt, time_us, part)?;
            }
            return Ok(());
        }
        let (end, all) = self.full.get_or_insert((self.writer.end(), [0; 2]));
        all[index(*stream)] += bytes.len() as u64;
        all.iter_mut().zip(missing).for_each(|(all, missing)| *all += missing);
        // In place of the count before, so that the file does not grow.
        self.writer.take_back(*end);
        self.writer.append_event(attempt, time_us, &missed(*all)).map(drop)
    }
}

fn missed([stdout_bytes, stderr_bytes]: [u64; 2]) -> JournalEvent {
    let reason = "it was written faster than the history stores it, or was too long".to_string();
    JournalEvent::Missed { stdout_bytes, stderr_bytes, reason }
}

fn index(stream: OutputStream) -> usize {
    match stream {
        OutputStream::Stdout => 0,
        OutputStream::Stderr => 1,
    }
}

/// Returns where the journal of an execution is.
fn path(files: &Files, id: Uuid) -> PathBuf {
    files.resolve(&format!("outputs/{id}.{LIVE}"))
}

/// Reads what an execution had written when its program died; nothing if that cannot be read.
pub(super) fn read(files: &Files, id: Uuid) -> HistoryOutput {
    let path = path(files, id);
    if !path.exists() {
        return HistoryOutput::default();
    }
    let read = || -> Result<HistoryOutput> {
        let journal = JournalReader::open(&path)?;
        let end = journal.recover()?.end;
        let (pieces, at) = pieces::read_to(&journal, end)?;
        let end = OutputCursor { stdout: at.stdout, stderr: at.stderr };
        Ok(HistoryOutput { pieces, begin: OutputCursor::default(), end })
    };
    read().unwrap_or_else(|error| {
        tracing::warn!(%error, path = %path.display(), "output of a lost execution cannot be read");
        HistoryOutput::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted_and_the_file_does_not_grow() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journals = HashMap::new();
        let id = Uuid::new_v4();
        let mut write = |stream: OutputStream, text: &'static [u8], missing: [u64; 2]| {
            let written = Written { attempt: 1, stream, bytes: Bytes::from_static(text), missing };
            append(&mut journals, id, &path, &written).unwrap();
            fs::metadata(&path).unwrap().len()
        };
        static LONG: [u8; 1 << 20] = [b'x'; 1 << 20];
        write(OutputStream::Stdout, b"begin", [0; 2]);
        write(OutputStream::Stderr, b"err", [7, 1]);
        let full = (0..64).map(|_| write(OutputStream::Stdout, &LONG, [0; 2])).last().unwrap();
        let counted = write(OutputStream::Stdout, &LONG, [0; 2]);
        assert!(counted < full + 4096);
        for _ in 0..3 {
            write(OutputStream::Stderr, &LONG, [2, 0]);
        }
        assert!(fs::metadata(&path).unwrap().len() < full + 4096);

        let journal = JournalReader::open(&path).unwrap();
        let (pieces, at) = pieces::read_to(&journal, journal.recover().unwrap().end).unwrap();
        assert_eq!((at.stdout, at.stderr), (5 + 7 + (65 << 20) + 6, 1 + 3 + (3 << 20)));
        let kept: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
        assert_eq!(kept, 5 + 3 + (64 << 20));
        assert_eq!((pieces[0].offset, &pieces[0].bytes[..]), (0, &b"begin"[..]));
        let err = pieces.iter().find(|piece| &piece.bytes[..] == b"err").unwrap();
        assert_eq!(err.offset, 1, "behind the byte that is missing");
    }
}
