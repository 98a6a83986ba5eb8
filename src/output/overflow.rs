//! Files for the output that memory does not keep.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tempfile::{TempDir, TempPath};

/// The private directory of one engine for its overflow files, made when first needed and removed
/// with the engine.
#[derive(Debug, Default)]
pub(crate) struct OverflowDir(Mutex<Option<TempDir>>);

/// One overflow file; removed with its record.
#[derive(Debug)]
pub(crate) struct OverflowFile(TempPath);

impl OverflowDir {
    /// A new file with mode 0600 and an unpredictable name.
    pub(super) fn create(&self) -> io::Result<(File, OverflowFile)> {
        let mut dir = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = match &mut *dir {
            Some(dir) => dir,
            none => none.insert(private_dir()?),
        };
        let file = tempfile::Builder::new().suffix(".overflow").tempfile_in(dir.path())?;
        let (file, path) = file.into_parts();
        Ok((file, OverflowFile(path)))
    }
}

/// For this user alone; an existing name, or a link laid in its place, is never used.
fn private_dir() -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("execution-engine-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
}

impl OverflowFile {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}
