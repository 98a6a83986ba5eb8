//! Pipes of a child: the ends that become its standard streams, and the host's ends. With them goes
//! what else is opened for the child before its start: descriptors that are passed on, and a working
//! directory that is held.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::FdFlags;

use crate::error::{SpawnError, SpawnStage};
use crate::files::InputFile;
use crate::{
    Launch, Links, OutputMode, PassedDescriptors, PipeReader, PipeWriter, Stdin, UserIds, no_links,
};

/// Host's ends: non-blocking, and closed when another child executes its program.
pub(crate) struct HostEnds {
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: Option<PipeReader>,
    pub(crate) stderr: Option<PipeReader>,
}

/// Child's ends, all above 2, so that giving them their numbers cannot overwrite one.
pub(crate) struct ChildEnds {
    stdin: Input,
    stdout: OwnedFd,
    stderr: Option<OwnedFd>,
    /// Descriptors that are passed on, and their numbers, lowest first. All are above the highest of
    /// these numbers, for the same reason.
    passed: Vec<(OwnedFd, RawFd)>,
    /// Directory that it starts in, if that is held because no link is followed.
    dir: Option<OwnedFd>,
}

enum Input {
    Null(BorrowedFd<'static>),
    Own(OwnedFd),
    File(InputFile),
}

/// Descriptor of the host and its number in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PassedNumber {
    pub(super) source: RawFd,
    pub(super) target: RawFd,
}

impl ChildEnds {
    /// Returns the descriptors that are to become 0, 1 and 2.
    pub(super) fn raw(&self) -> [RawFd; 3] {
        let stdin = match &self.stdin {
            Input::Null(fd) => fd.as_raw_fd(),
            Input::Own(fd) => fd.as_raw_fd(),
            Input::File(file) => file.as_fd().as_raw_fd(),
        };
        let stdout = self.stdout.as_raw_fd();
        [stdin, stdout, self.stderr.as_ref().map_or(stdout, AsRawFd::as_raw_fd)]
    }

    /// Returns the descriptors that are passed on, lowest number first.
    pub(super) fn passed(&self) -> Vec<PassedNumber> {
        let numbers = self.passed.iter();
        numbers
            .map(|(fd, target)| PassedNumber { source: fd.as_raw_fd(), target: *target })
            .collect()
    }

    /// Returns the directory to enter by its descriptor.
    pub(super) fn dir(&self) -> Option<BorrowedFd<'_>> {
        self.dir.as_ref().map(AsFd::as_fd)
    }
}

/// Opens the streams that a launch asks for.
pub(crate) fn open(launch: &Launch) -> Result<(HostEnds, ChildEnds), SpawnError> {
    if matches!(launch.stdin, Stdin::Null) {
        // It is opened once and kept, so this only sets its failure apart from that of a pipe.
        dev_null().map_err(|error| SpawnError::new(SpawnStage::NullDevice, error))?;
    }
    let stage = |error: io::Error| {
        // Only a copy of a descriptor fails with these numbers: there is none, or it would be beyond
        // the limit.
        let is_of_copy = matches!(error.raw_os_error(), Some(libc::EBADF | libc::EINVAL));
        let stage = if is_of_copy { SpawnStage::Stdio } else { SpawnStage::Pipe };
        SpawnError::new(stage, error)
    };
    let dir =
        held_dir(launch).map_err(|error| SpawnError::new(SpawnStage::WorkingDirectory, error))?;
    open_ends(launch, dir).map_err(stage)
}

/// Opens the working directory of a launch that follows no links.
fn held_dir(launch: &Launch) -> io::Result<Option<OwnedFd>> {
    match (&launch.working_dir, launch.links) {
        (Some(dir), Links::Refuse) => no_links::open_dir(dir).map(Some),
        (None, _) | (_, Links::Follow) => Ok(None),
    }
}

fn open_ends(launch: &Launch, dir: Option<OwnedFd>) -> io::Result<(HostEnds, ChildEnds)> {
    let user = launch.user.as_ref();
    let (stdin, child_stdin) = match &launch.stdin {
        Stdin::Null => (None, Input::Null(dev_null()?)),
        Stdin::Piped => {
            let (read, write) = pipe_of(user)?;
            (Some(PipeWriter::new(for_host(write)?)), Input::Own(read))
        }
        Stdin::File(file) => (None, Input::File(file.above_stdio()?)),
        Stdin::Inherit => (None, Input::Own(inherited(io::stdin().as_fd())?)),
    };
    let (stdout, child_stdout) = match launch.output {
        OutputMode::Inherit => (None, inherited(io::stdout().as_fd())?),
        OutputMode::Separate | OutputMode::Merged | OutputMode::InheritStderr => output_pipe(user)?,
    };
    let (stderr, child_stderr) = match launch.output {
        OutputMode::Separate => {
            let (reader, write) = output_pipe(user)?;
            (reader, Some(write))
        }
        OutputMode::Merged => (None, None),
        OutputMode::InheritStderr | OutputMode::Inherit => {
            (None, Some(inherited(io::stderr().as_fd())?))
        }
    };
    let host = HostEnds { stdin, stdout, stderr };
    let passed = copies(&launch.passed)?;
    let child =
        ChildEnds { stdin: child_stdin, stdout: child_stdout, stderr: child_stderr, passed, dir };
    Ok((host, child))
}

fn output_pipe(user: Option<&UserIds>) -> io::Result<(Option<PipeReader>, OwnedFd)> {
    let (read, write) = pipe_of(user)?;
    Ok((Some(PipeReader::new(for_host(read)?)), write))
}

/// Creates a pipe that belongs to a user, who can then open `/dev/stdout` and the like.
fn pipe_of(user: Option<&UserIds>) -> io::Result<(OwnedFd, OwnedFd)> {
    let ends = pipe()?;
    if let Some(user) = user {
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        // Without it the program can write to its streams all the same.
        let _given = rustix::fs::fchown(&ends.0, Some(uid), Some(gid));
    }
    Ok(ends)
}

/// Copies the descriptors that are passed on to numbers above the highest that a child gives them.
fn copies(passed: &PassedDescriptors) -> io::Result<Vec<(OwnedFd, RawFd)>> {
    let Some(highest) = passed.iter().map(|(number, _)| number).max() else {
        return Ok(Vec::new());
    };
    passed.iter().map(|(number, fd)| Ok((copy_above(fd.as_fd(), highest)?, number))).collect()
}

/// Copies a standard stream of the host. In a host that has closed it, the number may be that of
/// another descriptor, which is closed on exec as a standard stream is not.
fn inherited(stream: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    if rustix::io::fcntl_getfd(stream)?.contains(FdFlags::CLOEXEC) {
        return Err(rustix::io::Errno::BADF.into());
    }
    copy_above(stream, 2)
}

/// Copies a descriptor to a number above this one. The copy is closed when another child executes
/// its program.
fn copy_above(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, number + 1)?)
}

/// Makes the host's end non-blocking. The flag belongs to one end of a pipe, so the child's blocks
/// as programs expect.
fn for_host(fd: OwnedFd) -> io::Result<OwnedFd> {
    rustix::fs::fcntl_setfl(&fd, OFlags::NONBLOCK)?;
    Ok(fd)
}

/// Creates a pipe and returns its ends, reading first; both are closed when another child executes
/// its program. Where the system cannot make them so in one call, the standard library does it in
/// two.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((above_stdio(read.into())?, above_stdio(write.into())?))
}

/// Moves a descriptor above 2: a host that has closed its own standard streams gets their numbers
/// for new ones.
pub(super) fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    copy_above(fd.as_fd(), 2)
}

/// The null device that all children read.
#[derive(Debug, Clone, Copy)]
struct NullDevice {
    fd: RawFd,
    /// Device and inode.
    file: (u64, u64),
}

static NULL: Mutex<Option<NullDevice>> = Mutex::new(None);

fn null() -> MutexGuard<'static, Option<NullDevice>> {
    NULL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the null device, one for all children: reading it changes nothing about it.
pub(super) fn dev_null() -> io::Result<BorrowedFd<'static>> {
    let mut null = null();
    let fd = match &*null {
        Some(known) => known.fd,
        None => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let fd = above_stdio(rustix::fs::open("/dev/null", flags, Mode::empty())?)?;
            let file = file_of(fd.as_fd())?;
            null.insert(NullDevice { fd: fd.into_raw_fd(), file }).fd
        }
    };
    // SAFETY: it was opened above, and nothing in this crate closes it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Forgets the null device if its number means another file. Done for each containment: a process
/// that becomes a daemon may close all that it has open, and children must not read what has the
/// number then.
pub(super) fn check_dev_null() {
    let mut null = null();
    // SAFETY: the number is only asked about, whatever it means.
    let is_other = |known: &NullDevice| unsafe {
        file_of(BorrowedFd::borrow_raw(known.fd)).ok() != Some(known.file)
    };
    if null.as_ref().is_some_and(is_other) {
        *null = None;
    }
}

fn file_of(fd: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(fd)?;
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}
