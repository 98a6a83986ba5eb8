//! The control group that holds those of one containment's children. It keeps empty ones for the
//! next children.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::EventsFile;
use super::group::{Cgroup, ClosedGroup, CpuTimes};
use super::members::kill_group;
use super::{is_removed, kill_all, open, owner, remove};
use rustix::fs::{Mode, OFlags};

use crate::Limits;
use crate::limits::LimitUnavailable;
use crate::sys::common::Warnings;
use crate::sys::linux::host_guard::{GuardStart, HostGuard};
use crate::sys::linux::kept_root::{self, KeptRoot};
use crate::sys::linux::reaper;
use crate::sys::linux::unavailable::Unavailable;

/// Number of empty groups that stay open for the next children. When many run, new children take
/// the groups of those that have just ended; few are idle at a time.
const MAX_OPEN: usize = 8;
/// Number of empty groups that must be opened again, which takes half the time of making one.
const MAX_CLOSED: usize = 248;
/// Groups without limits, and those with.
const PLAIN: &str = "plain";
const LIMITED: &str = "limited";

/// Empty groups for the next children.
#[derive(Debug, Default)]
struct IdleGroups {
    #[expect(clippy::vec_box, reason = "they are handed out and taken back as they are")]
    open: Vec<Box<Cgroup>>,
    /// More, whose descriptors a host has better use for.
    closed: Vec<ClosedGroup>,
}

/// Control group of one containment.
#[derive(Debug)]
pub(in crate::sys::linux) struct ParentCgroup {
    dir: PathBuf,
    /// The directory, where no path leads to it any more.
    top: OwnedFd,
    events: Option<OwnedFd>,
    next: AtomicU32,
    idle: Mutex<IdleGroups>,
    /// The groups with limits have their controllers.
    has_controllers: Mutex<bool>,
    /// Kills the group when this process dies. Dropped after the group is removed.
    _guard: Option<HostGuard>,
    _root: KeptRoot,
}

impl ParentCgroup {
    /// Makes one below this group.
    pub(in crate::sys::linux) fn make(
        parent: Result<PathBuf, Unavailable>,
        start: GuardStart,
        warnings: &mut Warnings,
    ) -> io::Result<Self> {
        let own = parent.map_err(|unavailable| {
            unavailable.passing().unwrap_or_else(|| io::Error::other(unavailable.to_string()))
        })?;
        // Before our own group is made: a host that starts often must not pile up stale groups.
        owner::sweep(&own);
        let dir = own.join(owner::name()?);
        kept_root::create_dir(&dir)?;
        let made = Self::fill(dir.clone(), start, warnings);
        if made.is_err() {
            // It has no members yet.
            let _removed = remove(&dir);
        }
        made
    }

    fn fill(dir: PathBuf, start: GuardStart, warnings: &mut Warnings) -> io::Result<Self> {
        kept_root::create_dir(dir.join(PLAIN))?;
        let guard = HostGuard::of_cgroup(&dir, start, warnings)?;
        let events = Some(EventsFile::of(&dir, None)?.into_fd()?);
        Ok(Self {
            top: open(&dir, ".", OFlags::PATH | OFlags::DIRECTORY)?,
            dir,
            events,
            next: AtomicU32::new(0),
            idle: Mutex::default(),
            has_controllers: Mutex::default(),
            _guard: guard,
            _root: KeptRoot::keep(),
        })
    }

    /// Returns a group for the next child, empty and counting from now.
    pub(in crate::sys::linux) fn group(&self, limits: &Limits) -> io::Result<Box<Cgroup>> {
        if limits.tree_memory_bytes.is_some() || limits.tree_processes.is_some() {
            self.prepare_controllers()?;
            return Cgroup::make(&self.next_dir(LIMITED), Some(limits));
        }
        // To make a group takes longest, so an open one comes first, and then a closed one.
        let closed = {
            let mut idle = self.lock();
            if let Some(group) = idle.open.pop() {
                return Ok(group);
            }
            idle.closed.pop()
        };
        match closed {
            Some(group) => Cgroup::reopen(group),
            None => Cgroup::make(&self.next_dir(PLAIN), None),
        }
    }

    fn next_dir(&self, kind: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.dir.join(kind).join(number.to_string())
    }

    /// Keeps an empty group for the next child, or removes it.
    pub(super) fn take_back(&self, mut group: Box<Cgroup>, counted: Option<CpuTimes>) {
        if group.recycle(counted) {
            let mut idle = self.lock();
            if group.is_open() && idle.open.len() < MAX_OPEN {
                return idle.open.push(group);
            }
            if idle.closed.len() < MAX_CLOSED {
                return idle.closed.push(group.close());
            }
        }
        if let Err(error) = remove(&group.dir) {
            tracing::debug!(%error, "a control group could not be removed");
        }
    }

    /// Returns the group that it is in: the host's own, or the one that was chosen.
    pub(in crate::sys::linux) fn host_group(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    /// Kills all processes in one of its groups as a whole, also if no path leads to it any more: this
    /// process may have another root directory by now, or the mount may be gone.
    pub(super) fn kill(&self, group: &Path) -> io::Result<()> {
        match kill_group(group) {
            Err(error) if is_removed(&error) => {
                let below = group.strip_prefix(&self.dir).map_err(|_| error)?;
                let flags = OFlags::WRONLY | OFlags::CLOEXEC;
                let file = below.join("cgroup.kill");
                let file = rustix::fs::openat(&self.top, file, flags, Mode::empty())?;
                Ok(rustix::io::write(file, b"1").map(drop)?)
            }
            killed => killed,
        }
    }

    /// Passes the controllers that enforce limits on to the groups with limits.
    fn prepare_controllers(&self) -> io::Result<()> {
        let mut has_controllers =
            self.has_controllers.lock().unwrap_or_else(PoisonError::into_inner);
        if *has_controllers {
            return Ok(());
        }
        let limited = self.dir.join(LIMITED);
        match kept_root::create_dir(&limited) {
            // An earlier attempt has failed after this step.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let available = kept_root::read_to_string(self.dir.join("cgroup.controllers"))?;
        let wanted: Vec<_> = ["memory", "pids"]
            .into_iter()
            .filter(|name| available.split_whitespace().any(|available| available == *name))
            .map(|name| format!("+{name}"))
            .collect();
        for dir in [&self.dir, &limited] {
            kept_root::write(dir.join("cgroup.subtree_control"), &wanted.join(" "))?;
        }
        *has_controllers = true;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, IdleGroups> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ParentCgroup {
    fn drop(&mut self) {
        drop(std::mem::take(&mut *self.lock()));
        if remove(&self.dir).is_ok() {
            return;
        }
        // A process is still exiting. The host guard kills and removes the group, too, if this
        // process exits.
        kill_all(&self.dir);
        if let Some(events) = self.events.take() {
            reaper::remove(self.dir.clone(), Some(events), None);
        }
    }
}

/// Checks that the limits of a whole tree can be enforced below this group.
pub(in crate::sys::linux) fn check(
    limits: &Limits,
    parent: Result<PathBuf, Unavailable>,
) -> Result<(), LimitUnavailable> {
    let own = parent.map_err(|unavailable| unavailable.to_string());
    // Groups below can have the controllers that the group of this process passes on.
    let passed_on = own.and_then(|own| {
        kept_root::read_to_string(own.join("cgroup.subtree_control"))
            .map_err(|error| error.to_string())
    });
    for (field, controller, requested) in [
        ("tree_memory_bytes", "memory", limits.tree_memory_bytes),
        ("tree_processes", "pids", limits.tree_processes),
    ] {
        let is_there = |text: &String| text.split_whitespace().any(|name| name == controller);
        if requested.is_some() && !passed_on.as_ref().is_ok_and(is_there) {
            let reason = format!(
                "this host's control group passes no {controller} controller on to groups below it \
                 (cgroup.subtree_control); start the host in one that does, or leave this limit out"
            );
            return Err(LimitUnavailable { field, reason });
        }
    }
    Ok(())
}

/// Returns the directory of the first child's group.
pub(super) fn first_group(dir: &Path) -> PathBuf {
    dir.join(PLAIN).join("0")
}
