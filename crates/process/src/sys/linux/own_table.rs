//! Work for which this process has no descriptor left: the limit of open files bounds each table of
//! descriptors, and a thread can have a table of its own.

use std::io;

use super::close::close_from;
use super::kept_root;
use super::signals::block_signals;

/// Returns what `work` does; if this process has reached its limit of open files, then on a thread
/// that has closed all descriptors in a table of its own, but for the kept root directory.
///
/// `work` must use no other descriptor of this process: there are none in the table of that thread.
pub(crate) fn with_descriptors<T: Send>(work: impl Fn() -> io::Result<T> + Sync) -> io::Result<T> {
    match work() {
        Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
            on_own_table(&work).unwrap_or(Err(error))
        }
        done => done,
    }
}

/// Returns `None` if there can be no such thread.
fn on_own_table<T: Send>(work: &(impl Fn() -> io::Result<T> + Sync)) -> Option<io::Result<T>> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("execution-search".to_string());
        let thread = thread.spawn_scoped(scope, || leave_table().then(work)).ok()?;
        thread.join().ok()?
    })
}

/// Gives this thread a table of its own, which has the kept root directory and nothing else. Returns
/// `false` if the system refuses that.
fn leave_table() -> bool {
    // A signal handler of the host must not run here: the descriptor that it writes to is closed.
    if block_signals(u64::MAX).is_none() {
        return false;
    }
    // The numbers below it are closed one by one: there are few, because it is opened early.
    let kept = kept_root::number();
    let (below, first) = kept.map_or((0, 0), |kept| (kept, kept + 1));
    // SAFETY: system calls with numbers. This thread shares its table with the one that waits for
    // it, so that what is closed is a copy: either made by the first call, or by the second before
    // anything is closed. Nothing on this thread uses another descriptor that it has not opened.
    unsafe {
        let flags = libc::CLOSE_RANGE_UNSHARE;
        if libc::syscall(libc::SYS_close_range, first, libc::c_int::MAX, flags) != 0 {
            if libc::unshare(libc::CLONE_FILES) != 0 {
                return false;
            }
            close_from(first);
        }
        for fd in 0..below {
            libc::close(fd);
        }
    }
    true
}
