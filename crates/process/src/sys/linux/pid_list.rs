//! List of the children that must not outlive a host without control groups, in memory that the
//! host guard shares.
//!
//! Each child has a line of fixed width with its process id, or blanks. It writes the id itself
//! before its program runs, so a host that is killed in between leaves no child that is not listed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::env_marker::EnvMarker;
use super::host_guard::HostGuard;
use super::proc;
use crate::Leftovers;

/// Length of a line: a process id of up to 10 digits and a newline.
pub(super) const LINE: usize = 11;
const BLANK: [u8; LINE] = *b"          \n";

/// Shared file with one line for each child of a containment, and the guard that reads it when the
/// host dies.
#[derive(Debug)]
pub(super) struct PidList {
    file: OwnedFd,
    lines: Mutex<LineTable>,
    /// Marks the children, so that the guard also finds what they have started.
    marker: EnvMarker,
    /// Lines that this host may write. Its limit of file sizes is in force for files in memory,
    /// too, and a write beyond it ends the host with SIGXFSZ.
    max_lines: u64,
    _guard: Option<HostGuard>,
}

#[derive(Debug, Default)]
struct LineTable {
    free: Vec<u32>,
    count: u32,
}

/// Line of one child; blank again when this is dropped.
#[derive(Debug)]
pub(super) struct PidSlot {
    list: Arc<PidList>,
    /// `None` once it is given back, and where there is no room: the marker must do then.
    line: Option<u32>,
}

impl PidList {
    pub(super) fn new() -> io::Result<Self> {
        let file = memory_file()?;
        let max_lines = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX) / LINE as u64;
        if max_lines == 0 {
            tracing::warn!(
                "the limit of file sizes leaves no room for a list of children: if this process is \
                 killed, children that have cleared their environment live on"
            );
        }
        let marker = EnvMarker::new();
        // Numbers in the /proc of another process namespace mean other processes.
        let searched = proc::check().map_or_else(|_| String::new(), |()| marker.bound_prefix());
        let guard = HostGuard::of_pid_list(file.as_fd(), &searched)?;
        Ok(Self { file, lines: Mutex::default(), marker, max_lines, _guard: guard })
    }

    /// Returns the marker of the next child.
    pub(super) fn next_marker(&self, leftovers: Leftovers) -> String {
        self.marker.next(leftovers)
    }

    fn take(&self) -> Option<u32> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // The guard reads all lines, so the list must not grow with each child.
        if let Some(line) = lines.free.pop() {
            return Some(line);
        }
        let line = lines.count;
        (u64::from(line) < self.max_lines).then(|| {
            lines.count += 1;
            line
        })
    }

    fn give_back(&self, line: u32) {
        // A write to memory can only fail for want of it. Then the id of an exited process stays.
        let _blank = rustix::io::pwrite(&self.file, &BLANK, offset(line));
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).free.push(line);
    }
}

impl PidSlot {
    pub(super) fn new(list: Arc<PidList>) -> Self {
        let line = list.take();
        Self { list, line }
    }

    /// Returns the file and the offset that the child writes its id to.
    pub(super) fn target(&self) -> Option<(BorrowedFd<'_>, u64)> {
        Some((self.list.file.as_fd(), offset(self.line?)))
    }

    /// Removes the id, which the system may soon give to another process.
    pub(super) fn clear(&mut self) {
        if let Some(line) = self.line.take() {
            self.list.give_back(line);
        }
    }
}

impl Drop for PidSlot {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Creates a file in memory. Systems may refuse one that could be executed (`vm.memfd_noexec=2`),
/// and kernels before 6.3 do not know the flag.
fn memory_file() -> io::Result<OwnedFd> {
    let create = |flags| memfd_create("execution-pid-list", MemfdFlags::CLOEXEC | flags);
    let file = match create(MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => create(MemfdFlags::empty()),
        created => created,
    };
    Ok(file?)
}

fn offset(line: u32) -> u64 {
    u64::from(line) * LINE as u64
}
