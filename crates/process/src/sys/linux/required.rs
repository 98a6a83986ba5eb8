//! System calls that nothing replaces. Where one of them is missing no process is created: it could
//! not be followed, or not be stopped.

use std::ffi::c_long;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// All of them were there at the last check.
static ARE_THERE: AtomicBool = AtomicBool::new(false);

/// Forgets the last check. Done for each containment, since a host may have entered a sandbox.
pub(super) fn forget() {
    ARE_THERE.store(false, Ordering::Relaxed);
}

/// Checks that the system has these calls and that no sandbox refuses them. Only success is
/// remembered.
pub(super) fn check() -> io::Result<()> {
    if ARE_THERE.load(Ordering::Relaxed) {
        return Ok(());
    }
    let (none, process) = (0, std::process::id());
    // SAFETY: system calls with numbers and null pointers. The first names a descriptor that cannot
    // exist, the second sends no signal.
    let (waited, sent) = unsafe {
        let missing = libc::c_int::MAX;
        let (how, no_info) = (libc::WEXITED, std::ptr::null::<libc::siginfo_t>());
        let waited = libc::syscall(libc::SYS_waitid, libc::P_PIDFD, missing, no_info, how, no_info);
        let waited = answer(waited);
        (waited, answer(libc::syscall(libc::SYS_kill, process, none)))
    };
    for (call, answer, expected) in [("waitid for a pidfd", waited, libc::EBADF), ("kill", sent, 0)]
    {
        if answer != expected {
            let error = io::Error::from_raw_os_error(answer);
            return Err(io::Error::other(format!(
                "this system refuses the call {call} ({error}); use Linux 5.4 or later, and allow \
                 the call in the sandbox"
            )));
        }
    }
    ARE_THERE.store(true, Ordering::Relaxed);
    Ok(())
}

/// Returns the error number of a call that has just returned, or 0.
fn answer(returned: c_long) -> i32 {
    if returned >= 0 { 0 } else { io::Error::last_os_error().raw_os_error().unwrap_or(0) }
}
