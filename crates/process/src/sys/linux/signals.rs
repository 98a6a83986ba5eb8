//! Signal masks and dispositions around the start of a child. By system call and not through libc,
//! whose wrappers leave out the two signals that it keeps for itself.

use std::ffi::c_int;
use std::ptr;

use crate::sys::is_ignored;

/// Size of the kernel's signal set in bytes.
const SIGSET_BYTES: usize = 8;
const SIGNALS: c_int = 64;

/// Gives every signal its default disposition. Ignored signals would stay ignored across exec (Rust
/// programs ignore SIGPIPE), and a handler of the host must not run in a child that shares its
/// memory.
///
/// Those in the set `kept` stay as they are. Returns `false` if the system refuses that.
///
/// # Safety
/// Only in a child with a signal table of its own.
pub(super) unsafe fn reset_dispositions(kept: u64) -> bool {
    // All zero is SIG_DFL, no flags, no restorer, empty mask, on every architecture.
    let default = [0_u64; 4];
    for signal in 1..=SIGNALS {
        if signal == libc::SIGKILL || signal == libc::SIGSTOP || kept & bit(signal) != 0 {
            continue;
        }
        // SAFETY: the kernel reads a sigaction of at most this size.
        let set = unsafe {
            let none = ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, SIGSET_BYTES)
        };
        if set != 0 {
            return false;
        }
    }
    true
}

/// Signals that a terminal sends.
const OF_TERMINAL: [c_int; 6] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// Returns the signals of a terminal that this process ignores, as a set.
pub(super) fn ignored_of_terminal() -> u64 {
    let ignored = OF_TERMINAL.into_iter().filter(|signal| is_ignored(*signal));
    ignored.fold(0, |set, signal| set | bit(signal))
}

/// Returns the set with this one signal.
const fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// Replaces the signal mask of this thread and returns the old one. `None` if the system refuses
/// that.
pub(super) fn block_signals(mask: u64) -> Option<u64> {
    let mut old = 0_u64;
    // SAFETY: both point to signal sets of the size that is given.
    let replaced = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut old,
            SIGSET_BYTES,
        )
    };
    (replaced == 0).then_some(old)
}
