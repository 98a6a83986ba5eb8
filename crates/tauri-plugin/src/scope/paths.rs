//! Resolves paths and decides whether they are inside the directories of a rule. Paths are compared
//! without links and `..`, and the resolved path is the one that is used afterwards.

use std::path::{Path, PathBuf};

/// What the decision needs to know about the file system.
pub(crate) trait FileSystem {
    /// Returns the path of an existing file or directory without links and `..`.
    fn canonical(&self, path: &Path) -> Option<PathBuf>;
    /// Returns `true` if there is an entry of this name, also a link to nothing.
    fn has_entry(&self, path: &Path) -> bool;
}

/// The file system of this machine.
pub(crate) struct RealFileSystem;

impl FileSystem for RealFileSystem {
    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()
    }

    fn has_entry(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }
}

/// Returns the canonical path if it is one of `allowed` or below one of them.
pub(super) fn existing_inside(
    path: &Path,
    allowed: &[PathBuf],
    files: &impl FileSystem,
) -> Option<PathBuf> {
    let path = files.canonical(path)?;
    let contains =
        |dir: &PathBuf| files.canonical(dir).is_some_and(|allowed| path.starts_with(allowed));
    allowed.iter().any(contains).then_some(path)
}

/// Like [`existing_inside`], but also for a file that does not exist yet, in a directory that does.
pub(super) fn file_inside(
    path: &Path,
    allowed: &[PathBuf],
    files: &impl FileSystem,
) -> Option<PathBuf> {
    if let Some(existing) = existing_inside(path, allowed, files) {
        return Some(existing);
    }
    let name = path.file_name()?;
    let file = existing_inside(path.parent()?, allowed, files)?.join(name);
    // A link to nothing is an entry without a canonical path. Creating the file would follow it, to
    // wherever it points.
    (!files.has_entry(&file)).then_some(file)
}
