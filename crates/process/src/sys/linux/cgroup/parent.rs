//! The group that holds those of one containment, and the removal of what dead hosts have left.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::lease::CpuTimes;
use super::{Cgroup, kill_all, mount, open, remove};
use crate::Limits;
use crate::limits::LimitUnavailable;
use crate::sys::linux::env_marker::random_name;
use crate::sys::linux::proc::Stat;
use crate::sys::linux::sentinel::Sentinel;
use crate::sys::sentinel::or_warn;

const PREFIX: &str = "execution-engine.";
/// How many empty groups are kept open for the next children. When many run, those who come take
/// the groups of those who have just gone; few lie idle at a time.
const MOST_READY: usize = 8;
/// How many are kept that must be opened again, which takes half the time of making one.
const MOST_CLOSED: usize = 248;
/// The groups without limits, and those with.
const PLAIN: &str = "plain";
const LIMITED: &str = "limited";

/// Empty groups for the next children.
#[derive(Debug, Default)]
struct Idle {
    #[expect(clippy::vec_box, reason = "they are handed out and taken back as they are")]
    ready: Vec<Box<Cgroup>>,
    /// Directories of more, whose descriptors a host has better use for.
    closed: Vec<PathBuf>,
}

#[derive(Debug)]
pub(in crate::sys::linux) struct ParentCgroup {
    dir: PathBuf,
    events: Option<OwnedFd>,
    next: AtomicU32,
    idle: Mutex<Idle>,
    /// Whether the groups with limits have their controllers.
    controlled: Mutex<bool>,
    /// Kills the group when this process goes away. Dropped after the group is removed.
    _sentinel: Option<Sentinel>,
}

impl ParentCgroup {
    pub(in crate::sys::linux) fn make() -> io::Result<Self> {
        let own = mount::own_group().map_err(io::Error::other)?;
        sweep(&own);
        let dir = own.join(name()?);
        std::fs::create_dir(&dir)?;
        let made = Self::fill(dir.clone());
        if made.is_err() {
            // Nobody is in it yet.
            let _removed = remove(&dir);
        }
        made
    }

    fn fill(dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir(dir.join(PLAIN))?;
        let sentinel = Sentinel::of_cgroup(&dir);
        let events = Some(open(&dir, "cgroup.events", OFlags::RDONLY)?);
        Ok(Self {
            dir,
            events,
            next: AtomicU32::new(0),
            idle: Mutex::default(),
            controlled: Mutex::default(),
            _sentinel: or_warn(sentinel)?,
        })
    }

    /// A group for the next child, empty and counting from now.
    pub(in crate::sys::linux) fn group(&self, limits: &Limits) -> io::Result<Box<Cgroup>> {
        if limits.tree_memory_bytes.is_some() || limits.tree_processes.is_some() {
            self.prepare_controllers()?;
            return Cgroup::make(&self.next_dir(LIMITED), Some(limits));
        }
        let closed = {
            let mut idle = self.lock();
            if let Some(group) = idle.ready.pop() {
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

    pub(super) fn take_back(&self, mut group: Box<Cgroup>, counted: Option<CpuTimes>) {
        if group.recycle(counted) {
            let mut idle = self.lock();
            if idle.ready.len() < MOST_READY {
                return idle.ready.push(group);
            }
            if idle.closed.len() < MOST_CLOSED {
                return idle.closed.push(group.close());
            }
        }
        if let Err(error) = remove(&group.dir) {
            tracing::debug!(%error, "a control group could not be removed");
        }
    }

    pub(in crate::sys::linux) fn own_group(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    /// Keeps no empty groups any more: some are gone.
    pub(in crate::sys::linux) fn forget_idle(&self) {
        let Idle { ready, closed } = std::mem::take(&mut *self.lock());
        for dir in ready.into_iter().map(|group| group.close()).chain(closed) {
            let _removed = remove(&dir);
        }
    }

    /// Whether somebody has removed it.
    pub(in crate::sys::linux) fn is_gone(&self) -> bool {
        !self.dir.join(PLAIN).exists()
    }

    /// Lets the groups with limits have the controllers that enforce them.
    fn prepare_controllers(&self) -> io::Result<()> {
        let mut controlled = self.controlled.lock().unwrap_or_else(PoisonError::into_inner);
        if *controlled {
            return Ok(());
        }
        let limited = self.dir.join(LIMITED);
        match std::fs::create_dir(&limited) {
            // An attempt before this one has come no further.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let there = controllers(&self.dir)?;
        let wanted: Vec<_> = ["memory", "pids"]
            .into_iter()
            .filter(|name| there.contains(&(*name).to_string()))
            .map(|name| format!("+{name}"))
            .collect();
        for dir in [&self.dir, &limited] {
            std::fs::write(dir.join("cgroup.subtree_control"), wanted.join(" "))?;
        }
        *controlled = true;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ParentCgroup {
    fn drop(&mut self) {
        drop(std::mem::take(&mut *self.lock()));
        if remove(&self.dir).is_ok() {
            return;
        }
        // A process is still ending; the sentinel kills and removes it, too, if this process ends.
        kill_all(&self.dir);
        if let Some(events) = self.events.take() {
            super::super::reaper::remove_last(self.dir.clone(), events);
        }
    }
}

/// Which controllers a group below `dir` could have.
fn controllers(dir: &Path) -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string(dir.join("cgroup.controllers"))?;
    Ok(text.split_whitespace().map(str::to_string).collect())
}

/// Whether the limits of a whole tree can be enforced.
pub(in crate::sys::linux) fn check(limits: &Limits) -> Result<(), LimitUnavailable> {
    let own = mount::own_group();
    // What the group of this process passes on is what groups below it can have.
    let passed_on = own.and_then(|own| {
        std::fs::read_to_string(own.join("cgroup.subtree_control"))
            .map_err(|error| error.to_string())
    });
    for (field, controller, asked) in [
        ("tree_memory_bytes", "memory", limits.tree_memory_bytes),
        ("tree_processes", "pids", limits.tree_processes),
    ] {
        let is_there = |text: &String| text.split_whitespace().any(|name| name == controller);
        if asked.is_some() && !passed_on.as_ref().is_ok_and(is_there) {
            let reason = format!(
                "this host's control group passes no {controller} controller on to groups below it \
                 (cgroup.subtree_control); start the host in one that does, or leave this limit out"
            );
            return Err(LimitUnavailable { field, reason });
        }
    }
    Ok(())
}

/// Where the first child's group is.
pub(super) fn first_leaf(dir: &Path) -> PathBuf {
    dir.join(PLAIN).join("0")
}

/// Says whose it is: pid, start time and pid namespace of the host, and a random part.
pub(super) fn name() -> io::Result<String> {
    let pid = std::process::id();
    let me = Stat::of(pid.cast_signed())?.ok_or(io::ErrorKind::NotFound)?;
    Ok(format!("{PREFIX}{pid}.{}.{}.{}", me.started, pid_namespace(), random_name()))
}

fn pid_namespace() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino())
}

/// Removes the groups of hosts that have died together with their sentinel.
fn sweep(own: &Path) {
    let namespace = pid_namespace();
    let Ok(entries) = std::fs::read_dir(own) else { return };
    for entry in entries.flatten() {
        let dead = entry.file_name().to_str().is_some_and(|name| is_dead(name, namespace));
        if dead {
            // Who was still in it is dying; the next sweep removes what this one cannot.
            kill_all(&entry.path());
            let _removed = remove(&entry.path());
        }
    }
}

/// Whether a group of this name belonged to a host that is gone. Hosts of other pid namespaces
/// cannot be seen from here, so theirs are left alone.
fn is_dead(name: &str, namespace: u64) -> bool {
    let Some(owner) = name.strip_prefix(PREFIX) else { return false };
    let mut parts = owner.split('.');
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (Some(pid), Some(started), Some(of)) = (number(), number(), number()) else { return false };
    let Ok(pid) = i32::try_from(pid) else { return false };
    let is_other = |stat: Stat| stat.started != started || !stat.is_alive();
    // Other users may be hidden in /proc, and yet be there.
    let is_gone = || Pid::from_raw(pid).map(test_kill_process) == Some(Err(Errno::SRCH));
    // Who cannot be looked at may be alive.
    of == namespace && Stat::of(pid).is_ok_and(|stat| stat.map_or_else(is_gone, is_other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_of_dead_hosts_are_swept() {
        let (me, namespace) = (name().unwrap(), pid_namespace());
        assert!(!is_dead(&me, namespace), "{me} is alive");
        let pid = std::process::id();
        assert!(
            is_dead(&format!("{PREFIX}{pid}.1.{namespace}.x"), namespace),
            "another start time"
        );
        assert!(!is_dead(&format!("{PREFIX}{pid}.1.{namespace}.x"), namespace + 1), "elsewhere");
        let nobody = format!("{PREFIX}{}.1.{namespace}.x", i32::MAX);
        assert!(is_dead(&nobody, namespace), "no process has this number");
        assert!(!is_dead("system.slice", namespace));
        assert!(!is_dead(&format!("{PREFIX}garbage"), namespace));
    }
}
