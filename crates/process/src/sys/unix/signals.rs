//! Sets of signals, in the form that libc takes them.

use std::mem::MaybeUninit;
use std::ptr;

pub(super) fn none() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the call makes all of it a value.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// All whose disposition can be changed.
pub(super) fn changeable() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call makes all of it a value.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::sigdelset(set.as_mut_ptr(), libc::SIGKILL);
        libc::sigdelset(set.as_mut_ptr(), libc::SIGSTOP);
        set.assume_init()
    }
}

/// Adds SIGPIPE to the signal mask of this thread. It waits there for ever, and the write that caused
/// it has failed with an error.
pub(crate) fn hold_broken_pipe_signals() {
    let mut set = none();
    // SAFETY: the set is a value, and the old mask is not wanted.
    unsafe {
        libc::sigaddset(&raw mut set, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
    }
}
