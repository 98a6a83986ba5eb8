//! Making the child process: it shares the host's memory and runs on a stack of its own, and the
//! thread that made it is suspended until the child executes its program or ends.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::process::Pid;

use super::exec::{Image, Orders, block_signals};
use super::pipes::ChildEnds;
use super::process::Process;
use super::stack::Stack;
use crate::error::{SpawnError, Stage};

/// Starts the program of `image` with `stdio`.
pub(super) fn start(image: &Image, stdio: &ChildEnds) -> Result<Process, SpawnError> {
    let mut orders = Orders::new(image, stdio.raw());
    let stack = Stack::take().map_err(|error| SpawnError::new(Stage::Process, error))?;
    // A handler of the host's must not run in the child, which would run it in the host's memory.
    let mask = block_signals(u64::MAX);
    let cloned = clone_child(&stack, &mut orders);
    block_signals(mask);
    stack.give_back();
    let (pid, pidfd) = cloned.map_err(|error| SpawnError::new(Stage::Process, error))?;
    let process = Process::new(pid, pidfd);
    match orders.failure() {
        None => Ok(process),
        Some((stage, errno)) => {
            process.reap_failed_start();
            Err(SpawnError::new(stage, io::Error::from_raw_os_error(errno)))
        }
    }
}

fn clone_child(stack: &Stack, orders: &mut Orders<'_>) -> io::Result<(Pid, OwnedFd)> {
    let (base, size) = stack.usable();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: c_int = -1;
    // SAFETY: the child runs `child_main` on a stack that is ours and given back only when it is
    // gone from it: CLONE_VFORK suspends this thread until the child has executed its program or
    // ended. Until then `orders` lives on this thread's stack, and no signal handler can run in the
    // child because all signals are blocked. CLONE_PIDFD stores into `pidfd`.
    let pid = unsafe {
        libc::clone(
            child_main,
            base.wrapping_add(size).cast::<c_void>(),
            flags,
            std::ptr::from_mut(orders).cast::<c_void>(),
            &raw mut pidfd,
        )
    };
    let pid = Pid::from_raw(pid).filter(|pid| pid.as_raw_nonzero().get() > 0);
    let pid = pid.ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel made this descriptor for us alone.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

extern "C" fn child_main(orders: *mut c_void) -> c_int {
    // SAFETY: the pointer is the one given to `clone`, valid while the host's thread is suspended;
    // this is the child, on its own stack, with all signals blocked.
    unsafe { (*orders.cast::<Orders<'_>>()).obey() }
}
