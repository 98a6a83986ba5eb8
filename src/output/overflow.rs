//! Files for the output that memory does not keep.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::{NamedTempFile, TempDir, TempPath};

/// The private directory of one engine for its overflow files, made when first needed and removed
/// with the engine.
#[derive(Debug)]
pub(crate) struct OverflowDir {
    dir: Mutex<Option<TempDir>>,
    /// How many bytes all files together have.
    used: AtomicU64,
    most: u64,
}

/// One overflow file; removed with its record, unless it was taken.
#[derive(Debug)]
pub(crate) struct OverflowFile {
    dir: Arc<OverflowDir>,
    path: Mutex<Option<TempPath>>,
    /// What is counted against the limit of all.
    size: AtomicU64,
    /// How many bytes have been written to it, or are being.
    written: AtomicU64,
}

impl OverflowDir {
    /// One whose files may have this many bytes together.
    pub(crate) fn new(most: u64) -> Self {
        Self { dir: Mutex::default(), used: AtomicU64::new(0), most }
    }

    /// A new file with mode 0600 and an unpredictable name.
    pub(super) fn create(self: &Arc<Self>) -> io::Result<(File, OverflowFile)> {
        let mut dir = self.dir.lock().unwrap_or_else(PoisonError::into_inner);
        let there = match &mut *dir {
            Some(dir) => dir,
            none => none.insert(private_dir()?),
        };
        let file = match file_in(there.path()) {
            // Systems tidy up their temporary directory: what is old goes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                file_in(dir.insert(private_dir()?).path())
            }
            file => file,
        };
        let (file, path) = file?.into_parts();
        let (path, size) = (Mutex::new(Some(path)), AtomicU64::new(0));
        let written = AtomicU64::new(0);
        Ok((file, OverflowFile { dir: Arc::clone(self), path, size, written }))
    }

    /// Removes it with all files that nobody has taken.
    pub(crate) fn remove(&self) {
        drop(self.dir.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn file_in(dir: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().suffix(".overflow").tempfile_in(dir)
}

/// For this user alone; an existing name, or a link laid in its place, is never used.
fn private_dir() -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("execution-engine-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
}

impl OverflowFile {
    /// Where it is; None when it has been taken.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.lock().as_deref().map(Path::to_path_buf)
    }

    /// Counts bytes that are about to be written against what all files may have together.
    pub(super) fn reserve(&self, bytes: u64) -> io::Result<()> {
        let dir = &self.dir;
        let fits = |used: u64| used.checked_add(bytes).filter(|used| *used <= dir.most);
        if dir.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_err() {
            let reason = format!(
                "the overflow files of this engine have reached their limit of {} bytes \
                 (overflow_disk_limit); remove executions or raise it",
                dir.most
            );
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, reason));
        }
        self.size.fetch_add(bytes, Ordering::AcqRel);
        self.written.fetch_add(bytes, Ordering::AcqRel);
        Ok(())
    }

    /// How many bytes are in it.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Writing has failed: it has what it has.
    pub(super) fn broke_off(&self) {
        let length = self.lock().as_deref().map(std::fs::metadata);
        if let Some(Ok(meta)) = length {
            self.written.store(meta.len(), Ordering::Release);
        }
    }

    /// Moves it to `to`, which must not exist yet: the user's from then on. How many bytes it has;
    /// None if it was taken before.
    pub(crate) fn take(&self, to: &Path) -> io::Result<Option<u64>> {
        let Some(path) = self.lock().take() else { return Ok(None) };
        let moved = match path.persist_noclobber(to) {
            Ok(()) => std::fs::metadata(to).map(|meta| meta.len()),
            // Another file system: what cannot be moved is copied. The original is removed then.
            Err(error) if error.error.kind() == io::ErrorKind::CrossesDevices => {
                copy(&error.path, to).inspect_err(|_| *self.lock() = Some(error.path))
            }
            Err(error) => {
                *self.lock() = Some(error.path);
                Err(error.error)
            }
        };
        if moved.is_ok() {
            self.free();
        }
        moved.map(Some)
    }

    /// Counts it no more.
    fn free(&self) {
        self.dir.used.fetch_sub(self.size.swap(0, Ordering::AcqRel), Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, Option<TempPath>> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OverflowFile {
    fn drop(&mut self) {
        self.free();
    }
}

/// A copy for this user alone; half a copy is no copy.
fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let mut source = File::open(from)?;
    let mut target = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut target).inspect_err(|_| {
        let _removed = std::fs::remove_file(to);
    })
}
