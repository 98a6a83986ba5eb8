//! The main program of a child: how it ended, observed without reaping, and then reaped.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::reaper;
use crate::{Exit, Reaped, Usage};

#[derive(Debug)]
pub(super) struct Main {
    pid: Pid,
    pidfd: OwnedFd,
    reaped: Option<Reaped>,
}

impl Main {
    pub(super) fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, reaped: None }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn exit_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub(super) fn is_reaped(&self) -> bool {
        self.reaped.is_some()
    }

    pub(super) fn exit(&mut self) -> io::Result<Option<Exit>> {
        if let Some(reaped) = self.reaped {
            return Ok(Some(reaped.exit));
        }
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid), look) {
            Ok(None) => Ok(None),
            Ok(Some(status)) => {
                Ok(Some(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, Some(signal)) => Exit::Signaled { signal, core_dumped: status.dumped() },
                    (None, None) => Exit::Unknown,
                }))
            }
            Err(Errno::CHILD) => Ok(Some(self.taken_by_a_stranger())),
            Err(error) => Err(error.into()),
        }
    }

    /// The child is not ours to wait for. It has ended if somebody waited for it; with SIGCHLD
    /// ignored the kernel says ECHILD only when it has ended, too.
    fn taken_by_a_stranger(&mut self) -> Exit {
        self.reaped = Some(Reaped { exit: Exit::Unknown, usage: Usage::default() });
        Exit::Unknown
    }

    pub(super) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        let Some(exit) = self.exit()? else { return Ok(None) };
        if self.reaped.is_none() {
            let usage = wait4(self.pid)?.unwrap_or_default();
            self.reaped = Some(Reaped { exit, usage });
        }
        Ok(self.reaped)
    }

    /// Leaves the reaping to the background, once it has been killed.
    pub(super) fn reap_later(&mut self) {
        if !matches!(self.reap(), Ok(Some(_)))
            && let Ok(pidfd) = self.pidfd.try_clone()
        {
            reaper::reap(self.pid, pidfd);
        }
    }

    /// Collects a child that is ending right now.
    pub(super) fn reap_now(self) {
        while let Err(Errno::INTR) = waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED) {}
    }
}

/// Reaps `pid`, which has ended, and tells what it used; None if somebody else was faster.
fn wait4(pid: Pid) -> io::Result<Option<Usage>> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let raw = pid.as_raw_nonzero().get();
    // SAFETY: the status is not wanted, and the kernel fills a structure of this size.
    let waited =
        unsafe { libc::wait4(raw, std::ptr::null_mut(), libc::WNOHANG, usage.as_mut_ptr()) };
    if waited < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(None) } else { Err(error) };
    }
    // SAFETY: all of it was zeroed, which is a value, and the kernel may have filled it.
    let usage = unsafe { usage.assume_init() };
    let count = |value: libc::c_long| u64::try_from(value).unwrap_or(0);
    let time = |time: libc::timeval| {
        Duration::from_secs(count(time.tv_sec)) + Duration::from_micros(count(time.tv_usec))
    };
    Ok(Some(Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        // Linux counts in KiB.
        peak_memory_bytes: count(usage.ru_maxrss) * 1024,
        voluntary_switches: count(usage.ru_nvcsw),
        involuntary_switches: count(usage.ru_nivcsw),
    }))
}
