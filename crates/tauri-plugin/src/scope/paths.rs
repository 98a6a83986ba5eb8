//! Resolves paths and decides whether they are inside the directories of a rule. Paths are compared
//! without links and `..`, and the resolved path is the one that is used afterwards.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use execution_engine_process::command_line::SHEBANG_BYTES;
use execution_engine_process::files::{LogAccess, read_log};

/// What the decision needs to know about the file system.
pub(crate) trait FileSystem {
    /// Returns the path of an existing file or directory without links and `..`.
    fn canonical(&self, path: &Path) -> Option<PathBuf>;
    /// Returns `true` if there is an entry of this name, also a link to nothing.
    fn has_entry(&self, path: &Path) -> bool;
    /// What two paths to the same file have in common, links of both kinds included.
    type Identity: PartialEq;
    /// Returns the identity of an existing file.
    fn identity(&self, path: &Path) -> Option<Self::Identity>;
    /// Returns the directories in which programs are looked for without a `PATH` of the request.
    fn search_path(&self) -> Vec<PathBuf>;
    /// Returns the beginning of a regular file, as much as a system looks at for a `#!` line. None
    /// for any other file: reading a FIFO or a device would wait, or take what is meant for another.
    fn head(&self, path: &Path) -> Option<Vec<u8>>;
}

/// The file system of this machine.
#[derive(Debug, Default)]
pub(crate) struct RealFileSystem {
    /// `PATH` of the login shell, if executions get its environment.
    pub(crate) login_path: Option<OsString>,
}

impl FileSystem for RealFileSystem {
    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()
    }

    fn has_entry(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    /// Device and inode: a hard link has no other path that would lead back to it.
    #[cfg(unix)]
    type Identity = (u64, u64);
    #[cfg(not(unix))]
    type Identity = PathBuf;

    #[cfg(unix)]
    fn identity(&self, path: &Path) -> Option<Self::Identity> {
        use std::os::unix::fs::MetadataExt;
        path.metadata().ok().map(|file| (file.dev(), file.ino()))
    }

    #[cfg(not(unix))]
    fn identity(&self, path: &Path) -> Option<Self::Identity> {
        self.canonical(path)
    }

    fn search_path(&self) -> Vec<PathBuf> {
        let paths = [std::env::var_os("PATH"), self.login_path.clone()];
        paths.iter().flatten().flat_map(std::env::split_paths).collect()
    }

    fn head(&self, path: &Path) -> Option<Vec<u8>> {
        // Files of the kernel look regular, and reading one can wait and take (`/proc/kmsg`).
        let is_of_kernel = |path: PathBuf| KERNEL_DIRS.iter().any(|dir| path.starts_with(dir));
        if self.canonical(path).is_some_and(is_of_kernel) {
            return None;
        }
        let mut head = Vec::new();
        // As logs are read: regular files alone, opened without waiting and examined again then.
        let file = read_log(path, LogAccess::Umask).ok()?;
        file.take(SHEBANG_BYTES as u64).read_to_end(&mut head).ok()?;
        Some(head)
    }
}

/// Directories in which files are no data but calls of the kernel.
const KERNEL_DIRS: &[&str] = &["/proc", "/sys"];

/// Paths of rules without links, as they were when a rule was first read that names them: what a
/// program puts in their place later does not change what a rule allows.
#[derive(Debug, Default)]
pub(crate) struct RulePaths(Mutex<HashMap<PathBuf, PathBuf>>);

impl RulePaths {
    pub(super) fn fixed(&self, path: PathBuf) -> PathBuf {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(path).or_insert_with_key(|path| without_links(path)).clone()
    }
}

/// Returns a path without links, as far as it exists.
fn without_links(path: &Path) -> PathBuf {
    let real = |part: &Path| Some((part.canonicalize().ok()?, path.strip_prefix(part).ok()?));
    match path.ancestors().find_map(real) {
        // Not joined with nothing, which would add a slash.
        Some((real, missing)) if missing.as_os_str().is_empty() => real,
        Some((real, missing)) => real.join(missing),
        None => path.to_path_buf(),
    }
}

/// Returns the canonical path if it is one of `allowed`, which have no links, or below one of them.
pub(super) fn existing_inside(
    path: &Path,
    allowed: &[PathBuf],
    files: &impl FileSystem,
) -> Option<PathBuf> {
    let path = files.canonical(path)?;
    allowed.iter().any(|dir| path.starts_with(dir)).then_some(path)
}

/// Returns `true` if a path leads to one of `denied` or below one of them, wherever these lead now.
pub(super) fn leads_inside(path: &Path, denied: &[PathBuf], files: &impl FileSystem) -> bool {
    let Some(path) = files.canonical(path) else { return false };
    let leads = |dir: &PathBuf| files.canonical(dir).is_some_and(|dir| path.starts_with(dir));
    denied.iter().any(|dir| path.starts_with(dir) || leads(dir))
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
