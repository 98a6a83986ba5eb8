//! Paths that are opened with no link in any of their parts.
//!
//! A path that was judged can lead elsewhere a moment later: a program that may write to one of its
//! directories replaces a part of it by a link. Here that is an error, and what was opened is used
//! through its descriptor, so it stays what it was.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

/// How a directory is opened to start at it, and for nothing else. Elsewhere than on Linux this
/// process has to have the right to list it.
#[cfg(target_os = "linux")]
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
#[cfg(not(target_os = "linux"))]
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Opens a directory, to enter it or to open what is in it.
///
/// # Errors
/// The system's error, [one of a link](is_link_error) if a part of the path is one.
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    open(path, DIRECTORY, Mode::empty())
}

/// Opens a file, or creates it with this mode if the flags say so.
///
/// # Errors
/// As [`open_dir`].
pub(crate) fn open(path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    // `openat2` takes no mode that it does not need.
    let mode = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, ResolveFlags};

        let no_links = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match retry_on_intr(|| rustix::fs::openat2(CWD, path, flags, mode, no_links)) {
            // Before Linux 5.6, and in sandboxes.
            Err(Errno::NOSYS | Errno::PERM) => {}
            opened => return Ok(opened?),
        }
    }
    Ok(walk(path, flags, mode)?)
}

/// Opens one part of the path after the other, each in the one before.
fn walk(path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let start = if path.has_root() { "/" } else { "." };
    let mut dir = rustix::fs::open(start, DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let is_entry =
        |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    let parts: Vec<_> = path.components().filter(is_entry).collect();
    let Some((last, above)) = parts.split_last() else {
        return open_entry(dir.as_fd(), OsStr::new("."), flags, mode);
    };
    for part in above {
        let flags = DIRECTORY | OFlags::CLOEXEC;
        dir = open_entry(dir.as_fd(), part.as_os_str(), flags, Mode::empty())?;
    }
    open_entry(dir.as_fd(), last.as_os_str(), flags, mode)
}

fn open_entry(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW;
    let opened = retry_on_intr(|| rustix::fs::openat(dir, name, flags, mode));
    // The number for a link that is not followed differs, by flags and by system.
    opened.map_err(|error| match file_type_in(dir, name) {
        Ok(FileType::Symlink) => Errno::LOOP,
        _ => error,
    })
}

fn file_type_in(dir: BorrowedFd<'_>, name: &OsStr) -> Result<FileType, Errno> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// Opens the directory of an entry; returns it and the entry's name.
fn open_parent(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(dir), Some(name)) => {
            let is_here = dir.as_os_str().is_empty();
            Ok((open_dir(if is_here { Path::new(".") } else { dir })?, name))
        }
        // `/`, or a path that ends with `..`.
        _ => Ok((open_dir(path)?, OsStr::new("."))),
    }
}

/// Returns what is at a path, without opening it.
///
/// # Errors
/// As [`open_dir`].
pub(crate) fn file_type(path: &Path) -> io::Result<FileType> {
    let (dir, name) = open_parent(path)?;
    match file_type_in(dir.as_fd(), name)? {
        FileType::Symlink => Err(Errno::LOOP.into()),
        other => Ok(other),
    }
}

/// Creates a directory and those above it that are missing.
///
/// # Errors
/// As [`open_dir`].
pub(crate) fn create_dirs(path: &Path) -> io::Result<()> {
    match open_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map(drop),
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        create_dirs(above)?;
    }
    let (dir, name) = open_parent(path)?;
    match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o777)) {
        // Another one was faster.
        Err(Errno::EXIST) => Ok(()),
        created => Ok(created?),
    }
}

/// Removes a file or an empty directory.
///
/// # Errors
/// As [`open_dir`].
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let (dir, name) = open_parent(path)?;
    let removed = rustix::fs::unlinkat(&dir, name, AtFlags::empty());
    Ok(removed.or_else(|_| rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR))?)
}

/// Returns true if the error says that a part of a path is a link.
pub(crate) fn is_link_error(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Returns the first part of a path that is a link, for an error to name it. None if there is none
/// any more.
pub(crate) fn first_link(path: &Path) -> Option<PathBuf> {
    path.ancestors().filter(|part| part.is_symlink()).last().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    type Open = fn(&Path, OFlags, Mode) -> io::Result<OwnedFd>;

    /// The way of this system, and that of one without `openat2`.
    const WAYS: [Open; 2] = [open, |path, flags, mode| Ok(walk(path, flags, mode)?)];

    fn places() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("in/deep")).unwrap();
        fs::write(root.join("in/deep/file"), "inside").unwrap();
        symlink(root.join("in"), root.join("middle")).unwrap();
        symlink(root.join("in/deep/file"), root.join("last")).unwrap();
        symlink("nowhere", root.join("in/dangling")).unwrap();
        (dir, root)
    }

    #[test]
    fn a_path_without_links_is_opened_and_one_with_a_link_is_not() {
        let (_dir, root) = places();
        for open in WAYS {
            let open_file = |path: &str| open(&root.join(path), OFlags::RDONLY, Mode::empty());
            for good in ["in/deep/file", "in/./deep/../deep/file", "in//deep/file"] {
                let text = io::read_to_string(fs::File::from(open_file(good).unwrap())).unwrap();
                assert_eq!(text, "inside", "{good}");
            }
            for bad in ["middle/deep/file", "last", "in/dangling", "middle/../in/deep/file"] {
                assert!(is_link_error(&open_file(bad).unwrap_err()), "{bad}");
            }
            let missing = open_file("in/none").unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            let below_a_file = open_file("in/deep/file/x").unwrap_err();
            assert_eq!(below_a_file.kind(), io::ErrorKind::NotADirectory);
            for dir in [root.join("in"), root.join("in/deep/.."), "/".into(), ".".into()] {
                assert!(open(&dir, DIRECTORY, Mode::empty()).is_ok(), "{dir:?}");
            }
            for bad in ["middle", "middle/deep", "last"] {
                let error = open(&root.join(bad), DIRECTORY, Mode::empty()).unwrap_err();
                assert!(is_link_error(&error), "{bad}: {error}");
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn links_of_proc_are_links() {
        let held = fs::File::open("/").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&held);
        let pid = std::process::id();
        for open in WAYS {
            for path in
                [format!("/proc/{pid}/fd/{fd}"), format!("/proc/{pid}/root"), "/proc/self".into()]
            {
                for path in [path.clone(), format!("{path}/.")] {
                    let error = open(path.as_ref(), DIRECTORY, Mode::empty()).unwrap_err();
                    assert!(is_link_error(&error), "{path}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_file_is_created_where_the_path_says() {
        let (_dir, root) = places();
        let flags = OFlags::WRONLY | OFlags::CREATE;
        for (way, open) in WAYS.into_iter().enumerate() {
            let create = |path: &str| open(&root.join(path), flags, Mode::from_raw_mode(0o600));
            create(&format!("in/deep/new{way}")).unwrap();
            assert!(root.join(format!("in/deep/new{way}")).is_file());
            let again =
                open(&root.join("in/deep/file"), OFlags::WRONLY, Mode::from_raw_mode(0o600));
            assert!(again.is_ok(), "the mode is for a new file: {again:?}");
            for bad in [format!("middle/deep/bad{way}"), "in/dangling".into()] {
                assert!(is_link_error(&create(&bad).unwrap_err()), "{bad}");
            }
            assert!(!root.join(format!("in/deep/bad{way}")).exists());
        }
        assert!(!root.join("in/nowhere").exists());
    }

    #[test]
    fn directories_are_created_and_removed_beside_links_alone() {
        let (_dir, root) = places();
        let new = root.join("in/a/b/c");
        create_dirs(&new).unwrap();
        create_dirs(&new).unwrap();
        assert!(new.is_dir());
        for bad in ["middle/a/b", "in/dangling/b"] {
            assert!(is_link_error(&create_dirs(&root.join(bad)).unwrap_err()), "{bad}");
        }
        assert!(is_link_error(&remove(&root.join("middle/deep/file")).unwrap_err()));
        assert!(root.join("in/deep/file").exists());
        remove(&root.join("in/deep/file")).unwrap();
        remove(&new).unwrap();
        assert!(!new.exists() && !root.join("in/deep/file").exists());
        assert_eq!(file_type(&root.join("in/a/b")).unwrap(), FileType::Directory);
        assert!(is_link_error(&file_type(&root.join("last")).unwrap_err()));
    }

    #[test]
    fn the_first_link_of_a_path_is_named() {
        let (_dir, root) = places();
        symlink("..", root.join("in/deep/up")).unwrap();
        let named = first_link(&root.join("middle/deep/up/deep/file"));
        assert_eq!(named, Some(root.join("middle")));
        assert_eq!(first_link(&root.join("in/deep/up/x")), Some(root.join("in/deep/up")));
        assert_eq!(first_link(&root.join("in/deep/file")), None);
    }
}
