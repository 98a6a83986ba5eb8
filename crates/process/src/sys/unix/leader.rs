//! The main program of a child, which leads its process group: how it exited, observed without
//! reaping, and then reaped.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::waiter::ExitWatch;
use crate::sys::rusage;
use crate::{Exit, Reaped, Usage};

/// Main program of one child.
#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    watch: ExitWatch,
    exit: Option<Exit>,
    reaped: Option<Reaped>,
}

impl Leader {
    pub(super) fn new(pid: Pid, watch: ExitWatch) -> Self {
        Self { pid, watch, exit: None, reaped: None }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    pub(super) fn exit_fd(&self) -> &Arc<OwnedFd> {
        self.watch.fd()
    }

    /// Returns how the program exited, without reaping it. It is asked by its id: if other code in
    /// the host has reaped this child, the id may be another child's, which cannot be detected
    /// here.
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
            // Other code in the host has reaped it.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                let exit = self.exit.unwrap_or(Exit::Unknown);
                Some(Reaped { exit, usage: Usage::default() })
            }
            collected => collected?,
        };
        self.exit = self.exit.or(self.reaped.map(|reaped| reaped.exit));
        Ok(self.reaped)
    }

    /// Leaves the reaping of a killed child to the thread that waits for it.
    pub(super) fn reap_later(&mut self) {
        if !matches!(self.reap(), Ok(Some(_))) && !self.watch.hand_over() {
            // It exited in between.
            let _reaped = self.reap();
        }
    }
}

/// Converts a status. `None` where the system does not report the signal; Apple's leave it out.
fn exit_of(status: &WaitIdStatus) -> Option<Exit> {
    if status.exited() {
        return status.exit_status().map(Exit::Code);
    }
    let signal = status.terminating_signal().filter(|signal| *signal != 0)?;
    Some(Exit::Signaled { signal, core_dumped: status.dumped() })
}

/// Reaps a child if it has exited.
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
