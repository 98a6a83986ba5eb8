//! A child: its main program, and the group that comes from it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::group;
use super::host_death::ListedGroup;
use super::leader::Leader;
use crate::{Exit, Launch, Leftovers, Reaped, Signal, Tree, TreeUsage};

#[derive(Debug)]
pub(crate) struct Process {
    leader: Leader,
    /// The file it was started from: what it calls itself is not told.
    name: String,
    /// Keeps the group on the list of those that must not outlive the host.
    listed: Option<ListedGroup>,
    leftovers: Leftovers,
    tree_state: TreeState,
}

/// What is known of the group without looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TreeState {
    Unknown,
    /// It was empty at the last look, after the end of the main program. Its number may be somebody
    /// else's from then on.
    Gone,
    /// It has been given up and lives on.
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
            tree_state: TreeState::Unknown,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.leader.pid().as_raw_nonzero().get().cast_unsigned()
    }

    pub(crate) fn exit_fd(&self) -> &Arc<OwnedFd> {
        self.leader.exit_fd()
    }

    pub(crate) fn exit(&mut self) -> io::Result<Option<Exit>> {
        self.leader.exit()
    }

    /// Not told before a child is reaped.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        None
    }

    pub(crate) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        self.leader.reap()
    }

    pub(crate) fn tree(&mut self) -> io::Result<Tree> {
        if self.tree_state == TreeState::Gone {
            return Ok(Tree::empty(false));
        }
        let tree = group::tree(&mut self.leader, &self.name)?;
        if tree.is_empty() {
            self.tree_state = TreeState::Gone;
            self.listed = None;
        }
        Ok(tree)
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let Some(number) = rustix::process::Signal::from_named_raw(signal.number()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match self.tree_state {
            TreeState::Gone => Ok(0),
            TreeState::Unknown | TreeState::Left => group::signal(&mut self.leader, number),
        }
    }

    pub(crate) fn pause(&mut self) -> io::Result<()> {
        self.signal(Signal::Stop).map(drop)
    }

    pub(crate) fn resume(&mut self) -> io::Result<()> {
        self.signal(Signal::Continue).map(drop)
    }

    /// Nothing counts for a group.
    pub(crate) fn tree_usage(&self) -> Option<TreeUsage> {
        None
    }

    pub(crate) fn leave(&mut self) -> io::Result<()> {
        debug_assert_eq!(self.leftovers, Leftovers::Leave, "they were to be stopped");
        self.tree_state = TreeState::Left;
        Ok(())
    }
}

impl Drop for Process {
    /// Kills the group and leaves the rest to the background.
    fn drop(&mut self) {
        if self.tree_state == TreeState::Unknown
            && !matches!(self.tree(), Ok(tree) if tree.is_empty())
        {
            // One that cannot be signalled is nothing one could act on here.
            let _signalled = self.signal(Signal::Kill);
        }
        self.leader.reap_later();
    }
}
