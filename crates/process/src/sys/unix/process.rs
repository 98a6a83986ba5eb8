//! A child: its main program, and the process group that comes from it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::group;
use super::host_guard::ListedGroup;
use super::leader::Leader;
use crate::{Exit, Launch, Leftovers, Level, Reaped, Signal, Tree, TreeUsage};

/// Backend of [`Child`](crate::Child).
#[derive(Debug)]
pub(crate) struct Process {
    leader: Leader,
    /// Name of the program's file; the system does not report the process's own name.
    name: String,
    /// Keeps the group on the host guard's list. Dropped when the group is empty.
    listed: Option<ListedGroup>,
    leftovers: Leftovers,
    state: GroupState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupState {
    Unknown,
    /// The group was seen empty after its leader's exit. Its number may be a stranger's from then
    /// on.
    Empty,
    /// The group was given up and lives on.
    Left,
}

impl Process {
    pub(super) fn new(leader: Leader, listed: ListedGroup, launch: &Launch) -> Self {
        let name = launch.program.file_name().unwrap_or(launch.program.as_os_str());
        Self {
            leader,
            name: name.to_string_lossy().into_owned(),
            listed: Some(listed),
            leftovers: launch.leftovers,
            state: GroupState::Unknown,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.leader.id()
    }

    pub(crate) fn level(&self) -> Level {
        Level::ProcessGroup
    }

    pub(crate) fn exit_fd(&self) -> &Arc<OwnedFd> {
        self.leader.exit_fd()
    }

    pub(crate) fn exit(&mut self) -> io::Result<Option<Exit>> {
        self.leader.exit()
    }

    /// Returns `None`: there is no portable way to ask before the child is reaped.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        None
    }

    pub(crate) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        self.leader.reap()
    }

    pub(crate) fn tree(&mut self) -> io::Result<Tree> {
        // No second look: the number may be a stranger's by now.
        if self.state == GroupState::Empty {
            return Ok(Tree::empty(false));
        }
        let tree = group::tree(&mut self.leader, &self.name)?;
        if tree.is_empty() {
            self.state = GroupState::Empty;
            self.listed = None;
        }
        Ok(tree)
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let Some(number) = rustix::process::Signal::from_named_raw(signal.number()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match self.state {
            GroupState::Empty => Ok(0),
            GroupState::Unknown | GroupState::Left => group::signal(&mut self.leader, number),
        }
    }

    pub(crate) fn pause(&mut self) -> io::Result<()> {
        self.signal(Signal::Stop).map(drop)
    }

    pub(crate) fn resume(&mut self) -> io::Result<()> {
        self.signal(Signal::Continue).map(drop)
    }

    /// Returns `None`: no system counts for a process group.
    pub(crate) fn tree_usage(&self) -> Option<TreeUsage> {
        None
    }

    pub(crate) fn leave(&mut self) -> io::Result<()> {
        debug_assert_eq!(self.leftovers, Leftovers::Leave, "the group was to be stopped");
        self.state = GroupState::Left;
        Ok(())
    }
}

impl Drop for Process {
    /// Kills the group and leaves the reaping to the background.
    fn drop(&mut self) {
        if self.state == GroupState::Unknown && !matches!(self.tree(), Ok(tree) if tree.is_empty())
        {
            // Nothing can be done here about a group that cannot be signalled.
            let _signalled = self.signal(Signal::Kill);
        }
        self.leader.reap_later();
    }
}
