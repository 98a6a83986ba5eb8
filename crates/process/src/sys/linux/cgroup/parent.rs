//! The control group that holds those of one containment's children. It keeps empty ones for the
//! next children.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

use super::group::{Cgroup, CpuTimes};
use super::{kill_all, mount, open, owner, remove};
use crate::Limits;
use crate::limits::LimitUnavailable;
use crate::sys::linux::host_guard::HostGuard;
use crate::sys::linux::reaper;

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
    /// Directories of more, whose descriptors a host has better use for.
    closed: Vec<PathBuf>,
}

/// Control group of one containment.
#[derive(Debug)]
pub(in crate::sys::linux) struct ParentCgroup {
    dir: PathBuf,
    events: Option<OwnedFd>,
    next: AtomicU32,
    idle: Mutex<IdleGroups>,
    /// The groups with limits have their controllers.
    has_controllers: Mutex<bool>,
    /// Kills the group when this process dies. Dropped after the group is removed.
    _guard: Option<HostGuard>,
}

impl ParentCgroup {
    pub(in crate::sys::linux) fn make() -> io::Result<Self> {
        let own = mount::own_group().map_err(io::Error::other)?;
        // Before our own group is made: a host that starts often must not pile up stale groups.
        owner::sweep(&own);
        let dir = own.join(owner::name()?);
        std::fs::create_dir(&dir)?;
        let made = Self::fill(dir.clone());
        if made.is_err() {
            // It has no members yet.
            let _removed = remove(&dir);
        }
        made
    }

    fn fill(dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir(dir.join(PLAIN))?;
        let guard = HostGuard::of_cgroup(&dir)?;
        let events = Some(open(&dir, "cgroup.events", OFlags::RDONLY)?);
        Ok(Self {
            dir,
            events,
            next: AtomicU32::new(0),
            idle: Mutex::default(),
            has_controllers: Mutex::default(),
            _guard: guard,
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
            Some(dir) => Cgroup::reopen(dir),
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
            if idle.open.len() < MAX_OPEN {
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

    /// Returns the host's own group.
    pub(in crate::sys::linux) fn host_group(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    /// Drops the idle groups, some of which were removed by others.
    pub(in crate::sys::linux) fn forget_idle(&self) {
        let IdleGroups { open, closed } = std::mem::take(&mut *self.lock());
        for dir in open.into_iter().map(|group| group.close()).chain(closed) {
            let _removed = remove(&dir);
        }
    }

    /// Returns `true` if others have removed it.
    pub(in crate::sys::linux) fn is_removed(&self) -> bool {
        !self.dir.join(PLAIN).exists()
    }

    /// Passes the controllers that enforce limits on to the groups with limits.
    fn prepare_controllers(&self) -> io::Result<()> {
        let mut has_controllers =
            self.has_controllers.lock().unwrap_or_else(PoisonError::into_inner);
        if *has_controllers {
            return Ok(());
        }
        let limited = self.dir.join(LIMITED);
        match std::fs::create_dir(&limited) {
            // An earlier attempt has failed after this step.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let available = std::fs::read_to_string(self.dir.join("cgroup.controllers"))?;
        let wanted: Vec<_> = ["memory", "pids"]
            .into_iter()
            .filter(|name| available.split_whitespace().any(|available| available == *name))
            .map(|name| format!("+{name}"))
            .collect();
        for dir in [&self.dir, &limited] {
            std::fs::write(dir.join("cgroup.subtree_control"), wanted.join(" "))?;
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
            reaper::remove(self.dir.clone(), events, None);
        }
    }
}

/// Checks that the limits of a whole tree can be enforced.
pub(in crate::sys::linux) fn check(limits: &Limits) -> Result<(), LimitUnavailable> {
    let own = mount::own_group();
    // Groups below can have the controllers that the group of this process passes on.
    let passed_on = own.and_then(|own| {
        std::fs::read_to_string(own.join("cgroup.subtree_control"))
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
