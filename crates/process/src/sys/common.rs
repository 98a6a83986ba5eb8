//! Small helpers that all backends use.

use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, ptr};

/// Value that the children of one containment share. It is made with the first of them.
#[derive(Debug)]
pub(super) struct Shared<T>(Mutex<Option<Arc<T>>>);

impl<T> Shared<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) fn get_or_make(&self, make: fn() -> io::Result<T>) -> io::Result<Arc<T>> {
        let mut slot = self.lock();
        if let Some(value) = &*slot {
            return Ok(Arc::clone(value));
        }
        let made = Arc::new(make()?);
        *slot = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Drops a value that has become useless, unless another thread has replaced it already.
    #[cfg(all(target_os = "linux", not(execution_engine_portable)))]
    pub(super) fn forget(&self, useless: &Arc<T>) {
        let mut slot = self.lock();
        if slot.as_ref().is_some_and(|value| Arc::ptr_eq(value, useless)) {
            *slot = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds SIGPIPE to the signal mask of this thread. The signal stays pending there for ever, and the
/// write that caused it has failed with an error.
pub(crate) fn hold_broken_pipe_signals() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call makes all of the set a value, and the old mask is not wanted.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
    }
}
