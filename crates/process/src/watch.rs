//! Waiting for a descriptor on tokio, for the crates above that write no unsafe code.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdRegisterError};

use crate::{WatchFd, WatchReady};

/// A descriptor that the reactor of the current tokio runtime watches.
#[derive(Debug)]
pub struct Watch {
    fd: AsyncFd<OwnedFd>,
    interest: Interest,
}

impl Watch {
    /// Watches for the moment when this descriptor is readable.
    ///
    /// # Errors
    /// What the system says if it has no room for another watch.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn readable(fd: OwnedFd) -> io::Result<Self> {
        Self::new(fd, Interest::READABLE)
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
        Self::new(watch.fd, interest)
    }

    fn new(fd: OwnedFd, interest: Interest) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is open and always gives the same descriptor while it exists, which
        // is as long as the `AsyncFd` that has it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, interest) };
        Ok(Self {
            fd: fd.map_err(|error: AsyncFdRegisterError<_>| error.into_parts().1)?,
            interest,
        })
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
