//! Output that passes through `exeng`: counted, marked, or written elsewhere.
//!
//! The program writes to pipes of ours in the place of our own streams. It is not the engine that
//! reads them: when the process that reads from us goes away, the pipe is closed, and the program notices
//! that as if it had been started directly.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::stdio;

use super::idle::Activity;
use super::prefix::{Prefix, Prefixed};

/// Most bytes that are passed on at a time: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// What is done with the output.
#[derive(Debug, Default)]
pub(super) struct RelayOptions {
    pub(super) prefix: Option<Prefix>,
    /// Where both streams go, if not where they would go by themselves.
    pub(super) to: Option<Arc<File>>,
}

/// Bytes of each stream that the program has written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Bytes {
    pub(crate) stdout: u64,
    pub(crate) stderr: u64,
}

/// The streams of this process, which the program has in the form of pipes meanwhile.
#[derive(Debug)]
pub(super) struct Relay {
    streams: [Stream; 2],
    /// Closed when nothing more is to be waited for.
    _open: OwnedFd,
}

#[derive(Debug)]
struct Stream {
    /// That of this process.
    own: OwnedFd,
    bytes: Arc<AtomicU64>,
    reader: JoinHandle<io::Result<()>>,
}

impl Relay {
    /// Puts pipes in the place of our streams, and starts the threads that read them.
    ///
    /// # Errors
    /// The system's error if it has no descriptors or no threads left.
    pub(super) fn begin(options: &RelayOptions, activity: &Arc<Activity>) -> io::Result<Self> {
        let (over, open) = pipe_with(PipeFlags::CLOEXEC)?;
        let over = Arc::new(over);
        let stdout = stdio::stdout();
        let stdout =
            Stream::begin("stdout", stdout.try_clone_to_owned()?, options, &over, activity)?;
        stdio::dup2_stdout(&stdout.1)?;
        let stderr = stdio::stderr();
        let stderr =
            Stream::begin("stderr", stderr.try_clone_to_owned()?, options, &over, activity)?;
        stdio::dup2_stderr(&stderr.1)?;
        Ok(Self { streams: [stdout.0, stderr.0], _open: open })
    }

    /// Passes on what is left in the pipes, and puts our streams back. A process that still holds the
    /// other end is not waited for.
    ///
    /// # Errors
    /// Why output could not be passed on. That no process reads it is no error.
    pub(super) fn end(self) -> (Bytes, io::Result<()>) {
        let Self { streams: [stdout, stderr], _open: open } = self;
        let back = stdio::dup2_stdout(&stdout.own).and(stdio::dup2_stderr(&stderr.own));
        drop(open);
        let (stdout, out) = stdout.end();
        let (stderr, err) = stderr.end();
        (Bytes { stdout, stderr }, back.map_err(Into::into).and(out).and(err))
    }
}

impl Stream {
    /// Returns the stream, and the end of its pipe that the program writes to.
    fn begin(
        name: &'static str,
        own: OwnedFd,
        options: &RelayOptions,
        over: &Arc<OwnedFd>,
        activity: &Arc<Activity>,
    ) -> io::Result<(Self, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let bytes = Arc::new(AtomicU64::new(0));
        let to = match &options.to {
            Some(file) => Arc::clone(file),
            None => Arc::new(File::from(own.try_clone()?)),
        };
        let passage = Passage {
            pipe: read,
            over: Arc::clone(over),
            to,
            prefixed: options.prefix.map(|prefix| Prefixed::new(prefix, name)),
            bytes: Arc::clone(&bytes),
            activity: Arc::clone(activity),
        };
        let reader = std::thread::Builder::new().name(name.into());
        let reader = reader.spawn(move || passage.run())?;
        Ok((Self { own, bytes, reader }, write))
    }

    fn end(self) -> (u64, io::Result<()>) {
        let panicked = |_| Err(io::Error::other("internal error: the reader has panicked"));
        let read = self.reader.join().unwrap_or_else(panicked);
        (self.bytes.load(Ordering::Acquire), read)
    }
}

/// The way of one stream through this process.
struct Passage {
    pipe: OwnedFd,
    over: Arc<OwnedFd>,
    to: Arc<File>,
    prefixed: Option<Prefixed>,
    bytes: Arc<AtomicU64>,
    activity: Arc<Activity>,
}

impl Passage {
    /// Passes on all output. The pipe is closed when this returns.
    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        while !self.wait()? {
            match self.pass(&mut buffer) {
                Ok(0) => return Ok(()),
                passed => passed?,
            };
        }
        // The program has ended, and another process may hold the pipe open for ever.
        rustix::fs::fcntl_setfl(&self.pipe, OFlags::NONBLOCK)?;
        loop {
            match self.pass(&mut buffer) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                passed => passed?,
            };
        }
    }

    /// Waits for output. Returns `true` if it is not to be waited for any longer.
    fn wait(&self) -> io::Result<bool> {
        let mut fds =
            [PollFd::new(&self.pipe, PollFlags::IN), PollFd::new(&self.over, PollFlags::IN)];
        loop {
            match poll(&mut fds, None) {
                Err(Errno::INTR) => {}
                polled => {
                    polled?;
                    return Ok(!fds[1].revents().is_empty());
                }
            }
        }
    }

    /// Passes on what there is, and returns the number of bytes; 0 at the end.
    fn pass(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = loop {
            match rustix::io::read(&self.pipe, &mut *buffer) {
                Err(Errno::INTR) => {}
                read => break read?,
            }
        };
        let chunk = &buffer[..length];
        self.bytes.fetch_add(length as u64, Ordering::AcqRel);
        self.activity.note();
        let written = match &mut self.prefixed {
            Some(prefixed) => write_all(&self.to, &prefixed.lines(chunk)),
            None => write_all(&self.to, chunk),
        };
        match written {
            // Its reader is gone: the program is to notice, so its pipe is closed.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            written => written.map(|()| length),
        }
    }
}

/// Writes all bytes, also where the caller has made its stream non-blocking.
fn write_all(mut to: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => bytes = &bytes[length..],
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(to, PollFlags::OUT)];
                    // A look that was interrupted is repeated by the next write.
                    let _ready = poll(&mut fds, None);
                }
                _ => return Err(error),
            },
        }
    }
    Ok(())
}
