//! A child: its main program, and the tracker of the process tree that comes from it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::cgroup::{self, CgroupLease};
use super::descendants::DescendantTracker;
use super::group;
use super::leader::Leader;
use super::orphans::{self, OrphanFilter};
use super::pid_list::PidSlot;
use super::proc::Stat;
use crate::{Exit, Leftovers, Level, Reaped, Signal, Tree, TreeUsage};

/// Backend of [`Child`](crate::Child).
#[derive(Debug)]
pub(crate) struct Process {
    leader: Leader,
    tracker: Tracker,
    /// Keeps the tree on the list of those that must not outlive the host, where a list does that.
    listed: Option<PidSlot>,
    leftovers: Leftovers,
    state: TreeState,
}

/// What is known of the tree without a look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TreeState {
    Unknown,
    /// It was empty at the last look, and the main program has exited.
    Empty,
    /// It was given up and lives on.
    Left,
}

/// Finds and signals the members of a tree, by the level of its containment.
#[derive(Debug)]
pub(super) enum Tracker {
    Group,
    Tree(Box<DescendantTracker>),
    Cgroup(CgroupLease),
}

impl Process {
    pub(super) fn new(
        leader: Leader,
        tracker: Tracker,
        listed: Option<PidSlot>,
        leftovers: Leftovers,
    ) -> Self {
        Self { leader, tracker, listed, leftovers, state: TreeState::Unknown }
    }

    pub(crate) fn id(&self) -> u32 {
        self.leader.number().cast_unsigned()
    }

    pub(crate) fn level(&self) -> Level {
        match self.tracker {
            Tracker::Group => Level::ProcessGroup,
            Tracker::Tree(_) => Level::ProcessTree,
            Tracker::Cgroup(_) => Level::Cgroup,
        }
    }

    pub(crate) fn exit_fd(&self) -> &OwnedFd {
        self.leader.exit_fd()
    }

    pub(crate) fn exit(&mut self) -> io::Result<Option<Exit>> {
        self.leader.exit()
    }

    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        self.leader.cpu_time()
    }

    pub(crate) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        self.leader.reap()
    }

    pub(crate) fn tree(&mut self) -> io::Result<Tree> {
        let tree = match &mut self.tracker {
            Tracker::Group => group::tree(&mut self.leader)?,
            Tracker::Tree(descendants) => {
                let tree = descendants.tree(&mut self.leader)?;
                // The number may be a stranger's from now on. The members that are left have their
                // marker.
                if let Some(listed) = &mut self.listed
                    && descendants.has_lost_number()
                {
                    listed.clear();
                }
                tree
            }
            Tracker::Cgroup(lease) => match lease.tree() {
                Ok(tree) if !tree.is_empty() => tree,
                Ok(_) => {
                    let tree = moved_out(&mut self.leader)?;
                    if tree.is_empty() && self.leader.exit()?.is_some() {
                        lease.end();
                    }
                    tree
                }
                // Its members have been moved elsewhere.
                Err(error) if cgroup::is_removed(&error) => group::tree(&mut self.leader)?,
                Err(error) => return Err(error),
            },
        };
        if tree.is_empty() && self.leader.exit()?.is_some() {
            self.state = TreeState::Empty;
        }
        Ok(tree)
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let Some(number) = rustix::process::Signal::from_named_raw(signal.number()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match &mut self.tracker {
            Tracker::Group => group::signal(&mut self.leader, number),
            Tracker::Tree(descendants) => descendants.signal(&mut self.leader, number),
            Tracker::Cgroup(lease) => {
                // A frozen process acts on no signal, SIGCONT included.
                if signal == Signal::Continue {
                    lease.thaw()?;
                }
                // The members may have been moved to another control group, or the group removed.
                // They still are in their process group.
                match lease.signal(&self.leader, number) {
                    Ok(0) | Err(_) => group::signal(&mut self.leader, number),
                    reached => reached,
                }
            }
        }
    }

    pub(crate) fn pause(&mut self) -> io::Result<()> {
        match &mut self.tracker {
            Tracker::Cgroup(lease) => lease.freeze(),
            Tracker::Group | Tracker::Tree(_) => self.signal(Signal::Stop).map(drop),
        }
    }

    pub(crate) fn resume(&mut self) -> io::Result<()> {
        match &mut self.tracker {
            Tracker::Cgroup(lease) => lease.thaw(),
            Tracker::Group | Tracker::Tree(_) => self.signal(Signal::Continue).map(drop),
        }
    }

    pub(crate) fn tree_usage(&self) -> Option<TreeUsage> {
        match &self.tracker {
            Tracker::Cgroup(lease) => lease.usage(),
            Tracker::Group | Tracker::Tree(_) => None,
        }
    }

    pub(crate) fn leave(&mut self) -> io::Result<()> {
        debug_assert_eq!(self.leftovers, Leftovers::Leave, "the host guard would kill the tree");
        if orphans::come_to_us() {
            let pids = self.tree()?.members.into_iter().map(|member| member.pid.cast_signed());
            orphans::adopt(pids.filter_map(|pid| Stat::of(pid).ok()?));
            // Some may have exited since the program did, too early to be adopted.
            self.orphan_filter().reap();
        }
        if let Tracker::Cgroup(lease) = &mut self.tracker {
            lease.move_members_out()?;
        }
        self.state = TreeState::Left;
        Ok(())
    }

    /// Returns the filter for the zombies of this tree.
    fn orphan_filter(&self) -> OrphanFilter {
        let filter = OrphanFilter::of(self.leader.pid());
        match &self.tracker {
            Tracker::Group => filter,
            Tracker::Tree(descendants) => {
                filter.with_seen(descendants.seen(), descendants.has_lost_number())
            }
            Tracker::Cgroup(lease) => filter.with_cgroup(lease.name()),
        }
    }
}

/// Examines the process group of a child whose control group is empty. A process with the right to
/// move itself to another control group can have left; that the main program or its process group
/// did so can be seen.
fn moved_out(leader: &mut Leader) -> io::Result<Tree> {
    let tree = group::tree(leader)?;
    Ok(Tree { proven: tree.is_empty(), ..tree })
}

impl Drop for Process {
    /// Kills the tree and leaves the reaping to the background.
    fn drop(&mut self) {
        if self.state == TreeState::Unknown && !matches!(self.tree(), Ok(tree) if tree.is_empty()) {
            // Nothing can be done here about a tree that cannot be signalled.
            let _signalled = self.signal(Signal::Kill);
        }
        self.leader.reap_later();
        if self.state != TreeState::Left && orphans::come_to_us() {
            let filter = self.orphan_filter();
            if let Tracker::Cgroup(lease) = &mut self.tracker {
                lease.forbid_reuse();
            }
            orphans::collect(filter);
        }
    }
}
