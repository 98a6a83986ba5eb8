//! Pipes of a child: the ends that become its standard streams, and the host's ends.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};

use crate::error::{SpawnError, SpawnStage};
use crate::files::InputFile;
use crate::{Launch, OutputMode, PipeReader, PipeWriter, Stdin};

/// Host's ends: non-blocking, and closed when another child executes its program.
pub(crate) struct HostEnds {
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: PipeReader,
    pub(crate) stderr: Option<PipeReader>,
}

/// Child's ends, all above 2, so that giving them their numbers cannot overwrite one.
pub(crate) struct ChildEnds {
    stdin: Input,
    stdout: OwnedFd,
    stderr: Option<OwnedFd>,
}

enum Input {
    Null(BorrowedFd<'static>),
    Pipe(OwnedFd),
    File(InputFile),
}

impl ChildEnds {
    /// Returns the descriptors that are to become 0, 1 and 2.
    pub(super) fn raw(&self) -> [RawFd; 3] {
        let stdin = match &self.stdin {
            Input::Null(fd) => fd.as_raw_fd(),
            Input::Pipe(fd) => fd.as_raw_fd(),
            Input::File(file) => file.as_fd().as_raw_fd(),
        };
        let stdout = self.stdout.as_raw_fd();
        [stdin, stdout, self.stderr.as_ref().map_or(stdout, AsRawFd::as_raw_fd)]
    }
}

/// Opens the streams that a launch asks for.
pub(crate) fn open(launch: &Launch) -> Result<(HostEnds, ChildEnds), SpawnError> {
    open_ends(launch).map_err(|error| SpawnError::new(SpawnStage::Pipe, error))
}

fn open_ends(launch: &Launch) -> io::Result<(HostEnds, ChildEnds)> {
    let (stdin, child_stdin) = match &launch.stdin {
        Stdin::Null => (None, Input::Null(dev_null()?)),
        Stdin::Piped => {
            let (read, write) = pipe()?;
            (Some(PipeWriter::new(for_host(write)?)), Input::Pipe(read))
        }
        Stdin::File(file) => (None, Input::File(file.above_stdio()?)),
    };
    let (stdout, child_stdout) = pipe()?;
    let (stderr, child_stderr) = match launch.output {
        OutputMode::Separate => {
            let (read, write) = pipe()?;
            (Some(PipeReader::new(for_host(read)?)), Some(write))
        }
        OutputMode::Merged => (None, None),
    };
    let host = HostEnds { stdin, stdout: PipeReader::new(for_host(stdout)?), stderr };
    let child = ChildEnds { stdin: child_stdin, stdout: child_stdout, stderr: child_stderr };
    Ok((host, child))
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
fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?)
}

/// Returns the null device, one for all children: reading it changes nothing about it.
pub(super) fn dev_null() -> io::Result<BorrowedFd<'static>> {
    static DEV_NULL: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(fd) = DEV_NULL.get() {
        return Ok(fd.as_fd());
    }
    let fd = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let fd = above_stdio(fd)?;
    Ok(DEV_NULL.get_or_init(|| fd).as_fd())
}
