//! A child: its main program, and the group that comes from it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::group;
use super::keeper::Entry;
use super::main_program::Main;
use crate::{Exit, Launch, Leftovers, Reaped, Signal, Tree, TreeUsage};

#[derive(Debug)]
pub(crate) struct Process {
    main: Main,
    /// The file it was started from: what it calls itself is not told.
    name: String,
    /// Keeps the group on the list of those that must not outlive the host.
    listed: Option<Entry>,
    leftovers: Leftovers,
    rest: Rest,
}

/// What is known of the group without looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Unknown,
    /// It was empty at the last look, after the end of the main program. Its number may be somebody
    /// else's from then on.
    Gone,
    /// It has been given up and lives on.
    Left,
}

impl Process {
    pub(super) fn new(main: Main, listed: Entry, launch: &Launch) -> Self {
        let name = launch.program.file_name().unwrap_or(launch.program.as_os_str());
        Self {
            main,
            name: name.to_string_lossy().into_owned(),
            listed: Some(listed),
            leftovers: launch.leftovers,
            rest: Rest::Unknown,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.main.pid().as_raw_nonzero().get().cast_unsigned()
    }

    pub(crate) fn exit_fd(&self) -> &Arc<OwnedFd> {
        self.main.exit_fd()
    }

    pub(crate) fn exit(&mut self) -> io::Result<Option<Exit>> {
        self.main.exit()
    }

    /// Not told before a child is reaped.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        None
    }

    pub(crate) fn reap(&mut self) -> io::Result<Option<Reaped>> {
        self.main.reap()
    }

    pub(crate) fn tree(&mut self) -> io::Result<Tree> {
        if self.rest == Rest::Gone {
            return Ok(Tree::empty(false));
        }
        let tree = group::tree(&mut self.main, &self.name)?;
        if tree.is_empty() {
            self.rest = Rest::Gone;
            self.listed = None;
        }
        Ok(tree)
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let Some(number) = rustix::process::Signal::from_named_raw(signal.number()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match self.rest {
            Rest::Gone => Ok(0),
            Rest::Unknown | Rest::Left => group::signal(&mut self.main, number),
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
        self.rest = Rest::Left;
        Ok(())
    }
}

impl Drop for Process {
    /// Kills the group and leaves the rest to the background.
    fn drop(&mut self) {
        if self.rest == Rest::Unknown && !matches!(self.tree(), Ok(tree) if tree.is_empty()) {
            // One that cannot be signalled is nothing one could act on here.
            let _signalled = self.signal(Signal::Kill);
        }
        self.main.reap_later();
    }
}
