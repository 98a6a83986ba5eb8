//! Registration of a descriptor with the reactor of the current tokio runtime.
//!
//! This is the one place where the reactor is given a descriptor that something else owns, which is
//! unsafe: it must not be closed while it is registered.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use crate::host_process::OfProcess;

/// Guard of a readiness that was reported; it stays reported until it is cleared.
pub(crate) type ReadyGuard<'a> = AsyncFdReadyGuard<'a, BorrowedFd<'static>>;

/// Checks that this process may wait in a reactor, and has the descriptors that a runtime takes. Where a
/// sandbox refuses the one, a thread of a runtime panics and ends the whole process; where there is no
/// room for the others, the making of the first runtime does.
///
/// # Errors
/// The system's error.
pub fn check_reactor() -> io::Result<()> {
    // tokio makes one for all its runtimes, and its receiver again for each of them.
    let (receiver, _sender) = std::os::unix::net::UnixStream::pair()?;
    let _own_receiver = receiver.try_clone()?;
    #[cfg(target_os = "linux")]
    {
        use rustix::event::epoll;

        let reactor = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let _registry = reactor.try_clone()?;
        let _waker = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: the call has room for one event and waits for nothing. It is the one that tokio
        // makes, and that a sandbox may tell from others of its kind.
        if unsafe { libc::epoll_wait(reactor.as_raw_fd(), &raw mut event, 1, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Registration of a descriptor that another value owns, made when it is first needed.
///
/// Dropping it takes the descriptor out of the reactor, but not in a fork, which shares that with its
/// host. A struct that owns the descriptor, too,
/// declares this field first, because fields are dropped in the order of their declaration.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Option<OfProcess<AsyncFd<BorrowedFd<'static>>>>);

impl Readiness {
    /// Registers the descriptor with the reactor of the current runtime, unless it is registered.
    ///
    /// # Errors
    /// The system's error if it has no memory for another registration.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    ///
    /// # Safety
    /// The descriptor must be the same each time and stay open until this value is dropped.
    pub(crate) unsafe fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        interest: Interest,
    ) -> io::Result<()> {
        if self.0.is_none() {
            // SAFETY: the caller keeps it open for longer than this value; nothing else uses it.
            let fd = unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd()) };
            // SAFETY: as above; a `BorrowedFd` always gives the same descriptor.
            let fd = unsafe { AsyncFd::register_with_interest(fd, interest) };
            self.0 = Some(OfProcess::new(fd.map_err(|error| error.into_parts().1)?));
        }
        Ok(())
    }

    /// Polls for the registered descriptor to become readable.
    ///
    /// # Errors
    /// If the runtime is shutting down.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<ReadyGuard<'_>>> {
        self.0.as_ref().map_or(Poll::Pending, |fd| fd.poll_read_ready(cx))
    }

    /// Polls for the registered descriptor to become writable.
    ///
    /// # Errors
    /// If the runtime is shutting down.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<ReadyGuard<'_>>> {
        self.0.as_ref().map_or(Poll::Pending, |fd| fd.poll_write_ready(cx))
    }
}
