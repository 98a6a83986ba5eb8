//! A child: its main program, and the hold on the tree that comes from it.

use std::io;
use std::os::fd::BorrowedFd;

use super::cgroup::Leaf;
use super::group;
use super::lineage::Lineage;
use super::main_program::Main;
use super::orphans;
use super::roster::Entry;
use crate::{Exit, Leftovers, Reaped, Signal, Tree, TreeUsage};

#[derive(Debug)]
pub(crate) struct Process {
    main: Main,
    hold: Hold,
    /// Keeps the tree on the list of those that must not outlive the host, where a list does that.
    _listed: Option<Entry>,
    leftovers: Leftovers,
    /// Whether the rest of the tree has been given up and lives on.
    left: bool,
}

/// What holds the tree.
#[derive(Debug)]
pub(super) enum Hold {
    Group,
    Tree(Lineage),
    Cgroup(Leaf),
}

impl Process {
    pub(super) fn new(main: Main, hold: Hold, listed: Option<Entry>, leftovers: Leftovers) -> Self {
        Self { main, hold, _listed: listed, leftovers, left: false }
    }

    pub(crate) fn id(&self) -> u32 {
        self.main.pid().as_raw_nonzero().get().cast_unsigned()
    }

    pub(crate) fn exit_fd(&self) -> BorrowedFd<'_> {
        self.main.exit_fd()
    }

    pub(crate) fn exit(&mut self) -> io::Result<Option<Exit>> {
        self.main.exit()
    }

    pub(crate) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        let reaped = self.main.reap()?;
        if reaped.is_some() {
            orphans::reap(self.main.pid());
        }
        Ok(reaped)
    }

    pub(crate) fn tree(&mut self) -> io::Result<Tree> {
        match &mut self.hold {
            Hold::Group => group::tree(&mut self.main),
            Hold::Tree(lineage) => lineage.tree(&mut self.main),
            Hold::Cgroup(leaf) => leaf.tree(),
        }
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let Some(number) = rustix::process::Signal::from_named_raw(signal.number()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match &mut self.hold {
            Hold::Group => group::signal(&mut self.main, number),
            Hold::Tree(lineage) => lineage.signal(&mut self.main, number),
            Hold::Cgroup(leaf) => leaf.signal(number),
        }
    }

    pub(crate) fn pause(&mut self) -> io::Result<()> {
        match &self.hold {
            Hold::Cgroup(leaf) => leaf.freeze(true),
            Hold::Group | Hold::Tree(_) => self.signal(Signal::Stop).map(drop),
        }
    }

    pub(crate) fn resume(&mut self) -> io::Result<()> {
        match &self.hold {
            Hold::Cgroup(leaf) => leaf.freeze(false),
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
        if let Hold::Cgroup(leaf) = &mut self.hold {
            leaf.let_go()?;
        }
        self.left = true;
        Ok(())
    }
}

impl Drop for Process {
    /// Kills the tree and leaves the rest to the background.
    fn drop(&mut self) {
        let is_gone = self.left || matches!(self.tree(), Ok(tree) if tree.is_empty());
        if !is_gone {
            // One that cannot be signalled is nothing one could act on here.
            let _signalled = self.signal(Signal::Kill);
        }
        self.main.reap_later();
    }
}
