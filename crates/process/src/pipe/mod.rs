//! The host's ends of a child's pipes: what it reads from and what it writes to.
//!
//! Both ends are non-blocking, and are `AsyncRead` and `AsyncWrite` on tokio.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::pipe_size::PipeSizing;
use crate::readiness::Readiness;

/// Read end of a child's output pipe.
///
/// A pipe that is found nearly full again and again is enlarged, within a budget of this process.
#[derive(Debug)]
pub struct PipeReader {
    // Before `fd`: see `Readiness`.
    readiness: Readiness,
    fd: OwnedFd,
    sizing: PipeSizing,
}

/// Result of a read that does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadNow {
    /// This many bytes were read, at least one.
    Data(usize),
    /// The pipe is empty, but a writer has it open.
    Empty,
    /// The pipe is empty and has no writer left.
    End,
}

/// Write end of a child's standard input.
///
/// A write after the child has closed its end fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe);
/// by default the system also sends SIGPIPE, which
/// [`hold_write_signals`](crate::hold_write_signals) holds back for a thread.
#[derive(Debug)]
pub struct PipeWriter {
    // Before `fd`: see `Readiness`.
    readiness: Readiness,
    fd: OwnedFd,
}

impl PipeReader {
    /// Takes the read end of a pipe, which must be non-blocking.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { readiness: Readiness::default(), fd, sizing: PipeSizing::default() }
    }

    /// Returns the number of bytes that are read at once: what the pipe may hold.
    pub fn read_size(&self) -> usize {
        self.sizing.read_size()
    }

    /// Reads what is there into the spare capacity of `buffer`, of which it reserves at least
    /// [`read_size`](Self::read_size) bytes. Never waits.
    ///
    /// It asks the kernel itself, so it also finds what a reactor has not reported yet.
    ///
    /// # Errors
    /// The system's error if the pipe cannot be read.
    pub fn read_now(&mut self, buffer: &mut Vec<u8>) -> io::Result<ReadNow> {
        buffer.reserve_exact(self.read_size());
        loop {
            match rustix::io::read(&self.fd, spare_capacity(buffer)) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(ReadNow::Empty),
                Err(error) => return Err(error.into()),
                Ok(0) => return Ok(ReadNow::End),
                Ok(found) => {
                    self.sizing.record_read(&self.fd, found);
                    return Ok(ReadNow::Data(found));
                }
            }
        }
    }

    /// Registers the pipe with the reactor of the current tokio runtime; once is enough,
    /// and a pipe that is not registered is registered when it is first polled.
    ///
    /// # Errors
    /// The system's error if it has no memory for another registration. The pipe can
    /// still be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn register(&mut self) -> io::Result<()> {
        // SAFETY: the descriptor is this pipe's own, and is closed after the registration.
        unsafe { self.readiness.register(self.fd.as_fd(), Interest::READABLE) }
    }

    /// Polls for data and reads it once into the spare capacity of `buffer`, of which it
    /// reserves at least [`read_size`](Self::read_size) bytes. `Ok(0)` is the end.
    ///
    /// # Errors
    /// The system's error if the pipe cannot be read; an error if the runtime is shutting down.
    ///
    /// # Cancel safety
    /// What was read is in `buffer` when this returns `Ready`, and nothing is read otherwise.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        buffer.reserve_exact(self.read_size());
        let room = buffer.capacity() - buffer.len();
        self.poll_with(cx, room, |fd| rustix::io::read(fd, spare_capacity(buffer)))
    }

    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        mut read: impl FnMut(&OwnedFd) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.register()?;
        let Self { readiness, fd, sizing } = self;
        loop {
            let mut ready = ready!(readiness.poll_readable(cx))?;
            match read(fd) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
                // Nothing comes behind the end, so nothing is asked.
                Ok(0) => return Poll::Ready(Ok(0)),
                Ok(found) => {
                    // A short read alone does not say that the pipe is empty: it ends at a
                    // packet (O_DIRECT, which a child may turn on), and the reactor reports no
                    // more of the packets behind it. So the kernel is asked. Not for a grown
                    // pipe: a busy program has written on by then, and a reader that comes
                    // back at once wakes it for little, which costs 10 % of its throughput.
                    // Packets behind such a flood wait for the next write or the end. The end
                    // is not lost: tokio never clears it.
                    let is_empty = || rustix::io::ioctl_fionread(&*fd).is_ok_and(|left| left == 0);
                    if found < room && (sizing.is_grown() || is_empty()) {
                        ready.clear_ready();
                    }
                    sizing.record_read(fd, found);
                    return Poll::Ready(Ok(found));
                }
            }
        }
    }
}

impl PipeWriter {
    /// Takes the write end of a pipe, which must be non-blocking.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { readiness: Readiness::default(), fd }
    }

    /// Registers the pipe with the reactor of the current tokio runtime; once is enough,
    /// and a pipe that is not registered is registered when it is first polled.
    ///
    /// # Errors
    /// The system's error if it has no memory for another registration. The pipe can
    /// still be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn register(&mut self) -> io::Result<()> {
        // SAFETY: the descriptor is this pipe's own, and is closed after the registration.
        unsafe { self.readiness.register(self.fd.as_fd(), Interest::WRITABLE) }
    }
}

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for PipeWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let unfilled = buffer.initialize_unfilled();
        let room = unfilled.len();
        let read = |fd: &OwnedFd| rustix::io::read(fd, &mut *unfilled);
        let found = ready!(self.get_mut().poll_with(cx, room, read))?;
        buffer.advance(found);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let pipe = self.get_mut();
        pipe.register()?;
        loop {
            let mut ready = ready!(pipe.readiness.poll_writable(cx))?;
            match rustix::io::write(&pipe.fd, bytes) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                written => return Poll::Ready(written.map_err(Into::into)),
            }
        }
    }

    /// Does nothing: a pipe buffers nothing on this side.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: the child reads the end when the pipe is dropped.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
