//! The list of children that must not outlive the host, in memory that the sentinel shares: one
//! line of fixed width for each, holding its process id or blanks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// A process id of up to 10 digits and a newline.
pub(super) const LINE: usize = 11;
const BLANK: [u8; LINE] = *b"          \n";

#[derive(Debug)]
pub(super) struct PidList {
    file: OwnedFd,
    lines: Mutex<SlotTable>,
    /// How many lines this host may write: its limit of file sizes is in force here, too, and who goes
    /// beyond it is killed.
    most: u64,
}

#[derive(Debug, Default)]
struct SlotTable {
    free: Vec<u32>,
    count: u32,
}

/// One line. The child itself writes its id there before it executes its program; dropped, the
/// line is blank again. The sentinel does not act for as long as there is an entry.
#[derive(Debug)]
pub(super) struct PidSlot {
    roster: Arc<super::host_death::HostGuard>,
    /// None once it is given back, and where there is no room: the mark must do then.
    line: Option<u32>,
}

impl PidList {
    pub(super) fn new() -> io::Result<Self> {
        let file = memory()?;
        let most = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX) / LINE as u64;
        if most == 0 {
            tracing::warn!(
                "the limit of file sizes leaves no room for a list of children: if this process is \
                 killed, those that have cleared their environment live on"
            );
        }
        Ok(Self { file, lines: Mutex::default(), most })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn take(&self) -> Option<u32> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.free.pop() {
            return Some(line);
        }
        let line = lines.count;
        (u64::from(line) < self.most).then(|| {
            lines.count += 1;
            line
        })
    }

    fn give_back(&self, line: u32) {
        // It is memory; a write can only fail for want of that, and then the id stays, of a
        // process that is gone.
        let _blank = rustix::io::pwrite(&self.file, &BLANK, offset(line));
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).free.push(line);
    }
}

impl PidSlot {
    pub(super) fn new(roster: Arc<super::host_death::HostGuard>) -> Self {
        let line = roster.roster().take();
        Self { roster, line }
    }

    /// Where the child is to write its id.
    pub(super) fn place(&self) -> Option<(BorrowedFd<'_>, u64)> {
        Some((self.roster.roster().fd(), offset(self.line?)))
    }

    /// Forgets the id, which may soon be somebody else's.
    pub(super) fn blank(&mut self) {
        if let Some(line) = self.line.take() {
            self.roster.roster().give_back(line);
        }
    }
}

impl Drop for PidSlot {
    fn drop(&mut self) {
        self.blank();
    }
}

/// A file in memory. Systems may refuse one that could be executed (`vm.memfd_noexec=2`), and kernels
/// before 6.3 do not know the flag.
fn memory() -> io::Result<OwnedFd> {
    let make = |flags| memfd_create("execution-roster", MemfdFlags::CLOEXEC | flags);
    let file = match make(MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => make(MemfdFlags::empty()),
        made => made,
    };
    Ok(file?)
}

fn offset(line: u32) -> u64 {
    u64::from(line) * LINE as u64
}
