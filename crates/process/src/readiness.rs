//! Registration of a descriptor with the reactor of the current tokio runtime.
//!
//! This is the one place where the reactor is given a descriptor, which is unsafe: it must not be
//! closed while it is registered.

use std::io;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// Guard of a readiness that was reported; it stays reported until it is cleared.
pub(crate) type ReadyGuard<'a> = AsyncFdReadyGuard<'a, BorrowedFd<'static>>;

/// Registration of a descriptor that another value owns.
///
/// Dropping it takes the descriptor out of the reactor. A struct that owns the descriptor, too,
/// declares this field first, because fields are dropped in the order of their declaration.
#[derive(Debug)]
pub(crate) struct Readiness {
    fd: AsyncFd<BorrowedFd<'static>>,
    interest: Interest,
}

impl Readiness {
    /// Registers a descriptor with the reactor of the current runtime.
    ///
    /// # Errors
    /// The system's error if it has no memory for another registration.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    ///
    /// # Safety
    /// The descriptor must stay open until this value is dropped.
    pub(crate) unsafe fn new(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<Self> {
        use std::os::fd::AsRawFd as _;
        // SAFETY: the caller keeps it open for longer than this value; nothing else uses it.
        let fd = unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd()) };
        // SAFETY: as above; a `BorrowedFd` always gives the same descriptor.
        let fd = unsafe { AsyncFd::register_with_interest(fd, interest) };
        Ok(Self { fd: fd.map_err(|error| error.into_parts().1)?, interest })
    }

    /// Polls for the descriptor to become readable.
    ///
    /// # Errors
    /// If the runtime is shutting down.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<ReadyGuard<'_>>> {
        self.fd.poll_read_ready(cx)
    }

    /// Polls for the descriptor to become writable.
    ///
    /// # Errors
    /// If the runtime is shutting down.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<ReadyGuard<'_>>> {
        self.fd.poll_write_ready(cx)
    }

    /// Waits until the descriptor is ready in the way that it was registered for.
    ///
    /// # Errors
    /// If the runtime is shutting down.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        self.fd.ready(self.interest).await?.retain_ready();
        Ok(())
    }
}
