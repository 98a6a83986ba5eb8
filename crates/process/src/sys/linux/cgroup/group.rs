//! One control group. It is used again for other children when it is empty.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::files::{self, EventsFile, GroupFiles};
use super::{field, open};
use crate::Limits;
use crate::sys::linux::kept_root;

/// CPU time in user mode and in the kernel.
pub(super) type CpuTimes = (Duration, Duration);

/// Control group of one child at a time.
#[derive(Debug)]
pub(in crate::sys::linux) struct Cgroup {
    pub(super) dir: PathBuf,
    /// Descriptor of the directory, while a child is to enter.
    entry: Option<OwnedFd>,
    /// None if the group's files are opened when they are read.
    files: Option<GroupFiles>,
    /// CPU time that it had counted when the present child came: a group goes on counting.
    pub(super) baseline: CpuTimes,
    /// Made for one child, with limits of its own.
    pub(super) is_limited: bool,
    /// Not to be used again, because it was killed as a whole or frozen. Kernels since early 2025
    /// kill a process that is created in a group that was killed once, and every kernel freezes one
    /// that is created in a frozen group.
    pub(super) is_spent: bool,
    pub(super) is_killed: bool,
    pub(super) is_frozen: bool,
}

/// An empty group without descriptors.
#[derive(Debug)]
pub(super) struct ClosedGroup {
    pub(super) dir: PathBuf,
    /// CPU time that it has counted.
    baseline: CpuTimes,
}

impl Cgroup {
    pub(super) fn make(dir: &Path, limits: Option<&Limits>) -> io::Result<Box<Self>> {
        kept_root::create_dir(dir)?;
        Self::open(dir.to_path_buf(), limits).inspect_err(|_| {
            // It has no members yet.
            let _removed = kept_root::remove_dir(dir);
        })
    }

    /// Opens a group that was closed after use; it counts from there.
    pub(super) fn reopen(closed: ClosedGroup) -> io::Result<Box<Self>> {
        let mut group = Self::open(closed.dir, None)?;
        group.baseline = closed.baseline;
        Ok(group)
    }

    pub(super) fn close(self) -> ClosedGroup {
        ClosedGroup { dir: self.dir, baseline: self.baseline }
    }

    fn open(dir: PathBuf, limits: Option<&Limits>) -> io::Result<Box<Self>> {
        if let Some(limits) = limits {
            set_limits(&dir, limits)?;
        }
        Ok(Box::new(Self {
            entry: Some(open(&dir, ".", OFlags::RDONLY | OFlags::DIRECTORY)?),
            files: GroupFiles::open(&dir),
            baseline: (Duration::ZERO, Duration::ZERO),
            is_limited: limits.is_some(),
            is_spent: false,
            is_killed: false,
            is_frozen: false,
            dir,
        }))
    }

    /// Returns the descriptor of the directory, for a child that is to enter.
    pub(in crate::sys::linux) fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        self.entry.as_ref().map(|fd| fd.as_fd()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Closes what only a child that is to enter needs, if the process has better use for it.
    pub(super) fn has_entered(&mut self) {
        if self.files.is_none() {
            self.entry = None;
        }
    }

    /// Returns `true` if it is ready for the next child.
    pub(super) fn is_open(&self) -> bool {
        self.files.is_some()
    }

    /// Opens the file that a process writes itself into.
    pub(in crate::sys::linux) fn procs(&self) -> io::Result<OwnedFd> {
        open(&self.dir, "cgroup.procs", OFlags::WRONLY)
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(is_unpopulated(&files::read_events(&self.dir, self.files.as_ref())?))
    }

    /// Returns `true` if the group is empty, and the file that reports its next change. Without a
    /// descriptor there is no file.
    pub(super) fn look(&self) -> io::Result<(bool, Option<EventsFile<'_>>)> {
        match EventsFile::of(&self.dir, self.files.as_ref()) {
            // A file that was never read reports a change at once.
            Ok(events) => Ok((is_unpopulated(&events.read()?), Some(events))),
            Err(_) => Ok((self.is_empty()?, None)),
        }
    }

    /// Returns the CPU time that the group has counted since it was made.
    pub(super) fn cpu(&self) -> Option<CpuTimes> {
        let stat = files::read_cpu(&self.dir, self.files.as_ref()).ok()?;
        let micros = |key| field(&stat, key).map(Duration::from_micros);
        Some((micros("user_usec")?, micros("system_usec")?))
    }

    /// Prepares it for the next child, with its CPU time if that is known. Returns `false` if it
    /// cannot be used again.
    pub(super) fn recycle(&mut self, counted: Option<CpuTimes>) -> bool {
        // The program may have made groups of its own below.
        let has_groups_below = kept_root::stat(&self.dir).is_ok_and(|stat| stat.st_nlink > 2);
        if self.is_limited || self.is_spent || has_groups_below {
            return false;
        }
        // The kernel's counters cannot be reset.
        let Some(counted) = counted.or_else(|| self.cpu()) else { return false };
        self.baseline = counted;
        true
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        files::read_by_path(&self.dir, name).ok()
    }
}

/// Sets the limits of a tree. Memory beyond its limit kills the tree as a whole, because half a
/// tree is of no use.
fn set_limits(dir: &Path, limits: &Limits) -> io::Result<()> {
    if let Some(bytes) = limits.tree_memory_bytes {
        kept_root::write(dir.join("memory.max"), &bytes.to_string())?;
        kept_root::write(dir.join("memory.oom.group"), "1")?;
        // A host without swap accounting has no such file.
        let _unlimited = kept_root::write(dir.join("memory.swap.max"), "0");
    }
    if let Some(count) = limits.tree_processes {
        kept_root::write(dir.join("pids.max"), &count.to_string())?;
    }
    Ok(())
}

/// Returns `true` if a group with this `cgroup.events` has no members.
pub(super) fn is_unpopulated(events: &str) -> bool {
    field(events, "populated") == Some(0)
}
