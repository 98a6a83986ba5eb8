//! Files as the engine needs them: logs, private files and directories, and the input of a child.
//!
//! What differs between systems is here: modes, links that are not followed, FIFOs without
//! a reader, and the rights that this process really has.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use tempfile::TempDir;

use crate::{Links, no_links};

/// Access to a log and to the directories made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogAccess {
    /// The user alone (modes 0600 and 0700), and a link under its name is not followed. For names
    /// that the engine chose: output may hold secrets, and a link laid in wait must not lead it
    /// elsewhere.
    Private,
    /// As the umask says, and links are followed. For names that the user chose.
    Umask,
    /// As the umask says. An error if any part of the path is a link, or if the file has another
    /// name (a hard link), which may be outside of what was meant. For names that were judged.
    WithoutLinks,
}

impl LogAccess {
    /// Returns the access to a log whose name the user chose.
    pub fn named_by_user(links: Links) -> Self {
        match links {
            Links::Follow => Self::Umask,
            Links::Refuse => Self::WithoutLinks,
        }
    }
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
    log_in(path, access, OFlags::empty())
}

/// Creates a log, or opens it for appending if it exists by now.
///
/// # Errors
/// As [`open_log`]; also if its directory does not exist.
pub fn create_log(path: &Path, access: LogAccess) -> io::Result<File> {
    log_in(path, access, OFlags::CREATE)
}

fn log_in(path: &Path, access: LogAccess, creation: OFlags) -> io::Result<File> {
    // Opening a FIFO without a reader would wait for one; like this it is an error.
    let flags = OFlags::NONBLOCK;
    let by_name = |flags: OFlags, mode| {
        let mut options = OpenOptions::new();
        options.append(true).create(creation.contains(OFlags::CREATE)).mode(mode);
        options.custom_flags(flags.bits().cast_signed()).open(path)
    };
    let file = match access {
        LogAccess::Private => by_name(flags | OFlags::NOFOLLOW, 0o600)?,
        LogAccess::Umask => by_name(flags, 0o666)?,
        LogAccess::WithoutLinks => {
            let flags = flags | OFlags::WRONLY | OFlags::APPEND | creation;
            let file = no_links::open(path, flags, Mode::from_raw_mode(0o666))?.into();
            check_names(&file)?;
            file
        }
    };
    // Writing may wait: it happens where blocking is allowed.
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

/// Opens a log to read it back.
///
/// # Errors
/// The system's error. Also if it is a FIFO or a device, which gives nothing back: reading it would
/// wait for ever, or take what is meant for its reader.
pub fn read_log(path: &Path, access: LogAccess) -> io::Result<File> {
    // Before it is opened, because the writer of a FIFO would notice.
    let is_file = match access {
        LogAccess::Private => path.symlink_metadata()?.is_file(),
        LogAccess::Umask => path.metadata()?.is_file(),
        LogAccess::WithoutLinks => no_links::file_type(path)?.is_file(),
    };
    let not_a_file = || io::Error::other("not a regular file, so it cannot be read back");
    if !is_file {
        return Err(not_a_file());
    }
    let by_name = |flags: OFlags| {
        let flags = (flags | OFlags::NONBLOCK).bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    };
    let file = match access {
        LogAccess::Private => by_name(OFlags::NOFOLLOW)?,
        LogAccess::Umask => by_name(OFlags::empty())?,
        LogAccess::WithoutLinks => {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            let file = no_links::open(path, flags, Mode::empty())?.into();
            check_names(&file)?;
            file
        }
    };
    // It may have been replaced in between.
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_a_file()) }
}

/// Refuses a file that has another name: what is written to it would appear there, and what is read
/// comes from there.
fn check_names(file: &File) -> io::Result<()> {
    let meta = file.metadata()?;
    if meta.is_file() && meta.nlink() > 1 {
        let text = format!("it has {} names (hard links); name a file that has one", meta.nlink());
        return Err(io::Error::other(text));
    }
    Ok(())
}

/// Creates a directory for logs and those above it that are missing.
///
/// # Errors
/// The system's error.
pub fn create_log_dirs(path: &Path, access: LogAccess) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    match access {
        LogAccess::Private => _ = builder.mode(0o700),
        LogAccess::Umask => {}
        LogAccess::WithoutLinks => return no_links::create_dirs(path),
    }
    builder.recursive(true).create(path)
}

/// Removes a log that was created, or an empty directory that was created for one.
///
/// # Errors
/// The system's error.
pub fn remove_log(path: &Path, access: LogAccess) -> io::Result<()> {
    match access {
        LogAccess::Private | LogAccess::Umask => {
            std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path))
        }
        LogAccess::WithoutLinks => no_links::remove(path),
    }
}

/// Checks that no part of the path of a file is a link.
///
/// # Errors
/// The system's error, [one of a link](is_link_error) if one is.
pub fn check_no_links(path: &Path) -> io::Result<()> {
    no_links::file_type(path).map(drop)
}

/// Returns true if the error says that a part of a path is a link, where none is followed.
pub fn is_link_error(error: &io::Error) -> bool {
    no_links::is_link_error(error)
}

/// Returns the first part of a path that is a symbolic link, for an error to name it. None if there
/// is none, or none any more.
pub fn first_link(path: &Path) -> Option<PathBuf> {
    no_links::first_link(path)
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
/// The system's error; [`IsADirectory`](io::ErrorKind::IsADirectory) for a directory, and
/// [one of a link](is_link_error) if a part of the path is one and none is followed.
pub fn open_input(path: &Path, links: Links) -> io::Result<InputFile> {
    let flags = OFlags::NONBLOCK;
    let file: File = match links {
        Links::Follow => {
            let flags = flags.bits().cast_signed();
            OpenOptions::new().read(true).custom_flags(flags).open(path)?
        }
        Links::Refuse => no_links::open(path, flags | OFlags::RDONLY, Mode::empty())?.into(),
    };
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

/// Returns true if two paths lead to one file or directory.
pub fn same_file(one: &Path, other: &Path) -> bool {
    let of = |path: &Path| path.metadata().map(|meta| (meta.dev(), meta.ino()));
    matches!((of(one), of(other)), (Ok(one), Ok(other)) if one == other)
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
