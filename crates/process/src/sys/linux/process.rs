//! A child: its main program, and the hold on the tree that comes from it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::cgroup::Leaf;
use super::group;
use super::lineage::Lineage;
use super::main_program::Main;
use super::orphans::{self, Kin};
use super::proc::Stat;
use super::roster::Entry;
use crate::{Exit, Leftovers, Reaped, Signal, Tree, TreeUsage};

#[derive(Debug)]
pub(crate) struct Process {
    main: Main,
    hold: Hold,
    /// Keeps the tree on the list of those that must not outlive the host, where a list does that.
    listed: Option<Entry>,
    leftovers: Leftovers,
    rest: Rest,
}

/// What is known of the tree without looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Unknown,
    /// It was empty at the last look, and the main program has ended.
    Gone,
    /// It has been given up and lives on.
    Left,
}

/// What holds the tree.
#[derive(Debug)]
pub(super) enum Hold {
    Group,
    Tree(Box<Lineage>),
    Cgroup(Leaf),
}

impl Process {
    pub(super) fn new(main: Main, hold: Hold, listed: Option<Entry>, leftovers: Leftovers) -> Self {
        Self { main, hold, listed, leftovers, rest: Rest::Unknown }
    }

    pub(crate) fn id(&self) -> u32 {
        self.main.pid().as_raw_nonzero().get().cast_unsigned()
    }

    pub(crate) fn exit_fd(&self) -> &OwnedFd {
        self.main.exit_fd()
    }

    pub(crate) fn exit(&mut self) -> io::Result<Option<Exit>> {
        self.main.exit()
    }

    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        self.main.cpu_time()
    }

    pub(crate) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        self.main.reap()
    }

    pub(crate) fn tree(&mut self) -> io::Result<Tree> {
        let tree = match &mut self.hold {
            Hold::Group => group::tree(&mut self.main)?,
            Hold::Tree(lineage) => {
                let tree = lineage.tree(&mut self.main)?;
                // Those who are left have their mark.
                if let Some(listed) = &mut self.listed
                    && lineage.has_lost_number()
                {
                    listed.blank();
                }
                tree
            }
            Hold::Cgroup(leaf) => match leaf.tree() {
                Ok(tree) if !tree.is_empty() => tree,
                Ok(_) => {
                    let tree = moved_out(&mut self.main)?;
                    if tree.is_empty() && self.main.exit()?.is_some() {
                        leaf.end();
                    }
                    tree
                }
                // The group was removed, so whoever was in it has been moved elsewhere.
                Err(_) => group::tree(&mut self.main)?,
            },
        };
        if tree.is_empty() && self.main.exit()?.is_some() {
            self.rest = Rest::Gone;
        }
        Ok(tree)
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let Some(number) = rustix::process::Signal::from_named_raw(signal.number()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match &mut self.hold {
            Hold::Group => group::signal(&mut self.main, number),
            Hold::Tree(lineage) => lineage.signal(&mut self.main, number),
            Hold::Cgroup(leaf) => {
                if signal == Signal::Continue {
                    leaf.thaw()?;
                }
                match leaf.signal(number) {
                    Ok(0) | Err(_) => group::signal(&mut self.main, number),
                    reached => reached,
                }
            }
        }
    }

    pub(crate) fn pause(&mut self) -> io::Result<()> {
        match &mut self.hold {
            Hold::Cgroup(leaf) => leaf.freeze(),
            Hold::Group | Hold::Tree(_) => self.signal(Signal::Stop).map(drop),
        }
    }

    pub(crate) fn resume(&mut self) -> io::Result<()> {
        match &mut self.hold {
            Hold::Cgroup(leaf) => leaf.thaw(),
            Hold::Group | Hold::Tree(_) => self.signal(Signal::Continue).map(drop),
        }
    }

    pub(crate) fn tree_usage(&self) -> Option<TreeUsage> {
        match &self.hold {
            Hold::Cgroup(leaf) => leaf.usage(),
            Hold::Group | Hold::Tree(_) => None,
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
        if let Hold::Cgroup(leaf) = &mut self.hold {
            leaf.let_go()?;
        }
        self.rest = Rest::Left;
        Ok(())
    }

    /// Who counts as kin of this child when zombies are collected.
    fn kin(&self) -> Kin {
        let kin = Kin::of(self.main.pid());
        match &self.hold {
            Hold::Group => kin,
            Hold::Tree(lineage) => kin.with_seen(lineage.seen(), lineage.has_lost_number()),
            Hold::Cgroup(leaf) => kin.with_group(leaf.name()),
        }
    }
}

/// An empty group has somebody outside of it if a process has the right to move itself elsewhere,
/// and does. That the main program or its process group did so can be seen.
fn moved_out(main: &mut Main) -> io::Result<Tree> {
    main.reap()?;
    if group::is_lost(main) {
        return Ok(Tree::empty(true));
    }
    // Zombies that nobody collects keep the process group, too.
    let members = group::members(main)?;
    let occupied = members.is_occupied();
    Ok(Tree { occupied, proven: !occupied, ..group::tree_of(&members.alive) })
}

impl Drop for Process {
    /// Kills the tree and leaves the rest to the background.
    fn drop(&mut self) {
        if self.rest == Rest::Unknown && !matches!(self.tree(), Ok(tree) if tree.is_empty()) {
            // One that cannot be signalled is nothing one could act on here.
            let _signalled = self.signal(Signal::Kill);
        }
        self.main.reap_later();
        if self.rest != Rest::Left && orphans::come_to_us() {
            let kin = self.kin();
            if let Hold::Cgroup(leaf) = &mut self.hold {
                leaf.spend();
            }
            orphans::collect(kin);
        }
    }
}
