//! One control group with its descriptors. It is used again for other children when it is empty.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::{field, open};
use crate::Limits;

/// CPU time in user mode and in the kernel.
pub(super) type CpuTimes = (Duration, Duration);

/// Control group of one child at a time.
#[derive(Debug)]
pub(in crate::sys::linux) struct Cgroup {
    pub(super) dir: PathBuf,
    fd: OwnedFd,
    pub(super) events: OwnedFd,
    cpu: Option<OwnedFd>,
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

impl Cgroup {
    pub(super) fn make(dir: &Path, limits: Option<&Limits>) -> io::Result<Box<Self>> {
        std::fs::create_dir(dir)?;
        Self::open(dir.to_path_buf(), limits).inspect_err(|_| {
            // It has no members yet.
            let _removed = std::fs::remove_dir(dir);
        })
    }

    /// Opens a group that was closed after use; it counts from now.
    pub(super) fn reopen(dir: PathBuf) -> io::Result<Box<Self>> {
        let mut group = Self::open(dir, None)?;
        // The kernel's counters cannot be reset.
        group.baseline = group.cpu().unwrap_or_default();
        Ok(group)
    }

    pub(super) fn close(self) -> PathBuf {
        self.dir
    }

    fn open(dir: PathBuf, limits: Option<&Limits>) -> io::Result<Box<Self>> {
        if let Some(limits) = limits {
            set_limits(&dir, limits)?;
        }
        Ok(Box::new(Self {
            fd: open(&dir, ".", OFlags::RDONLY | OFlags::DIRECTORY)?,
            events: open(&dir, "cgroup.events", OFlags::RDONLY)?,
            cpu: open(&dir, "cpu.stat", OFlags::RDONLY).ok(),
            baseline: (Duration::ZERO, Duration::ZERO),
            is_limited: limits.is_some(),
            is_spent: false,
            is_killed: false,
            is_frozen: false,
            dir,
        }))
    }

    pub(in crate::sys::linux) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens the file that a process writes itself into.
    pub(in crate::sys::linux) fn procs(&self) -> io::Result<OwnedFd> {
        open(&self.dir, "cgroup.procs", OFlags::WRONLY)
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(field(&read(self.events.as_fd())?, "populated") == Some(0))
    }

    /// Returns the CPU time that the group has counted since it was made.
    pub(super) fn cpu(&self) -> Option<CpuTimes> {
        let stat = read(self.cpu.as_ref()?.as_fd()).ok()?;
        let micros = |key| field(&stat, key).map(Duration::from_micros);
        Some((micros("user_usec")?, micros("system_usec")?))
    }

    /// Prepares it for the next child, with its CPU time if that is known. Returns `false` if it
    /// cannot be used again.
    pub(super) fn recycle(&mut self, counted: Option<CpuTimes>) -> bool {
        // The program may have made groups of its own below.
        let has_groups_below = rustix::fs::fstat(&self.fd).is_ok_and(|stat| stat.st_nlink > 2);
        if self.is_limited || self.is_spent || has_groups_below {
            return false;
        }
        if self.cpu.is_some() {
            match counted.or_else(|| self.cpu()) {
                Some(counted) => self.baseline = counted,
                None => return false,
            }
        }
        true
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.dir.join(name)).ok()
    }
}

/// Sets the limits of a tree. Memory beyond its limit kills the tree as a whole, because half a
/// tree is of no use.
fn set_limits(dir: &Path, limits: &Limits) -> io::Result<()> {
    if let Some(bytes) = limits.tree_memory_bytes {
        std::fs::write(dir.join("memory.max"), bytes.to_string())?;
        std::fs::write(dir.join("memory.oom.group"), "1")?;
        // A host without swap accounting has no such file.
        let _unlimited = std::fs::write(dir.join("memory.swap.max"), "0");
    }
    if let Some(count) = limits.tree_processes {
        std::fs::write(dir.join("pids.max"), count.to_string())?;
    }
    Ok(())
}

/// Reads a small file from its beginning, independent of earlier reads.
fn read(file: BorrowedFd<'_>) -> io::Result<String> {
    let mut text = [0_u8; 1024];
    let length = rustix::io::pread(file, &mut text, 0)?;
    Ok(String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned())
}
