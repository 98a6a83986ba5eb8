//! The main program of a child, which leads its process group: how it exited, observed without
//! reaping, and then reaped. All by its pidfd: its id may be another child's by now if other code
//! in the host has reaped this one.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::proc::Stat;
use super::reaper;
use super::signalling::{is_call_refused, test_signal};
use crate::sys::rusage;
use crate::{Exit, Reaped, Usage};

/// Main program of one child.
#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    pidfd: OwnedFd,
    /// Known once it was looked at after its exit.
    ended: Option<Reaped>,
    is_reaped: bool,
}

impl Leader {
    pub(super) fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, ended: None, is_reaped: false }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns the number of the process, its group, and its session if it leads one.
    pub(super) fn number(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(super) fn exit_fd(&self) -> &OwnedFd {
        &self.pidfd
    }

    pub(super) fn is_reaped(&self) -> bool {
        self.is_reaped
    }

    /// Returns `true` if its number may be another process's. A leader that another thread of the
    /// host has waited for is there for a moment more.
    pub(super) fn has_given_up_number(&self) -> bool {
        match test_signal(self.pidfd.as_fd()) {
            Ok(()) => false,
            Err(Errno::SRCH) => true,
            // The host has closed the descriptor. A child that was not waited for keeps its number.
            Err(Errno::BADF) => {
                let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
                waitid(WaitId::Pid(self.pid), look).err() == Some(Errno::CHILD)
            }
            // The number is given up right after its process is no child of ours any more.
            Err(error) if is_call_refused(error).unwrap_or(true) => matches!(
                wait(self.pidfd.as_fd(), Wait::Peek),
                Err(error) if error.raw_os_error() == Some(libc::ECHILD)
            ),
            // It is there, and another user's.
            Err(_) => false,
        }
    }

    pub(super) fn exit(&mut self) -> io::Result<Option<Exit>> {
        self.look(Wait::Peek).map(|ended| ended.map(|ended| ended.exit))
    }

    pub(super) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        self.look(Wait::Collect)
    }

    fn look(&mut self, how: Wait) -> io::Result<Option<Reaped>> {
        // An exit does not change any more, but reaping may be yet to be done.
        if self.is_reaped || (how == Wait::Peek && self.ended.is_some()) {
            return Ok(self.ended);
        }
        match wait(self.pidfd.as_fd(), how) {
            Ok(None) => Ok(None),
            Ok(Some(ended)) => {
                self.is_reaped = how == Wait::Collect;
                self.ended = Some(ended);
                Ok(self.ended)
            }
            // The child is not ours to wait for: other code has waited for it. With SIGCHLD ignored
            // the kernel answers this only when the child has exited, too.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                self.is_reaped = true;
                let unknown = Reaped { exit: Exit::Unknown, usage: Usage::default() };
                Ok(Some(*self.ended.get_or_insert(unknown)))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the CPU time of this process alone. `None` once it is reaped.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        let stat = Stat::of(self.number()).ok()??;
        (!self.is_reaped()).then(|| stat.cpu_time())
    }

    /// Leaves the reaping of a leader that ends soon to the background.
    pub(super) fn reap_later(&mut self) {
        if !matches!(self.reap(), Ok(Some(_)))
            && let Ok(pidfd) = self.pidfd.try_clone()
        {
            reaper::reap(pidfd);
        }
    }

    /// Waits for a leader that is exiting right now. `None` if other code has collected it.
    pub(super) fn reap_now(self) -> Option<Exit> {
        loop {
            match wait(self.pidfd.as_fd(), Wait::Block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                waited => return waited.ok().flatten().map(|ended| ended.exit),
            }
        }
    }
}

/// Mode of a wait for a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Looks whether it has exited, and leaves it as it is.
    Peek,
    /// Reaps it if it has exited.
    Collect,
    /// Reaps it as soon as it exits.
    Block,
}

/// Returns how a child has exited; `None` while it lives.
pub(super) fn wait(pidfd: BorrowedFd<'_>, how: Wait) -> io::Result<Option<Reaped>> {
    let options = libc::WEXITED
        | match how {
            Wait::Peek => libc::WNOHANG | libc::WNOWAIT,
            Wait::Collect => libc::WNOHANG,
            Wait::Block => 0,
        };
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills two structures of these sizes. By number, because libc's wrapper
    // does not pass on the usage of the child.
    let waited = unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PIDFD,
            pidfd.as_raw_fd(),
            info.as_mut_ptr(),
            options,
            usage.as_mut_ptr(),
        )
    };
    if waited < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all of both was zeroed, which is a value, and the kernel may have filled them. These
    // fields are those of a child's exit.
    let (info, usage, pid, status) = unsafe {
        let info = info.assume_init();
        (info, usage.assume_init(), info.si_pid(), info.si_status())
    };
    if pid == 0 {
        return Ok(None);
    }
    let exit = match info.si_code {
        libc::CLD_EXITED => Exit::Code(status),
        libc::CLD_KILLED => Exit::Signaled { signal: status, core_dumped: false },
        libc::CLD_DUMPED => Exit::Signaled { signal: status, core_dumped: true },
        _ => Exit::Unknown,
    };
    Ok(Some(Reaped { exit, usage: rusage::used(&usage) }))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child that is waited for by others")]
    fn child_keeps_its_number_until_it_is_waited_for_whatever_became_of_its_descriptor() {
        let mut child = std::process::Command::new("sleep").arg("300").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        // As if the host had closed the descriptor, and opened another file.
        let other = File::open("/dev/null").unwrap();
        let leader = Leader::new(pid, other.into());
        assert!(!leader.has_given_up_number());
        child.kill().unwrap();
        assert!(!leader.has_given_up_number());
        child.wait().unwrap();
        assert!(leader.has_given_up_number());
    }
}
