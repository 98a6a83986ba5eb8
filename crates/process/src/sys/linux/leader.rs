//! The main program of a child: how it ended, observed without reaping, and then reaped.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::process::Pid;

use super::proc::Stat;
use super::reaper;
use crate::sys::rusage;
use crate::{Exit, Reaped, Usage};

#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    pidfd: OwnedFd,
    /// How it has ended, once it was looked at after its end.
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

    pub(super) fn exit_fd(&self) -> &OwnedFd {
        &self.pidfd
    }

    pub(super) fn is_reaped(&self) -> bool {
        self.is_reaped
    }

    /// Whether its number may be somebody else's. One that another thread of the host has waited for
    /// is there for a moment more.
    pub(super) fn has_given_up_number(&self) -> bool {
        // SAFETY: signal 0 is none, and no memory is given. The typed call has no such signal.
        let sent = unsafe {
            let none = std::ptr::null::<libc::siginfo_t>();
            libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), 0, none, 0)
        };
        sent < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
    }

    pub(super) fn exit(&mut self) -> io::Result<Option<Exit>> {
        self.look(Wait::Peek).map(|ended| ended.map(|ended| ended.exit))
    }

    pub(super) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        self.look(Wait::Collect)
    }

    fn look(&mut self, how: Wait) -> io::Result<Option<Reaped>> {
        // An end does not change any more, but reaping is yet to be done.
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
            // The child is not ours to wait for. It has ended if somebody waited for it; with
            // SIGCHLD ignored the kernel says so only when it has ended, too.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                self.is_reaped = true;
                let unknown = Reaped { exit: Exit::Unknown, usage: Usage::default() };
                Ok(Some(*self.ended.get_or_insert(unknown)))
            }
            Err(error) => Err(error),
        }
    }

    /// CPU time that it has used itself; None once it is reaped.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        let stat = Stat::of(self.pid.as_raw_nonzero().get()).ok()??;
        (!self.is_reaped()).then(|| stat.cpu_time())
    }

    /// Leaves the reaping to the background, once it has been killed.
    pub(super) fn reap_later(&mut self) {
        if !matches!(self.reap(), Ok(Some(_)))
            && let Ok(pidfd) = self.pidfd.try_clone()
        {
            reaper::reap(pidfd);
        }
    }

    /// Collects a child that is ending right now. None if somebody else has collected it.
    pub(super) fn reap_now(self) -> Option<Exit> {
        loop {
            match wait(self.pidfd.as_fd(), Wait::Block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                waited => return waited.ok().flatten().map(|ended| ended.exit),
            }
        }
    }
}

/// How to wait for a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Look whether it has ended, and leave it as it is.
    Peek,
    /// Reap it if it has ended.
    Collect,
    /// Reap it as soon as it ends.
    Block,
}

/// How a child has ended; None while it lives. By its descriptor and not by its id, which may be
/// another child's by now if somebody else has reaped this one.
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
    // does not pass on what the child has used.
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
    // fields are those of a child's end.
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
