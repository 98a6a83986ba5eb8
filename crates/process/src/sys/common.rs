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

    /// Returns the value, which `make` makes if there is none. What it warns of is logged without the
    /// lock: a subscriber is code of the host, which may start a program.
    pub(super) fn get_or_make(
        &self,
        make: impl FnOnce(&mut Warnings) -> io::Result<T>,
    ) -> io::Result<Arc<T>> {
        let mut warnings = Warnings::default();
        let value = self.get_or_make_quietly(make, &mut warnings);
        warnings.log();
        value
    }

    fn get_or_make_quietly(
        &self,
        make: impl FnOnce(&mut Warnings) -> io::Result<T>,
        warnings: &mut Warnings,
    ) -> io::Result<Arc<T>> {
        let mut slot = self.lock();
        if let Some(value) = &*slot {
            return Ok(Arc::clone(value));
        }
        let made = Arc::new(make(warnings)?);
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

    /// Drops the value; those who have it keep it.
    #[cfg(all(target_os = "linux", not(execution_engine_portable)))]
    pub(super) fn clear(&self) {
        // Dropped without the lock, because that may take a while.
        let old = self.lock().take();
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What could not be had, and what follows from that.
#[derive(Debug, Default)]
pub(super) struct Warnings(Vec<(io::Error, &'static str)>);

impl Warnings {
    pub(super) fn push(&mut self, error: io::Error, consequence: &'static str) {
        self.0.push((error, consequence));
    }

    fn log(self) {
        for (error, consequence) in self.0 {
            tracing::warn!(%error, "{consequence}");
        }
    }
}

/// Adds SIGPIPE and SIGXFSZ to the signal mask of this thread. A signal stays pending there for ever,
/// and the write that caused it has failed with an error.
pub(crate) fn hold_write_signals() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call makes all of the set a value, and the old mask is not wanted.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
    }
}

/// Does what a process in the background of its terminal may not do: SIGTTOU would stop its whole
/// process group.
pub(crate) fn hold_terminal_signal<T>(work: impl FnOnce() -> T) -> T {
    let mut set = MaybeUninit::uninit();
    let mut old = MaybeUninit::uninit();
    // SAFETY: the first call makes all of the set a value, the last one all of the old mask.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTTOU);
        if libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), old.as_mut_ptr()) != 0 {
            return work();
        }
    }
    let done = work();
    // SAFETY: the old mask was stored above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), ptr::null_mut()) };
    done
}

/// Returns `true` if this process ignores a signal.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed, and a call that succeeds has made all of the action a value.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
