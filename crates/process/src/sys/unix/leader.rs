//! The main program of a child: how it ended, observed without reaping, and then reaped.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::waiter::Watch;
use crate::sys::rusage;
use crate::{Exit, Reaped, Usage};

#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    watch: Watch,
    /// How it has ended, once it was looked at after its end.
    exit: Option<Exit>,
    reaped: Option<Reaped>,
}

/// What is known if somebody else has reaped it.
const UNKNOWN: Reaped = Reaped {
    exit: Exit::Unknown,
    usage: Usage {
        user: std::time::Duration::ZERO,
        system: std::time::Duration::ZERO,
        peak_memory_bytes: None,
        voluntary_switches: None,
        involuntary_switches: None,
    },
};

impl Leader {
    pub(super) fn new(pid: Pid, watch: Watch) -> Self {
        Self { pid, watch, exit: None, reaped: None }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn exit_fd(&self) -> &Arc<OwnedFd> {
        self.watch.told()
    }

    /// By its id: another child has it by now if somebody else has reaped this one, and that cannot
    /// be told here.
    pub(super) fn exit(&mut self) -> io::Result<Option<Exit>> {
        if self.exit.is_some() {
            return Ok(self.exit);
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.exit = match waitid(WaitId::Pid(self.pid), options) {
            Ok(None) => None,
            Ok(Some(status)) => match exit_of(&status) {
                Some(exit) => Some(exit),
                None => self.reap()?.map(|reaped| reaped.exit),
            },
            Err(Errno::CHILD) => self.reap()?.map(|reaped| reaped.exit),
            Err(error) => return Err(error.into()),
        };
        Ok(self.exit)
    }

    pub(super) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        if self.reaped.is_some() {
            return Ok(self.reaped);
        }
        self.reaped = match collect(self.pid) {
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                Some(Reaped { exit: self.exit.unwrap_or(Exit::Unknown), ..UNKNOWN })
            }
            collected => collected?,
        };
        self.exit = self.exit.or(self.reaped.map(|reaped| reaped.exit));
        Ok(self.reaped)
    }

    /// Leaves the reaping to the thread that waits for it, once it has been killed.
    pub(super) fn reap_later(&mut self) {
        if !matches!(self.reap(), Ok(Some(_))) && !self.watch.give_up() {
            // It ended in between.
            let _reaped = self.reap();
        }
    }
}

/// None where the system does not say which signal it was; Apple's leave that out.
fn exit_of(status: &WaitIdStatus) -> Option<Exit> {
    if status.exited() {
        return status.exit_status().map(Exit::Code);
    }
    let signal = status.terminating_signal().filter(|signal| *signal != 0)?;
    Some(Exit::Signaled { signal, core_dumped: status.dumped() })
}

/// Reaps a child of ours if it has ended.
pub(super) fn collect(pid: Pid) -> io::Result<Option<Reaped>> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let mut status = 0;
    // SAFETY: the system fills a number and a structure of this size.
    let waited = unsafe {
        libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, libc::WNOHANG, usage.as_mut_ptr())
    };
    if waited < 0 {
        return Err(io::Error::last_os_error());
    }
    if waited == 0 {
        return Ok(None);
    }
    // SAFETY: all of it was zeroed, which is a value, and the system has filled it.
    let usage = rusage::used(&unsafe { usage.assume_init() });
    let exit = if libc::WIFEXITED(status) {
        Exit::Code(libc::WEXITSTATUS(status))
    } else {
        let core_dumped = libc::WCOREDUMP(status);
        Exit::Signaled { signal: libc::WTERMSIG(status), core_dumped }
    };
    Ok(Some(Reaped { exit, usage }))
}
