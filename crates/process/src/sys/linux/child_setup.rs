//! The few system calls that a child makes between its start and its exec.
//!
//! Until then the child shares the host's memory, as after `vfork`: it must not allocate, take a
//! lock or run a destructor, and no signal handler of the host may run in it.

use std::ffi::c_int;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::ptr;

use super::pid_list::LINE;
use super::resources::Resources;
use super::signals::{block_signals, reset_dispositions};
use crate::error::SpawnStage;
use crate::sys::exec_image::ExecImage;

/// A step of the setup that failed, with its errno.
pub(super) type SetupFailure = (SpawnStage, c_int);

/// Instructions for the child, and its report: why it failed.
pub(super) struct ChildSetup<'a> {
    /// `None` for a probe, which exits at once.
    image: Option<&'a ExecImage>,
    stdio: [RawFd; 3],
    /// `cgroup.procs` of the group that the child attaches itself to.
    attach: Option<RawFd>,
    isolation: Isolation,
    /// File and offset of the line that the child writes its id to.
    pid_slot: Option<(RawFd, i64)>,
    limits: Resources,
    has_begun: bool,
    failure: Option<SetupFailure>,
}

/// Isolation of a child from its host's terminal, whose signals must not reach it and where it must
/// not ask for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    /// The child leads a session, which has no terminal. Its descendants can be found by that.
    Session,
    /// The child leads a process group and gives up its host's terminal: enough where a control
    /// group holds the tree. With autogroup scheduling (`sched_autogroup_enabled`) each new session
    /// waits behind everything else that runs; beside other work a child took 2.3 times as long.
    Group,
}

impl<'a> ChildSetup<'a> {
    pub(super) fn new(image: &'a ExecImage, stdio: [RawFd; 3], isolation: Isolation) -> Self {
        Self { image: Some(image), stdio, isolation, ..Self::probe() }
    }

    /// Creates the setup of a child that executes nothing.
    pub(super) fn probe() -> Self {
        Self {
            image: None,
            stdio: [0; 3],
            attach: None,
            isolation: Isolation::Session,
            pid_slot: None,
            limits: Resources::default(),
            has_begun: false,
            failure: None,
        }
    }

    pub(super) fn attach(&mut self, procs: RawFd) {
        self.attach = Some(procs);
    }

    pub(super) fn register_pid(&mut self, (list, offset): (BorrowedFd<'a>, u64)) {
        self.pid_slot = Some((list.as_raw_fd(), offset.cast_signed()));
    }

    pub(super) fn limit(&mut self, limits: Resources) {
        self.limits = limits;
    }

    /// Returns `true` if the child has run at all: it can be killed before its first instruction.
    pub(super) fn has_begun(&self) -> bool {
        // SAFETY: as for `failure`.
        unsafe { ptr::read_volatile(&raw const self.has_begun) }
    }

    /// Returns why the program could not be executed, once the child has exited or executed it.
    pub(super) fn failure(&self) -> Option<SetupFailure> {
        // SAFETY: a plain read of a field of ours. It is volatile because the child wrote it
        // through memory that the compiler does not know to be shared.
        unsafe { ptr::read_volatile(&raw const self.failure) }
    }

    /// Executes the program. Runs in the child, which shares the host's memory: only system calls,
    /// no allocation, no locks, no destructors.
    ///
    /// # Safety
    /// Only in a child that has a stack of its own while the thread that made it is suspended, with
    /// all signals blocked.
    pub(super) unsafe fn run(&mut self) -> ! {
        // SAFETY: the field is ours and the host's thread does not run meanwhile; volatile, because
        // it is read by another process.
        unsafe { ptr::write_volatile(&raw mut self.has_begun, true) };
        // SAFETY: the caller's promise.
        if let Err(failure) = unsafe { self.execute() } {
            // SAFETY: as above.
            unsafe { ptr::write_volatile(&raw mut self.failure, Some(failure)) };
        }
        // SAFETY: ends this process without running any code of the host.
        unsafe { libc::_exit(127) }
    }

    /// Returns only if a step failed, or if there is nothing to execute.
    ///
    /// # Safety
    /// As for [`run`](Self::run).
    unsafe fn execute(&self) -> Result<(), SetupFailure> {
        // SAFETY: system calls with pointers into the image and the setup, which outlive the call
        // because the host's thread is suspended until the program runs. libc's wrappers for these
        // do nothing but the call and store errno, which belongs to the suspended thread.
        unsafe {
            // First, so that all that follows is accounted to the group.
            if let Some(procs) = self.attach
                && libc::write(procs, c"0".as_ptr().cast(), 1) != 1
            {
                return Err((SpawnStage::Containment, errno()));
            }
            let Some(ExecImage { program, working_dir, args, env }) = self.image else {
                return self.limits.set();
            };
            self.contain()?;
            reset_dispositions();
            for (target, &source) in (0..).zip(&self.stdio) {
                // dup2 clears close-on-exec for the new descriptor.
                if libc::dup2(source, target) < 0 {
                    return Err((SpawnStage::Stdio, errno()));
                }
            }
            close_from(3);
            if let Some(dir) = working_dir
                && libc::chdir(dir.as_ptr()) != 0
            {
                return Err((SpawnStage::WorkingDirectory, errno()));
            }
            // Last, so that none of them hinders the steps before.
            self.limits.set()?;
            // After the dispositions: a pending signal must not meet a handler of the host.
            block_signals(0);
            libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr());
            Err((SpawnStage::Exec, errno()))
        }
    }

    /// Isolates the child and writes its id to the list of those that must not outlive the host.
    ///
    /// # Safety
    /// As for [`run`](Self::run).
    unsafe fn contain(&self) -> Result<(), SetupFailure> {
        // SAFETY: as in `execute`.
        unsafe {
            let isolated = match self.isolation {
                Isolation::Group if gives_up_terminal() => libc::setpgid(0, 0),
                Isolation::Group | Isolation::Session => libc::setsid(),
            };
            if isolated < 0 {
                return Err((SpawnStage::Containment, errno()));
            }
            if let Some((list, offset)) = self.pid_slot {
                let line = decimal_line(libc::getpid());
                if libc::pwrite(list, line.as_ptr().cast(), LINE, offset) != LINE.cast_signed() {
                    return Err((SpawnStage::Containment, errno()));
                }
            }
        }
        Ok(())
    }
}

/// Gives up the terminal of this process. Returns `true` if it has none now: that cannot be found
/// out without `/dev`, or without a spare descriptor.
///
/// # Safety
/// Only in a child that leads no session.
unsafe fn gives_up_terminal() -> bool {
    // SAFETY: system calls with numbers and a string that ends with NUL.
    unsafe {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let terminal = libc::open(c"/dev/tty".as_ptr(), flags);
        if terminal < 0 {
            return errno() == libc::ENXIO;
        }
        let given_up = libc::ioctl(terminal, libc::TIOCNOTTY) == 0;
        libc::close(terminal);
        given_up
    }
}

/// Formats a process id as a line of the list, without allocating.
fn decimal_line(pid: c_int) -> [u8; LINE] {
    let mut line = [b' '; LINE];
    let mut rest = pid.unsigned_abs();
    let (digits, end) = line.split_at_mut(LINE - 1);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    end.fill(b'\n');
    line
}

fn errno() -> c_int {
    // SAFETY: the address of this thread's errno is always valid.
    unsafe { *libc::__errno_location() }
}

/// Closes every descriptor from `first` on, also those that the host opened without close-on-exec:
/// a pipe that leaks into another child never ends.
///
/// # Safety
/// Only in a child with a descriptor table of its own.
unsafe fn close_from(first: c_int) {
    // SAFETY: system calls without pointers, but for the limit, which is ours.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) == 0 {
            return;
        }
        // Kernels before 5.9.
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        let end = c_int::try_from(limit.rlim_cur).unwrap_or(1 << 20);
        for fd in first..end {
            libc::close(fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_are_right_aligned() {
        assert_eq!(&decimal_line(7), b"         7\n");
        assert_eq!(&decimal_line(c_int::MAX), b"2147483647\n");
    }
}
