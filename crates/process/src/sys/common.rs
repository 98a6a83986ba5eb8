//! What the backends share besides the pipes and the accounts.

use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Exit;
use crate::error::is_transient;

/// What is there, or what is made now.
pub(super) fn shared<T>(
    slot: &Mutex<Option<Arc<T>>>,
    make: fn() -> io::Result<T>,
) -> io::Result<Arc<T>> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = &*slot {
        return Ok(Arc::clone(shared));
    }
    let made = Arc::new(make()?);
    *slot = Some(Arc::clone(&made));
    Ok(made)
}

/// Where the few tools of a sentinel are; there are systems that have them in places of their own.
pub(super) fn path() -> OsString {
    let mut path = OsString::from("/usr/bin:/bin");
    if let Some(own) = std::env::var_os("PATH") {
        path.push(":");
        path.push(own);
    }
    path
}

/// Whether the first shell of a sentinel, which does nothing but fork, has done so. One that has ended
/// badly found no room for another process just now.
pub(super) fn has_forked(first: Option<Exit>) -> io::Result<()> {
    match first {
        Some(Exit::Code(0) | Exit::Unknown) | None => Ok(()),
        Some(_) => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
    }
}

/// A host without a shell can run programs all the same; it only cannot promise what happens when
/// it is killed. What may work a moment later is to be tried again with the spawn that needs it.
pub(super) fn or_warn<Sentinel>(sentinel: io::Result<Sentinel>) -> io::Result<Option<Sentinel>> {
    match sentinel {
        Ok(sentinel) => Ok(Some(sentinel)),
        Err(error) if is_transient(&error) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "no sentinel: if this process is killed, its children live on");
            Ok(None)
        }
    }
}
