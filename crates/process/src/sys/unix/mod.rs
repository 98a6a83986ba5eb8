//! Any Unix: a process group for each child, started with `posix_spawn`.

mod group;
mod host_guard;
mod leader;
mod process;
mod spawn;
mod waiter;

use std::io;
use std::path::PathBuf;

pub(crate) use process::Process;

use host_guard::{HostGuard, ListedGroup};
use leader::Leader;
use waiter::WaiterThread;

use super::common::Shared;
use super::pipes::{self, ChildEnds};
use crate::error::{SpawnError, SpawnStage};
use crate::limits::LimitUnavailable;
use crate::{Launch, Level, Limits};

/// State that the children of one owner share.
#[derive(Debug)]
pub(crate) struct Containment {
    host_guard: Shared<Option<HostGuard>>,
}

impl Containment {
    /// Makes one at this level, or returns the reason why this system does not offer it.
    pub(crate) fn below(_: PathBuf) -> Result<Self, String> {
        Err("only Linux has control groups".to_string())
    }

    pub(crate) fn at(level: Level) -> Result<Self, String> {
        match level {
            Level::ProcessGroup => Ok(Self::strongest()),
            Level::ProcessTree => Err("it needs the /proc of Linux".to_string()),
            Level::Cgroup => Err("only Linux has control groups".to_string()),
        }
    }

    pub(crate) fn strongest() -> Self {
        pipes::check_dev_null();
        Self { host_guard: Shared::new() }
    }

    pub(crate) fn level(&self) -> Level {
        Level::ProcessGroup
    }

    /// Does nothing: the guard gets each group through its pipe, so it has to be there.
    pub(crate) fn start_guard_beside(&self) {}

    /// Refuses all limits: `posix_spawn` sets none, and what could set them would copy the host's
    /// memory for each child.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), LimitUnavailable> {
        let Some(field) = limits.first() else { return Ok(()) };
        let reason = "only Linux can set it; set it in the command, or leave it out".to_string();
        Err(LimitUnavailable { field, reason })
    }

    /// Starts a program in a process group of its own, in the session of the host: not all systems
    /// can create a session here.
    pub(crate) fn spawn(&self, launch: &Launch, ends: &ChildEnds) -> Result<Process, SpawnError> {
        if let Err(refused) = self.check(&launch.limits) {
            return Err(SpawnError::new(SpawnStage::Limits, io::Error::other(refused)));
        }
        let guard = self
            .host_guard
            .get_or_make(HostGuard::start)
            .map_err(|error| SpawnError::new(SpawnStage::Containment, error))?;
        // Before the child: a start that is refused after the program runs could not be retried.
        let waiter =
            WaiterThread::start().map_err(|error| SpawnError::new(SpawnStage::Process, error))?;
        let pid = spawn::start(launch, ends.raw(), &ends.passed(), ends.dir())?;
        let listed = ListedGroup::new(guard, pid);
        let leader = Leader::new(pid, waiter.watch(pid));
        Ok(Process::new(leader, listed, launch))
    }
}
