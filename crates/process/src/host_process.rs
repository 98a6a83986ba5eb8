//! Which process this is. A fork has a copy of all memory and none of the threads, so what its host
//! had made is of no use there, and dropping the copy must not end what is the host's.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// Number of forks that lie between the first process that used this crate and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// One process, told from its forks without a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostProcess(u32);

impl HostProcess {
    /// Returns this process.
    pub(crate) fn current() -> Self {
        static COUNTS: Once = Once::new();
        COUNTS.call_once(|| {
            // SAFETY: a fork calls a function that makes an atomic addition. If there is no memory
            // for that, forks are not told from this process.
            let _counted = unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
        });
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Returns `true` in this process, and `false` in a fork of it. Only `fork` is noticed, and not
    /// the bare system call.
    pub(crate) fn is_current(self) -> bool {
        self.0 == FORKS.load(Ordering::Relaxed)
    }
}

unsafe extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Value of the process that has made it. The copy of a fork is not dropped.
#[derive(Debug, Clone)]
pub(crate) struct OfProcess<T> {
    value: ManuallyDrop<T>,
    process: HostProcess,
}

impl<T> OfProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), process: HostProcess::current() }
    }

    /// Returns `true` in the process that has made it.
    pub(crate) fn is_ours(&self) -> bool {
        self.process.is_current()
    }
}

impl<T> Deref for OfProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for OfProcess<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: it is dropped once, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}
