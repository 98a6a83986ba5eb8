//! The root directory that this process had when its first containment was made. What the system
//! shows in files, `/proc` and control groups, is found from there, so that it is found as well by a
//! host that has changed its root directory since.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, mkdirat, openat, readlinkat};
use rustix::fs::{StatxFlags, statat, statx, unlinkat};
use rustix::io::Errno;

use crate::sys::pipes;

/// The one of this process, while something needs it.
static KEPT: Mutex<Kept> = Mutex::new(Kept { fd: Weak::new(), directory: None });

struct Kept {
    fd: Weak<OwnedFd>,
    /// What it was opened for.
    directory: Option<RootDirectory>,
}

/// Keeps the root directory for as long as this lives.
#[derive(Debug)]
pub(super) struct KeptRoot {
    /// `None` if the system gave no descriptor.
    _fd: Option<Arc<OwnedFd>>,
}

impl KeptRoot {
    /// Keeps the one that is kept already, or else that of now: none is kept, a host that closes what
    /// it did not open has given the number to another file, or the old one is mounted nowhere any
    /// more, so that nothing is found from there.
    pub(super) fn keep() -> Self {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there =
            |dir: BorrowedFd<'_>, path: &str| statat(dir, path, AtFlags::empty()).is_ok();
        let is_it = |fd: &Arc<OwnedFd>| {
            let shows_more = is_there(fd.as_fd(), "proc/self") || !is_there(CWD, "/proc/self");
            shows_more && RootDirectory::of(fd) == kept.directory
        };
        let fd = match kept.fd.upgrade().filter(is_it) {
            None => open_root().ok().map(Arc::new),
            fd => fd,
        };
        *kept = Kept {
            directory: fd.as_ref().and_then(RootDirectory::of),
            fd: fd.as_ref().map_or_else(Weak::new, Arc::downgrade),
        };
        Self { _fd: fd }
    }
}

fn open_root() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    pipes::above_stdio(rustix::fs::open("/", flags, Mode::empty())?)
}

fn kept() -> Option<Arc<OwnedFd>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).fd.upgrade()
}

/// Returns the directory from which paths are looked up.
pub(super) fn dir() -> io::Result<Arc<OwnedFd>> {
    kept().map_or_else(|| open_root().map(Arc::new), Ok)
}

/// Returns the number of the kept descriptor.
pub(super) fn number() -> Option<RawFd> {
    kept().map(|fd| fd.as_raw_fd())
}

/// What tells one root directory from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RootDirectory {
    device: (u32, u32),
    inode: u64,
    /// 0 on systems that do not tell (before Linux 5.8).
    mount: u64,
}

impl RootDirectory {
    pub(super) fn now() -> Option<Self> {
        Self::at(CWD, "/", AtFlags::empty())
    }

    fn of(fd: impl AsFd) -> Option<Self> {
        Self::at(fd, "", AtFlags::EMPTY_PATH)
    }

    fn at(dir: impl AsFd, path: &str, flags: AtFlags) -> Option<Self> {
        let root = statx(dir, path, flags, StatxFlags::INO | StatxFlags::MNT_ID).ok()?;
        let device = (root.stx_dev_major, root.stx_dev_minor);
        Some(Self { device, inode: root.stx_ino, mount: root.stx_mnt_id })
    }
}

/// Returns `true` if it is another one than the root directory of now.
pub(super) fn is_another() -> bool {
    let old = kept().and_then(RootDirectory::of);
    old.is_some() && old != RootDirectory::now()
}

/// Does `work` with a directory and the path from there.
fn at<T>(
    path: &Path,
    work: impl Fn(BorrowedFd<'_>, &Path) -> rustix::io::Result<T>,
) -> io::Result<T> {
    if let (Some(root), Ok(below)) = (kept(), path.strip_prefix("/")) {
        match work(root.as_fd(), below) {
            // The host has closed it.
            Err(Errno::BADF) => {}
            done => return Ok(done?),
        }
    }
    Ok(work(CWD, path)?)
}

pub(super) fn open(path: impl AsRef<Path>, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    at(path.as_ref(), |dir, path| openat(dir, path, flags, Mode::empty()))
}

/// Reads a file whose size the system does not tell.
pub(super) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = open(path, OFlags::RDONLY)?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match rustix::io::read(&file, &mut piece) {
            Err(Errno::INTR) => {}
            read => match piece.get(..read?) {
                None | Some([]) => return Ok(bytes),
                Some(piece) => bytes.extend_from_slice(piece),
            },
        }
    }
}

pub(super) fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes to a file that is there.
pub(super) fn write(path: impl AsRef<Path>, text: &str) -> io::Result<()> {
    File::from(open(path, OFlags::WRONLY)?).write_all(text.as_bytes())
}

pub(super) fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let target = at(path.as_ref(), |dir, path| readlinkat(dir, path, Vec::new()))?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}

pub(super) fn stat(path: impl AsRef<Path>) -> io::Result<Stat> {
    at(path.as_ref(), |dir, path| statat(dir, path, AtFlags::empty()))
}

pub(super) fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    at(path.as_ref(), |dir, path| mkdirat(dir, path, Mode::from_raw_mode(0o777)))
}

/// Creates a directory and those above it that are missing.
pub(super) fn create_dir_all(path: &Path) -> io::Result<()> {
    match (create_dir(path), path.parent()) {
        (Err(error), Some(above)) if error.kind() == io::ErrorKind::NotFound => {
            create_dir_all(above)?;
            create_dir(path)
        }
        (Err(error), _) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    at(path.as_ref(), |dir, path| unlinkat(dir, path, AtFlags::REMOVEDIR))
}

/// Returns the paths of the directories in a directory.
pub(super) fn dirs_in(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in Dir::new(open(path, OFlags::RDONLY | OFlags::DIRECTORY)?)? {
        let entry = entry?;
        let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
        if entry.file_type() == FileType::Directory && name != "." && name != ".." {
            dirs.push(path.join(name));
        }
    }
    Ok(dirs)
}
