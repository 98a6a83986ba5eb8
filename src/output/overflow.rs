//! Overflow files: output that memory does not keep, in a private directory of the engine and
//! within one limit for all. They are removed with their records, unless the caller takes them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use execution_engine_process::{files, is_open_file_limit};
use parking_lot::Mutex;
use tempfile::{NamedTempFile, TempDir, TempPath};

use super::file_writer::FileWriter;
use crate::runtime::BlockingPool;
use crate::time::{self, RefusalDelays};

/// Private directory of one engine for its overflow files, created when first needed and removed
/// with the engine.
#[derive(Debug)]
pub(crate) struct OverflowDir {
    dir: Mutex<Option<TempDir>>,
    /// Bytes that all files together have.
    used: AtomicU64,
    limit: u64,
}

/// Output for a file that cannot be opened yet, because this process has no descriptor for it.
/// Nothing more is read meanwhile.
#[derive(Debug)]
pub(super) struct WaitingOverflow {
    parts: Vec<Bytes>,
    delays: RefusalDelays,
    next_try: Instant,
}

/// One overflow file; removed with its record, unless it was taken.
#[derive(Debug)]
pub(crate) struct OverflowFile {
    dir: Arc<OverflowDir>,
    path: Mutex<Option<TempPath>>,
    /// Bytes that count against the limit of all files.
    size: AtomicU64,
    /// Bytes that have been written to it, or are being written.
    written: AtomicU64,
}

impl OverflowDir {
    /// Creates one whose files may have this many bytes together.
    pub(crate) fn new(limit: u64) -> Self {
        Self { dir: Mutex::default(), used: AtomicU64::new(0), limit }
    }

    /// Creates a file that is private to this user (0600) and has an unpredictable name. It is
    /// written on these threads.
    pub(super) fn create(
        self: &Arc<Self>,
        threads: &Arc<BlockingPool>,
    ) -> io::Result<(FileWriter, OverflowFile)> {
        threads.start()?;
        let mut dir = self.dir.lock();
        let current = match &mut *dir {
            Some(dir) => dir,
            none => none.insert(new_dir()?),
        };
        let file = match file_in(current.path()) {
            // Systems clean their temporary directories: what is old is removed. And a host that has
            // become another user may not write where it could.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                ) =>
            {
                file_in(dir.insert(new_dir()?).path())
            }
            file => file,
        };
        let (file, path) = file?.into_parts();
        let (path, size) = (Mutex::new(Some(path)), AtomicU64::new(0));
        let written = AtomicU64::new(0);
        let overflow = OverflowFile { dir: Arc::clone(self), path, size, written };
        Ok((FileWriter::new(file, threads), overflow))
    }

    /// Removes it with all files that were not taken.
    pub(crate) fn remove(&self) {
        drop(self.dir.lock().take());
    }
}

impl WaitingOverflow {
    pub(super) fn new() -> Self {
        Self { parts: Vec::new(), delays: RefusalDelays::new(), next_try: Instant::now() }
    }

    pub(super) fn push(&mut self, parts: &[Bytes]) {
        self.parts.extend_from_slice(parts);
    }

    /// Opens the file as soon as there is a descriptor for it, or gives up in the end.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn open<T>(&mut self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        loop {
            time::sleep_until(Some(self.next_try)).await;
            match (open(), self.delays.next()) {
                (Err(error), Some(delay)) if lacks_descriptor(&error) => {
                    self.next_try = Instant::now() + delay;
                }
                (opened, _) => return opened,
            }
        }
    }

    pub(super) fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }
}

/// Returns `true` if a file could not be opened because there is no descriptor for it.
pub(super) fn lacks_descriptor(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(is_open_file_limit)
}

/// Returns an error that says what failed.
pub(super) fn not_created(error: &io::Error) -> io::Error {
    let dir = std::env::temp_dir();
    let reason = format!("an overflow file cannot be created below {}: {error}", dir.display());
    io::Error::new(error.kind(), reason)
}

fn file_in(dir: &Path) -> io::Result<NamedTempFile> {
    // The library's own errors do not have the system's number.
    tempfile::Builder::new().suffix(".overflow").make_in(dir, files::create_new_private)
}

fn new_dir() -> io::Result<TempDir> {
    files::private_temp_dir("execution-engine-")
}

impl OverflowFile {
    /// Returns its path; None when it has been taken.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.path.lock().as_deref().map(Path::to_path_buf)
    }

    /// Counts bytes that are about to be written against the limit of all files.
    ///
    /// # Errors
    /// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded).
    pub(super) fn reserve(&self, bytes: u64) -> io::Result<()> {
        let dir = &self.dir;
        let fits = |used: u64| used.checked_add(bytes).filter(|used| *used <= dir.limit);
        if dir.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_err() {
            let reason = format!(
                "the overflow files of this engine have reached their limit of {} bytes \
                 (overflow_disk_limit); remove executions or raise it",
                dir.limit
            );
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, reason));
        }
        self.size.fetch_add(bytes, Ordering::AcqRel);
        self.written.fetch_add(bytes, Ordering::AcqRel);
        Ok(())
    }

    /// Returns the number of bytes in it.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Corrects the number of bytes in it after a failed write.
    pub(super) fn write_failed(&self) {
        let length = self.path.lock().as_deref().map(std::fs::metadata);
        if let Some(Ok(meta)) = length {
            self.written.store(meta.len(), Ordering::Release);
        }
    }

    /// Moves it to `to`, where it belongs to the caller. Returns its length in bytes; None if it
    /// was taken before.
    ///
    /// # Errors
    /// The system's error, also if `to` exists. The file stays then.
    pub(crate) fn take(&self, to: &Path) -> io::Result<Option<u64>> {
        let Some(path) = self.path.lock().take() else { return Ok(None) };
        let moved = match path.persist_noclobber(to) {
            Ok(()) => std::fs::metadata(to).map(|meta| meta.len()),
            // A file cannot be moved to another file system. The original is removed after the
            // copy.
            Err(error) if error.error.kind() == io::ErrorKind::CrossesDevices => {
                copy(&error.path, to).inspect_err(|_| *self.path.lock() = Some(error.path))
            }
            Err(error) => {
                *self.path.lock() = Some(error.path);
                Err(error.error)
            }
        };
        if moved.is_ok() {
            self.free();
        }
        moved.map(Some)
    }

    /// Gives back its part of the limit.
    fn free(&self) {
        self.dir.used.fetch_sub(self.size.swap(0, Ordering::AcqRel), Ordering::AcqRel);
    }
}

impl Drop for OverflowFile {
    fn drop(&mut self) {
        self.free();
    }
}

/// Copies a file into a new private one, which is removed if that fails.
fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let mut source = File::open(from)?;
    let mut target = files::create_new_private(to)?;
    io::copy(&mut source, &mut target).inspect_err(|_| {
        let _removed = std::fs::remove_file(to);
    })
}
