//! The open files of control groups. They save system calls, but descriptors are few: so a small
//! part of the limit of open files goes to the groups of this process, and others are read by path.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;

use super::open;
use crate::descriptors;
use crate::sys::linux::own_table::with_descriptors;

/// One group in this process may keep its files open for so many open files that its limit allows.
const FILES_PER_GROUP: u64 = 64;

/// File that tells whether a group has members.
const EVENTS: &str = "cgroup.events";
/// File with the CPU time that a group has counted.
const CPU: &str = "cpu.stat";

/// Number of groups in this process that keep their files open.
static OPEN_GROUPS: AtomicU64 = AtomicU64::new(0);

/// The right of a group to keep its files open.
#[derive(Debug)]
struct OpenSlot(());

impl OpenSlot {
    /// Returns `None` if as many groups have open files as this process can spare.
    fn take() -> Option<Self> {
        let most = descriptors::limit().unwrap_or(0) / FILES_PER_GROUP;
        let taken = OPEN_GROUPS.fetch_add(1, Ordering::Relaxed);
        // Gives it back if it is one too many.
        let slot = Self(());
        (taken < most).then_some(slot)
    }
}

impl Drop for OpenSlot {
    fn drop(&mut self) {
        OPEN_GROUPS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Open files of a group that needs them again and again.
#[derive(Debug)]
pub(super) struct GroupFiles {
    events: OwnedFd,
    cpu: OwnedFd,
    _slot: OpenSlot,
}

impl GroupFiles {
    /// Returns `None` if this process has better use for the descriptors, or none.
    pub(super) fn open(dir: &Path) -> Option<Self> {
        let slot = OpenSlot::take()?;
        let file = |name| open(dir, name, OFlags::RDONLY).ok();
        Some(Self { events: file(EVENTS)?, cpu: file(CPU)?, _slot: slot })
    }
}

/// A group's `cgroup.events`, which reports the changes after its last reading.
#[derive(Debug)]
pub(super) enum EventsFile<'a> {
    Kept(&'a OwnedFd),
    Opened(OwnedFd),
}

impl<'a> EventsFile<'a> {
    pub(super) fn of(dir: &Path, files: Option<&'a GroupFiles>) -> io::Result<Self> {
        match files {
            Some(files) => Ok(Self::Kept(&files.events)),
            None => Ok(Self::Opened(open(dir, EVENTS, OFlags::RDONLY)?)),
        }
    }

    pub(super) fn read(&self) -> io::Result<String> {
        read(self.as_fd())
    }

    pub(super) fn into_fd(self) -> io::Result<OwnedFd> {
        match self {
            Self::Kept(fd) => fd.try_clone(),
            Self::Opened(fd) => Ok(fd),
        }
    }
}

impl AsFd for EventsFile<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Kept(fd) => fd.as_fd(),
            Self::Opened(fd) => fd.as_fd(),
        }
    }
}

/// Returns the text of `cgroup.events`.
pub(super) fn read_events(dir: &Path, files: Option<&GroupFiles>) -> io::Result<String> {
    match files {
        Some(files) => read(files.events.as_fd()),
        None => read_by_path(dir, EVENTS),
    }
}

/// Returns the text of `cpu.stat`.
pub(super) fn read_cpu(dir: &Path, files: Option<&GroupFiles>) -> io::Result<String> {
    match files {
        Some(files) => read(files.cpu.as_fd()),
        None => read_by_path(dir, CPU),
    }
}

/// Reads a file of a group, also if this process has no descriptor left.
pub(super) fn read_by_path(dir: &Path, name: &str) -> io::Result<String> {
    with_descriptors(|| read(open(dir, name, OFlags::RDONLY)?.as_fd()))
}

/// Reads a small file from its beginning, independent of earlier reads.
fn read(file: BorrowedFd<'_>) -> io::Result<String> {
    let mut text = [0_u8; 1024];
    let length = rustix::io::pread(file, &mut text, 0)?;
    Ok(String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned())
}
