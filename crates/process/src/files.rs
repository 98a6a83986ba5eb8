//! Files as the engine needs them: logs, private files and directories, and the input of a child.
//!
//! What differs between systems is here: modes, links that are not followed, FIFOs without
//! a reader, and the rights that this process really has.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, CWD, OFlags};
use tempfile::TempDir;

/// Access to a log and to the directories made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogAccess {
    /// The user alone (modes 0600 and 0700), and a link under its name is not followed. For names
    /// that the engine chose: output may hold secrets, and a link laid in wait must not lead it
    /// elsewhere.
    Private,
    /// As the umask says, and links are followed. For names that the user chose.
    Umask,
}

/// File that a child reads as its standard input. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InputFile(Arc<OwnedFd>);

/// Opens an existing log for appending.
///
/// # Errors
/// The system's error, [`NotFound`](io::ErrorKind::NotFound) if it does not exist. A FIFO
/// without a reader is an error, too: opening it would wait for one.
pub fn open_log(path: &Path, access: LogAccess) -> io::Result<File> {
    log_in(path, access, OpenOptions::new().append(true))
}

/// Creates a log, or opens it for appending if it exists by now.
///
/// # Errors
/// As [`open_log`]; also if its directory does not exist.
pub fn create_log(path: &Path, access: LogAccess) -> io::Result<File> {
    log_in(path, access, OpenOptions::new().append(true).create(true))
}

fn log_in(path: &Path, access: LogAccess, options: &mut OpenOptions) -> io::Result<File> {
    // Opening a FIFO without a reader would wait for one; like this it is an error.
    let mut flags = OFlags::NONBLOCK;
    if access == LogAccess::Private {
        options.mode(0o600);
        flags |= OFlags::NOFOLLOW;
    }
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    // Writing may wait: it happens where blocking is allowed.
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

/// Creates a directory for logs and those above it that are missing.
///
/// # Errors
/// The system's error.
pub fn create_log_dirs(path: &Path, access: LogAccess) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    if access == LogAccess::Private {
        builder.mode(0o700);
    }
    builder.recursive(true).create(path)
}

/// Creates a file for this user alone (mode 0600) and opens it for writing.
///
/// # Errors
/// The system's error, [`AlreadyExists`](io::ErrorKind::AlreadyExists) if there is anything under
/// this name, be it a link.
pub fn create_new_private(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Creates a directory for this user alone (mode 0700) below the system's temporary directory; it
/// is removed when dropped. Its name begins with `prefix` and cannot be foreseen.
///
/// # Errors
/// The system's error.
pub fn private_temp_dir(prefix: &str) -> io::Result<TempDir> {
    let permissions = Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix(prefix).permissions(permissions).tempdir()
}

/// Opens a file for a child to read. A FIFO without a writer does not make this wait; the child
/// waits for the writer then.
///
/// # Errors
/// The system's error; [`IsADirectory`](io::ErrorKind::IsADirectory) for a directory.
pub fn open_input(path: &Path) -> io::Result<InputFile> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    Ok(file.into())
}

/// Checks that this process may read a file.
///
/// # Errors
/// The system's error, [`PermissionDenied`](io::ErrorKind::PermissionDenied) if it may not.
pub fn can_read(path: &Path) -> io::Result<()> {
    check_access(path, Access::READ_OK)
}

/// Checks that this process may execute a file, or enter a directory.
///
/// # Errors
/// The system's error, [`PermissionDenied`](io::ErrorKind::PermissionDenied) if it may not.
pub fn can_execute(path: &Path) -> io::Result<()> {
    check_access(path, Access::EXEC_OK)
}

/// Checks the rights of this process. The plain call answers for the user who has started it; a
/// host may act as another one (setuid), or have capabilities beyond those of its user. So what it
/// refuses is asked again for the effective rights, which are what exec goes by. The plain call
/// comes first, because older systems and sandboxes refuse the other.
fn check_access(path: &Path, access: Access) -> io::Result<()> {
    rustix::fs::access(path, access).or_else(|error| {
        rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS).map_err(|_| error.into())
    })
}

/// Returns true if the error says that there is nothing at a path. A path below a file is as
/// missing as one below a missing directory.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl InputFile {
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Returns this file with a descriptor above 2, which giving a child its streams cannot
    /// overwrite.
    pub(crate) fn above_stdio(&self) -> io::Result<Self> {
        if self.0.as_raw_fd() > 2 {
            return Ok(self.clone());
        }
        Ok(Self(Arc::new(rustix::io::fcntl_dupfd_cloexec(&self.0, 3)?)))
    }
}

impl From<File> for InputFile {
    fn from(file: File) -> Self {
        Self(Arc::new(file.into()))
    }
}
