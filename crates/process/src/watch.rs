//! Waiting for a descriptor on tokio, for the crates above that write no unsafe code.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdRegisterError};

use crate::{Child, WatchFd, WatchReady};

/// A descriptor that the reactor of the current tokio runtime watches.
#[derive(Debug)]
pub struct Watch {
    fd: AsyncFd<Arc<OwnedFd>>,
    interest: Interest,
}

impl Watch {
    /// Watches for the end of the main program of `child`.
    ///
    /// # Errors
    /// What the system says if it has no room for another descriptor or watch.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn exit_of(child: &Child) -> io::Result<Self> {
        Self::new(child.shared_exit_fd(), Interest::READABLE)
    }

    /// Watches for a change of a process tree.
    ///
    /// # Errors
    /// What the system says if it has no room for another watch.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn tree(watch: WatchFd) -> io::Result<Self> {
        let interest = match watch.ready {
            WatchReady::Readable => Interest::READABLE,
            #[cfg(target_os = "linux")]
            WatchReady::Priority => Interest::PRIORITY,
            // No other system has descriptors that tell so.
            #[cfg(not(target_os = "linux"))]
            WatchReady::Priority => return Err(io::ErrorKind::Unsupported.into()),
        };
        Self::new(Arc::new(watch.fd), interest)
    }

    fn new(fd: Arc<OwnedFd>, interest: Interest) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is open and always gives the same descriptor while it exists, which
        // is as long as the `AsyncFd` that shares it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, interest) };
        Ok(Self {
            fd: fd.map_err(|error: AsyncFdRegisterError<_>| error.into_parts().1)?,
            interest,
        })
    }

    /// Waits for the end of a main program, from one task at a time. Cancel safe. It waits as
    /// [`ready`](Self::ready) does, but in a smaller future: there is one for each child.
    ///
    /// # Errors
    /// If the runtime is shutting down.
    pub async fn ended(&self) -> io::Result<()> {
        poll_fn(|cx| self.fd.poll_read_ready(cx)).await?.clear_ready();
        Ok(())
    }

    /// Waits until it is ready, and then for the next time. Cancel safe.
    ///
    /// # Errors
    /// If the runtime is shutting down.
    pub async fn ready(&self) -> io::Result<()> {
        self.fd.ready(self.interest).await?.clear_ready();
        Ok(())
    }
}
