//! Output of executions that run. It is what is left of the output if the program dies.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io, mem};

use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
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

/// The thread that writes the journals of the executions that run.
pub(super) struct LiveOutput(Arc<Shared>);

struct Shared {
    thread: Workers<()>,
    waiting: AtomicUsize,
}

/// Takes the output of one execution. Its journal is closed when this is gone and all is written.
struct LiveSink {
    shared: Arc<Shared>,
    journal: Arc<LiveJournal>,
}

/// Journal of one execution, and what it is to get.
struct LiveJournal {
    path: PathBuf,
    queue: Mutex<Queue>,
    /// Used by the thread that writes alone.
    journal: Mutex<Journal>,
}

#[derive(Default)]
struct Queue {
    /// Writes that the thread has still to do for this execution.
    writes: usize,
    /// Bytes of each stream that are to be counted only, behind those writes.
    missing: [u64; 2],
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
#[derive(Default)]
struct Journal {
    /// Made for the first output.
    writer: Option<JournalWriter>,
    /// Where the journal became too long.
    full: Option<u64>,
    /// Bytes of each stream that are missing and in no record before, or none before `full`.
    missing: [u64; 2],
    /// The last write was refused.
    is_failing: bool,
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
        let thread = Workers::start("exeng-live-output", vec![()])?;
        Ok(Self(Arc::new(Shared { thread, waiting: AtomicUsize::new(0) })))
    }

    /// Returns the sink for an execution.
    pub(super) fn sink(&self, files: &Files, id: Uuid) -> Arc<dyn OutputSink> {
        Arc::new(self.sink_at(path(files, id)))
    }

    fn sink_at(&self, path: PathBuf) -> LiveSink {
        let (queue, journal) = (Mutex::default(), Mutex::default());
        let journal = Arc::new(LiveJournal { path, queue, journal });
        LiveSink { shared: Arc::clone(&self.0), journal }
    }

    /// Removes the journal of an execution that is stored. One that cannot be removed is at the next opening.
    pub(super) fn remove(&self, files: &Files, id: Uuid) {
        let path = path(files, id);
        let _closed = self.0.thread.run(move |()| match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "a file of output could not be removed");
            }
            _ => {}
        });
    }
}

#[async_trait]
impl OutputSink for LiveSink {
    /// Passes it to the thread that writes. It survives the death of this process then, but may not survive a loss of
    /// power.
    async fn write(&self, chunk: OutputChunk) -> io::Result<()> {
        self.queue(chunk.attempt, chunk.stream, chunk.bytes)
    }
}

impl LiveSink {
    /// Queues output for the thread that writes, or counts it if too much waits.
    fn queue(&self, attempt: u32, stream: OutputStream, mut bytes: Bytes) -> io::Result<()> {
        let (mut length, waiting) = (bytes.len(), &self.shared.waiting);
        let mut queue = self.journal.queue();
        if waiting.fetch_add(length, Ordering::Relaxed) + length > MAX_WAITING {
            waiting.fetch_sub(length, Ordering::Relaxed);
            queue.missing[index(stream)] += length as u64;
            if queue.writes > 0 {
                // The last of them writes the count.
                return Ok(());
            }
            (bytes, length) = (Bytes::new(), 0);
        }
        let missing = mem::take(&mut queue.missing);
        queue.writes += 1;
        let written = Written { attempt, stream, bytes, missing };
        let (shared, journal) = (Arc::clone(&self.shared), Arc::clone(&self.journal));
        let queued = self.shared.thread.run(move |()| {
            journal.write(written);
            shared.waiting.fetch_sub(length, Ordering::Relaxed);
        });
        queued.map_err(io::Error::from)
    }
}

impl LiveJournal {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was queued and, if nothing follows it, how much is missing behind it.
    fn write(&self, written: Written) {
        let (attempt, stream) = (written.attempt, written.stream);
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.write(&self.path, written);
        let mut queue = self.queue();
        queue.writes -= 1;
        let is_last = queue.writes == 0;
        let missing = if is_last { mem::take(&mut queue.missing) } else { [0; 2] };
        drop(queue);
        if missing != [0; 2] {
            journal.write(&self.path, Written { attempt, stream, bytes: Bytes::new(), missing });
        }
    }
}

impl Journal {
    /// Appends output. What the system refuses is counted before the next that it takes, and logged once until then.
    fn write(&mut self, path: &Path, mut written: Written) {
        let appended = self.append(path, &mut written);
        if let Err(error) = &appended {
            self.missing[index(written.stream)] += written.bytes.len() as u64;
            if !self.is_failing {
                tracing::warn!(%error, path = %path.display(), "output of a running execution is not stored");
            }
        }
        self.is_failing = appended.is_err();
    }

    /// Appends output, and takes from it what is appended.
    fn append(&mut self, path: &Path, written: &mut Written) -> io::Result<()> {
        let Written { attempt, stream, bytes, missing } = written;
        let (attempt, time_us) = (*attempt, Utc::now().timestamp_micros());
        self.missing.iter_mut().zip(missing).for_each(|(all, more)| *all += mem::take(more));
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(create(path)?),
        };
        if self.full.is_none() && writer.end() >= MAX_BYTES {
            // What was refused before has no record yet, and is in the count that follows.
            self.full = Some(writer.end());
        }
        if let Some(end) = self.full {
            self.missing[index(*stream)] += mem::take(bytes).len() as u64;
            // In place of the count before, so that the file does not grow.
            writer.take_back(end);
            return writer.append_event(attempt, time_us, &missed(self.missing)).map(drop);
        }
        if self.missing != [0; 2] {
            writer.append_event(attempt, time_us, &missed(self.missing))?;
            self.missing = [0; 2];
        }
        let kind = match stream {
            OutputStream::Stdout => Kind::Stdout,
            OutputStream::Stderr => Kind::Stderr,
        };
        while !bytes.is_empty() {
            let length = bytes.len().min(MAX_OUTPUT_BYTES);
            writer.append(kind, attempt, time_us, &bytes[..length])?;
            bytes.advance(length);
        }
        Ok(())
    }
}

/// Creates the journal of an execution. One that is there is that of an earlier execution with the same id, whose ending
/// was not stored.
fn create(path: &Path) -> io::Result<JournalWriter> {
    match JournalWriter::create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            JournalWriter::create(path)
        }
        created => created,
    }
}

fn missed([stdout_bytes, stderr_bytes]: [u64; 2]) -> JournalEvent {
    let reason =
        "it was written faster than the history stores it, was too long, or was refused by the disk"
        .to_string();
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
    use execution_engine::OutputPiece;

    use super::*;

    #[test]
    fn what_is_too_much_is_counted_and_the_file_does_not_grow() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::default();
        let mut write = |stream: OutputStream, text: &'static [u8], missing: [u64; 2]| {
            let written = Written { attempt: 1, stream, bytes: Bytes::from_static(text), missing };
            journal.write(&path, written);
            assert!(!journal.is_failing);
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

        let (pieces, ends) = read_all(&path);
        assert_eq!(ends, (5 + 7 + (65 << 20) + 6, 1 + 3 + (3 << 20)));
        let kept: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
        assert_eq!(kept, 5 + 3 + (64 << 20));
        assert_eq!((pieces[0].offset, &pieces[0].bytes[..]), (0, &b"begin"[..]));
        let err = pieces.iter().find(|piece| &piece.bytes[..] == b"err").unwrap();
        assert_eq!(err.offset, 1, "behind the byte that is missing");
    }
    fn read_all(path: &Path) -> (Vec<OutputPiece>, (u64, u64)) {
        let journal = JournalReader::open(path).unwrap();
        let (pieces, at) = pieces::read_to(&journal, journal.recover().unwrap().end).unwrap();
        // Without those that mark a gap.
        let kept = pieces.into_iter().filter(|piece| !piece.bytes.is_empty()).collect();
        (kept, (at.stdout, at.stderr))
    }

    #[test]
    fn what_is_refused_is_counted_before_what_is_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing").join("journal");
        let mut journal = Journal::default();
        let mut write = |stream: OutputStream, text: &'static str, missing: [u64; 2]| {
            let bytes = Bytes::from_static(text.as_bytes());
            journal.write(&path, Written { attempt: 1, stream, bytes, missing });
            journal.is_failing
        };
        assert!(write(OutputStream::Stdout, "lost", [3, 0]));
        assert!(write(OutputStream::Stderr, "also", [0; 2]));
        fs::create_dir(path.parent().unwrap()).unwrap();
        assert!(!write(OutputStream::Stdout, "kept", [0, 2]));
        let (pieces, ends) = read_all(&path);
        assert_eq!(ends, (4 + 3 + 4, 4 + 2));
        assert_eq!((pieces.len(), pieces[0].offset, &pieces[0].bytes[..]), (1, 7, &b"kept"[..]));
    }

    #[test]
    fn what_is_missing_at_the_end_is_counted_without_more_output() {
        let dir = tempfile::tempdir().unwrap();
        let live = LiveOutput::start().unwrap();
        let [busy, quiet] = ["busy", "quiet"].map(|name| live.sink_at(dir.path().join(name)));
        let (go, wait) = std::sync::mpsc::channel::<()>();
        live.0.thread.run(move |()| wait.recv().unwrap()).unwrap();
        let write = |sink: &LiveSink| {
            let bytes = vec![b'x'; MAX_OUTPUT_BYTES].into();
            sink.queue(1, OutputStream::Stdout, bytes).unwrap();
        };
        (0..MAX_WAITING / MAX_OUTPUT_BYTES + 2).for_each(|_| write(&busy));
        // There is no room for the first output of another execution either.
        (0..2).for_each(|_| write(&quiet));
        go.send(()).unwrap();
        drop(live);
        let (pieces, ends) = read_all(&busy.journal.path);
        assert_eq!(ends, ((MAX_WAITING + 2 * MAX_OUTPUT_BYTES) as u64, 0));
        assert_eq!(pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>(), MAX_WAITING);
        let (pieces, ends) = read_all(&quiet.journal.path);
        assert_eq!((pieces.len(), ends), (0, (2 * MAX_OUTPUT_BYTES as u64, 0)));
    }
}
