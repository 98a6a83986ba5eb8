//! The history of an app with an engine of its own.

mod live;
mod parts;
mod pieces;
mod rows;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use execution_engine::{
    History, HistoryEntry, HistoryOutput, HistoryPage, HistoryPart, HistoryQuery, OutputCursor,
    OutputSink, OutputStream,
};
use uuid::Uuid;

use crate::config::StoreConfig;
use crate::error::{Result, StoreError};
use crate::files::private_dir;
use crate::key::open_private;
use crate::list::Query;
use crate::store::Store;

/// Why an execution of an earlier opening is lost.
const LOST: &str = "the program that ran it ended before it had";
/// Number of endings after which the limits are looked at.
const RETENTION: u64 = 32;

/// History that survives the program: for `ExecutionEngine::builder().history(..)`.
///
/// Executions that had not ended when the program died are lost from the next opening on: it is not known how they
/// would have ended. Their status is [`Lost`](execution_engine::ExecutionStatus::Lost), and their output what was read
/// of it until then: the first 64 MiB; what is more, faster than the disk, or refused by it, is counted.
///
/// An engine lets go of its history a moment after its end, so open it again in the same process only through the handle
/// that you have kept.
///
/// What exceeds the limits of [`StoreConfig`] is removed while executions end. One process at a time has a directory open.
///
/// Values of environments never come into the history. All calls block, for the time that a local disk takes.
///
/// ```
/// use execution_engine::*;
/// use execution_engine_store::StoreHistory;
///
/// # #[tokio::main] async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let history = Arc::new(StoreHistory::open(dir)?);
/// let engine = ExecutionEngine::builder().history(history.clone()).build()?;
/// let id = engine.run(ExecutionRequest::shell("echo hello").tag("greeting")).await?.id;
/// engine.shutdown(Duration::from_secs(5)).await;
///
/// // Now, or at the next start of the program:
/// let entry = history.get(id)?.unwrap();
/// assert_eq!(entry.summary.ending, Some(Ending::Exited { code: 0 }));
/// assert_eq!(history.output(id)?.unwrap().pieces[0].bytes, "hello\n");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct StoreHistory {
    store: Store,
    live: live::LiveOutput,
    ended: AtomicU64,
    marks: parts::Marks,
    /// Dropped after the store has closed.
    _lock: DirectoryLock,
}

/// Lock of a directory, as long as a history is open in it.
#[derive(Debug)]
struct DirectoryLock {
    file: File,
    process: u32,
}

impl Drop for DirectoryLock {
    /// Unlocks it. To close it is not enough: a program that another thread is starting has it until its exec. A fork
    /// of this process leaves the lock to it.
    fn drop(&mut self) {
        if self.process == std::process::id() {
            let _closed = self.file.unlock();
        }
    }
}

impl StoreHistory {
    /// Opens the history in a directory, which is created if it is missing, with the default limits. Blocks.
    ///
    /// # Errors
    ///
    /// [`InUse`](StoreError::InUse) if another process has it open, and those of [`Store::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(dir, StoreConfig::default())
    }

    /// Opens the history in a directory with other limits. Blocks.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(dir: impl AsRef<Path>, config: StoreConfig) -> Result<Self> {
        let dir = dir.as_ref();
        Self::open_at(dir, config).map_err(|error| error.in_dir(dir))
    }

    fn open_at(dir: &Path, config: StoreConfig) -> Result<Self> {
        let lock = lock(dir)?;
        let store = Store::open(dir, config)?;
        let live = live::LiveOutput::start()?;
        pieces::remove_left(store.files(), pieces::NEW)?;
        let history = Self {
            store,
            live,
            ended: AtomicU64::new(0),
            marks: parts::Marks::default(),
            _lock: lock,
        };
        history.end_lost()?;
        pieces::remove_left(history.store.files(), live::LIVE)?;
        history.store.retention_blocking()?;
        Ok(history)
    }

    /// Notes that executions of earlier openings are lost, with the output that they had written.
    fn end_lost(&self) -> Result<()> {
        let unfinished = self.store.read_blocking(rows::unfinished)?;
        for entry in unfinished {
            let output = live::read(self.store.files(), entry.id());
            let mut entry = entry.into_lost(LOST);
            count_output(&mut entry, &output);
            self.store_end(&entry, &output)?;
        }
        Ok(())
    }

    fn store_end(&self, entry: &HistoryEntry, output: &HistoryOutput) -> Result<()> {
        let kept = pieces::write(&self.store, entry, output)?;
        let end = rows::End::new(self.store.key(), entry, output, kept)?;
        let (store, path) = (self.store.clone(), end.path());
        let bytes = end.bytes();
        let stored =
            self.store.write_blocking("ended", bytes, move |tx| end.write(store.key(), tx));
        if let (Err(_), Some(path)) = (&stored, path) {
            self.store.files().remove(vec![path]);
        }
        stored
    }
}

/// Notes how much output an execution has.
fn count_output(entry: &mut HistoryEntry, output: &HistoryOutput) {
    let of = |stream: OutputStream| {
        let pieces = output.pieces.iter().filter(|piece| piece.stream == stream);
        pieces.map(|piece| piece.bytes.len() as u64).sum()
    };
    let kept: [u64; 2] = [OutputStream::Stdout, OutputStream::Stderr].map(of);
    let summary = &mut entry.summary;
    (summary.stdout_stats.seen_bytes, summary.stderr_stats.seen_bytes) =
        (output.end.stdout, output.end.stderr);
    (summary.stdout_stats.kept_bytes, summary.stderr_stats.kept_bytes) = kept.into();
    summary.truncated = kept != [output.end.stdout, output.end.stderr];
    if let Some(result) = &mut entry.result {
        (result.stdout_stats, result.stderr_stats) = (summary.stdout_stats, summary.stderr_stats);
    }
}

/// Locks a directory for this process.
fn lock(dir: &Path) -> Result<DirectoryLock> {
    private_dir(dir)?;
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = open_private(&path, &mut options);
    let file = file.map_err(StoreError::io("cannot open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(DirectoryLock { file, process: std::process::id() }),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: dir.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("cannot lock", &path)(error)),
    }
}

impl History for StoreHistory {
    fn accepted(&self, entry: &HistoryEntry) -> io::Result<()> {
        self.marks.forget(entry.id());
        let accepted = rows::Accept::new(self.store.key(), entry)?;
        let store = self.store.clone();
        self.store.write_blocking("accept", 4096, move |tx| accepted.write(store.key(), tx))?;
        Ok(())
    }

    fn ended(&self, entry: &HistoryEntry, output: &HistoryOutput) -> io::Result<()> {
        self.store_end(entry, output)?;
        self.live.remove(self.store.files(), entry.id());
        self.marks.forget(entry.id());
        if self.ended.fetch_add(1, Ordering::Relaxed) % RETENTION == RETENTION - 1 {
            self.store.retention_blocking()?;
        }
        Ok(())
    }

    fn live_output(&self, entry: &HistoryEntry) -> Option<Arc<dyn OutputSink>> {
        Some(self.live.sink(self.store.files(), entry.id()))
    }

    fn remove(&self, id: Uuid) -> io::Result<bool> {
        self.marks.forget(id);
        let removed = self.store.write_blocking("remove", 256, move |tx| {
            let row = tx.find(id)?;
            row.map(|row| tx.remove(&row)).transpose()
        })?;
        Ok(removed.is_some())
    }

    fn get(&self, id: Uuid) -> io::Result<Option<HistoryEntry>> {
        Ok(self.store.read_blocking(move |connection| rows::get(connection, id))?)
    }

    fn output(&self, id: Uuid) -> io::Result<Option<HistoryOutput>> {
        let cursors = self.store.read_blocking(move |connection| rows::cursors(connection, id))?;
        let Some((begin, end)): Option<(OutputCursor, OutputCursor)> = cursors else {
            return Ok(None);
        };
        let stored = self.store.output_blocking(id)?;
        let pieces = stored.map(|output| pieces::read(&output)).transpose()?.unwrap_or_default();
        Ok(Some(HistoryOutput { pieces, begin, end }))
    }

    fn output_part(
        &self,
        id: Uuid,
        after: OutputCursor,
        max_bytes: usize,
    ) -> io::Result<Option<HistoryPart>> {
        let cursors = self.store.read_blocking(move |connection| rows::cursors(connection, id))?;
        let Some((begin, end)): Option<(OutputCursor, OutputCursor)> = cursors else {
            return Ok(None);
        };
        let Some(stored) = self.store.output_blocking(id)? else {
            let output = HistoryOutput { pieces: Vec::new(), begin, end };
            return Ok(Some(HistoryPart { output, is_last: true }));
        };
        Ok(Some(self.marks.read(id, &stored, (begin, end), after, max_bytes)?))
    }

    fn list(&self, query: &HistoryQuery) -> io::Result<HistoryPage> {
        let labels =
            query.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let page = self.store.list_blocking(Query {
            status: query.status.clone(),
            tags: query.tags.clone(),
            labels,
            group: None,
            plan: None,
            schedule: None,
            since: query.since,
            until: query.until,
            text: query.text.clone(),
            limit: query.limit,
            cursor: query.cursor.clone(),
        })?;
        let seqs = page.items.iter().map(|stored| stored.seq.cast_signed()).collect();
        let entries =
            self.store.read_blocking(move |connection| rows::entries(connection, seqs))?;
        Ok(HistoryPage { entries, next: page.next })
    }
}
