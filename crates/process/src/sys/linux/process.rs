//! A child: its main program, and the hold on the tree that comes from it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::cgroup::CgroupLease;
use super::descendants::DescendantTracker;
use super::group;
use super::leader::Leader;
use super::orphans::{self, OrphanFilter};
use super::pid_list::PidSlot;
use super::proc::Stat;
use crate::{Exit, Leftovers, Reaped, Signal, Tree, TreeUsage};

#[derive(Debug)]
pub(crate) struct Process {
    leader: Leader,
    tracker: Tracker,
    /// Keeps the tree on the list of those that must not outlive the host, where a list does that.
    listed: Option<PidSlot>,
    leftovers: Leftovers,
    tree_state: TreeState,
}

/// What is known of the tree without looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TreeState {
    Unknown,
    /// It was empty at the last look, and the main program has ended.
    Gone,
    /// It has been given up and lives on.
    Left,
}

/// What holds the tree.
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
        Self { leader, tracker, listed, leftovers, tree_state: TreeState::Unknown }
    }

    pub(crate) fn id(&self) -> u32 {
        self.leader.pid().as_raw_nonzero().get().cast_unsigned()
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
            Tracker::Tree(lineage) => {
                let tree = lineage.tree(&mut self.leader)?;
                // Those who are left have their mark.
                if let Some(listed) = &mut self.listed
                    && lineage.has_lost_number()
                {
                    listed.clear();
                }
                tree
            }
            Tracker::Cgroup(leaf) => match leaf.tree() {
                Ok(tree) if !tree.is_empty() => tree,
                Ok(_) => {
                    let tree = moved_out(&mut self.leader)?;
                    if tree.is_empty() && self.leader.exit()?.is_some() {
                        leaf.end();
                    }
                    tree
                }
                // The group was removed, so whoever was in it has been moved elsewhere.
                Err(_) => group::tree(&mut self.leader)?,
            },
        };
        if tree.is_empty() && self.leader.exit()?.is_some() {
            self.tree_state = TreeState::Gone;
        }
        Ok(tree)
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let Some(number) = rustix::process::Signal::from_named_raw(signal.number()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match &mut self.tracker {
            Tracker::Group => group::signal(&mut self.leader, number),
            Tracker::Tree(lineage) => lineage.signal(&mut self.leader, number),
            Tracker::Cgroup(leaf) => {
                if signal == Signal::Continue {
                    leaf.thaw()?;
                }
                match leaf.signal(number) {
                    Ok(0) | Err(_) => group::signal(&mut self.leader, number),
                    reached => reached,
                }
            }
        }
    }

    pub(crate) fn pause(&mut self) -> io::Result<()> {
        match &mut self.tracker {
            Tracker::Cgroup(leaf) => leaf.freeze(),
            Tracker::Group | Tracker::Tree(_) => self.signal(Signal::Stop).map(drop),
        }
    }

    pub(crate) fn resume(&mut self) -> io::Result<()> {
        match &mut self.tracker {
            Tracker::Cgroup(leaf) => leaf.thaw(),
            Tracker::Group | Tracker::Tree(_) => self.signal(Signal::Continue).map(drop),
        }
    }

    pub(crate) fn tree_usage(&self) -> Option<TreeUsage> {
        match &self.tracker {
            Tracker::Cgroup(leaf) => leaf.usage(),
            Tracker::Group | Tracker::Tree(_) => None,
        }
    }

    pub(crate) fn leave(&mut self) -> io::Result<()> {
        debug_assert_eq!(self.leftovers, Leftovers::Leave, "the sentinel would not know of it");
        if orphans::come_to_us() {
            let pids = self.tree()?.members.into_iter().map(|member| member.pid.cast_signed());
            orphans::adopt(pids.filter_map(|pid| Stat::of(pid).ok()?));
            // Some may have ended since the program did, too early to be adopted.
            self.kin().reap();
        }
        if let Tracker::Cgroup(leaf) = &mut self.tracker {
            leaf.let_go()?;
        }
        self.tree_state = TreeState::Left;
        Ok(())
    }

    /// Who counts as kin of this child when zombies are collected.
    fn kin(&self) -> OrphanFilter {
        let kin = OrphanFilter::of(self.leader.pid());
        match &self.tracker {
            Tracker::Group => kin,
            Tracker::Tree(lineage) => kin.with_seen(lineage.seen(), lineage.has_lost_number()),
            Tracker::Cgroup(leaf) => kin.with_group(leaf.name()),
        }
    }
}

/// An empty group has somebody outside of it if a process has the right to move itself elsewhere,
/// and does. That the main program or its process group did so can be seen.
fn moved_out(leader: &mut Leader) -> io::Result<Tree> {
    leader.reap()?;
    if group::is_lost(leader) {
        return Ok(Tree::empty(true));
    }
    // Zombies that nobody collects keep the process group, too.
    let members = group::members(leader)?;
    let occupied = members.is_occupied();
    Ok(Tree { occupied, proven: !occupied, ..group::tree_of(&members.alive) })
}

impl Drop for Process {
    /// Kills the tree and leaves the rest to the background.
    fn drop(&mut self) {
        if self.tree_state == TreeState::Unknown
            && !matches!(self.tree(), Ok(tree) if tree.is_empty())
        {
            // One that cannot be signalled is nothing one could act on here.
            let _signalled = self.signal(Signal::Kill);
        }
        self.leader.reap_later();
        if self.tree_state != TreeState::Left && orphans::come_to_us() {
            let kin = self.kin();
            if let Tracker::Cgroup(leaf) = &mut self.tracker {
                leaf.spend();
            }
            orphans::collect(kin);
        }
    }
}
