//! Finds a program where the child would find it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use crate::error::ValidationError;

/// Where programs are looked for when the child has no PATH at all.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Where names are resolved: the child's PATH, and its working directory for relative ones.
pub(super) struct ProgramLookup<'a> {
    pub(super) path: Option<&'a OsStr>,
    /// None is the directory of this process.
    pub(super) base: Option<&'a Path>,
}

impl ProgramLookup<'_> {
    /// The path as this process reaches it, while the child may use the relative one.
    pub(super) fn at_base(&self, path: &Path) -> PathBuf {
        self.base.map_or_else(|| path.to_path_buf(), |base| base.join(path))
    }

    /// The file that `name` means; `field` is what errors call it.
    pub(super) fn find(&self, field: &'static str, name: &str) -> Result<PathBuf, ValidationError> {
        if name.contains('/') {
            let path = self.at_base(Path::new(name));
            return runnable(field, name, &path).map(|()| path);
        }
        // A file that may not be run hides none further on; it is only the better error at the end.
        // In a directory that may not be searched there is none that we know of.
        let mut failure = not_found(field, name);
        for dir in std::env::split_paths(self.path.unwrap_or(DEFAULT_PATH.as_ref())) {
            // An empty entry means the working directory; "./" keeps it from being looked up again.
            let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { &dir };
            let path = self.at_base(&dir.join(name));
            match runnable(field, name, &path) {
                Ok(()) => return Ok(path),
                Err(error @ ValidationError::PermissionDenied { .. }) if path.exists() => {
                    failure = error;
                }
                Err(_) => {}
            }
        }
        Err(failure)
    }
}

fn runnable(field: &'static str, name: &str, path: &Path) -> Result<(), ValidationError> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            let error = io::Error::new(io::ErrorKind::IsADirectory, "it is a directory");
            Err(inaccessible(field, path, &error))
        }
        Ok(_) if !is_executable(path) => {
            Err(ValidationError::PermissionDenied { field, path: path.to_path_buf() })
        }
        Ok(_) => Ok(()),
        Err(error) if is_missing(&error) => Err(not_found(field, name)),
        Err(error) => Err(from_io(field, path, &error)),
    }
}

fn not_found(field: &'static str, name: &str) -> ValidationError {
    ValidationError::ProgramNotFound { field, program: name.to_string() }
}

/// A path below a file is as missing as one below a missing directory.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// For a directory: whether it may be entered.
pub(super) fn is_executable(path: &Path) -> bool {
    may(path, Access::EXEC_OK).is_ok()
}

/// Whether this process may do that. The plain call asks for the user who has started it; a host may act as
/// another one, or have capabilities beyond those of its user. It comes first, because older systems and
/// sandboxes refuse the other.
pub(super) fn may(path: &Path, access: Access) -> io::Result<()> {
    rustix::fs::access(path, access).or_else(|error| {
        rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS).map_err(|_| error.into())
    })
}

pub(super) fn from_io(field: &'static str, path: &Path, error: &io::Error) -> ValidationError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return ValidationError::PermissionDenied { field, path: path.to_path_buf() };
    }
    inaccessible(field, path, error)
}

pub(super) fn inaccessible(field: &'static str, path: &Path, error: &io::Error) -> ValidationError {
    ValidationError::Inaccessible { field, path: path.to_path_buf(), source: error.into() }
}
