//! A child process and its process group.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, kill_process_group, pidfd_open, pidfd_send_signal,
    test_kill_process_group, waitid,
};

use super::proc::{self, Stat};
use super::reaper;
use crate::{Exit, Member, Reaped, Signal, Tree, Usage, WatchFd, WatchReady};

/// The main process leads the group, so its id is the group's, too.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    reaped: Option<Reaped>,
}

/// A member of the group held by a descriptor, so that a signal cannot hit a recycled id.
struct Held {
    stat: Stat,
    pidfd: OwnedFd,
}

impl Process {
    pub(super) fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, reaped: None }
    }

    pub(crate) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    pub(crate) fn exit_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub(crate) fn exit(&mut self) -> io::Result<Option<Exit>> {
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
            Err(Errno::CHILD) => self.exit_of_a_stranger(),
            Err(error) => Err(error.into()),
        }
    }

    /// The child is not ours to wait for. It has ended if somebody waited for it; with SIGCHLD
    /// ignored the kernel says ECHILD only when it has ended, too.
    fn exit_of_a_stranger(&mut self) -> io::Result<Option<Exit>> {
        self.reaped = Some(Reaped { exit: Exit::Unknown, usage: Usage::default() });
        Ok(Some(Exit::Unknown))
    }

    pub(crate) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        let Some(exit) = self.exit()? else { return Ok(None) };
        if self.reaped.is_none() {
            let usage = wait4(self.pid)?.unwrap_or_default();
            self.reaped = Some(Reaped { exit, usage });
        }
        Ok(self.reaped)
    }

    /// While the main process is there its id keeps the group's from being given to others. When it
    /// has ended it is reaped first: a group with a zombie in it looks like one that lives.
    pub(crate) fn tree(&mut self) -> io::Result<Tree> {
        if self.reap()?.is_some() && self.group_is_gone() {
            // Nobody can say who has left the group.
            return Ok(Tree { members: Vec::new(), proven: false, watch: Vec::new() });
        }
        let held = self.hold_members()?;
        let member = |held: &Held| Member {
            pid: held.stat.pid.cast_unsigned(),
            name: held.stat.name.clone(),
        };
        Ok(Tree {
            members: held.iter().map(member).collect(),
            proven: false,
            watch: held
                .into_iter()
                .map(|held| WatchFd { fd: held.pidfd, ready: WatchReady::Readable })
                .collect(),
        })
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let Some(number) = rustix::process::Signal::from_named_raw(signal.number()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let main_is_there = self.reap()?.is_none();
        let members = self.hold_members()?;
        if main_is_there {
            // All at once, those that are being forked right now included.
            kill_process_group(self.pid, number)?;
            return Ok(u32::try_from(members.len()).unwrap_or(u32::MAX));
        }
        let mut reached = 0;
        let mut failure = None;
        for member in &members {
            match pidfd_send_signal(&member.pidfd, number) {
                Ok(()) => reached += 1,
                Err(Errno::SRCH) => {}
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if reached == 0 => Err(error.into()),
            _ => Ok(reached),
        }
    }

    /// Kills the tree and leaves the rest to the background.
    pub(crate) fn abandon(&mut self) {
        // A tree that is gone, and one that cannot be examined, are nothing one could act on here.
        let ended = matches!(self.reap(), Ok(Some(_)));
        if ended && self.group_is_gone() {
            return;
        }
        let _signalled = self.signal(Signal::Kill);
        if !ended && let Ok(pidfd) = self.pidfd.try_clone() {
            reaper::adopt(self.pid, pidfd);
        }
    }

    /// Collects a child that could not execute its program and is ending right now.
    pub(super) fn reap_failed_start(self) {
        while let Err(Errno::INTR) = waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED) {}
    }

    fn group_is_gone(&self) -> bool {
        test_kill_process_group(self.pid) == Err(Errno::SRCH)
    }

    fn hold_members(&self) -> io::Result<Vec<Held>> {
        let leader = self.pid.as_raw_nonzero().get();
        let is_member = |stat: &Stat| {
            // Once ours is reaped, a process with its id leads another group of the same number.
            let is_stranger = stat.pid == leader && self.reaped.is_some();
            stat.group == leader && stat.is_alive() && !is_stranger
        };
        let hold = |stat: Stat| {
            let pidfd = pidfd_open(Pid::from_raw(stat.pid)?, PidfdFlags::empty()).ok()?;
            // Looked at again, now that the descriptor keeps the id from meaning another process.
            let stat = Stat::of(stat.pid).filter(is_member)?;
            Some(Held { stat, pidfd })
        };
        Ok(proc::all()?.filter(is_member).filter_map(hold).collect())
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
