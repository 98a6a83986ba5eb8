//! List of the children that must not outlive a host without control groups, in memory that the
//! host guard shares.
//!
//! Each child has a line of fixed width with its process id. It writes the id itself before its
//! program runs, so a host that is killed in between leaves no child that is not listed. It writes
//! through memory: a write to a file, and a file in memory is one, can end the host with SIGXFSZ
//! where the limit of file sizes has been lowered.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::host_guard::{GuardStart, HostGuard};
use super::kept_root::KeptRoot;
use super::listing::{Line, SharedLines};
use super::marker::{Marker, MarkerSource};
use super::proc;
use crate::Leftovers;
use crate::sys::common::Warnings;

const NO_LIST: &str = "no list of children: if this process is killed, children that have removed \
                       their markers live on";

/// Shared list with one line for each child of a containment, and the guard that reads it when the
/// host dies.
#[derive(Debug)]
pub(super) struct PidList {
    /// `None` where the system gives no room for the list.
    lines: Option<SharedLines>,
    used: Mutex<UsedLines>,
    /// Marks the children, so that the guard also finds what they have started.
    markers: MarkerSource,
    _guard: Option<HostGuard>,
    _root: KeptRoot,
}

#[derive(Debug, Default)]
struct UsedLines {
    free: Vec<usize>,
    count: usize,
}

/// Line of one child; given back when this is dropped.
#[derive(Debug)]
pub(super) struct PidSlot {
    list: Arc<PidList>,
    /// `None` once it is given back, and where there is no room: the marker must do then.
    line: Option<usize>,
}

impl PidList {
    pub(super) fn new(start: GuardStart, warnings: &mut Warnings) -> io::Result<Self> {
        let (file, lines) = SharedLines::make()?;
        let lines = lines.map_err(|error| warnings.push(error, NO_LIST)).ok();
        let markers = MarkerSource::new();
        // Numbers in the /proc of another process namespace mean other processes.
        let searched =
            proc::check().map_or_else(|_| Default::default(), |()| markers.bound_prefixes());
        let guard = HostGuard::of_pid_list(file, searched, start, warnings)?;
        Ok(Self { lines, used: Mutex::default(), markers, _guard: guard, _root: KeptRoot::keep() })
    }

    /// Returns the marker of the next child.
    pub(super) fn next_marker(&self, leftovers: Leftovers) -> Marker {
        self.markers.next(leftovers)
    }

    fn take(&self) -> Option<usize> {
        let lines = self.lines.as_ref()?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // The guard reads all lines, so the list must not grow with each child.
        if let Some(number) = used.free.pop() {
            return Some(number);
        }
        let number = used.count;
        lines.append(number).then(|| {
            used.count += 1;
            number
        })
    }

    fn line(&self, number: usize) -> Option<&Line> {
        self.lines.as_ref()?.get(number)
    }

    fn give_back(&self, number: usize) {
        if let Some(line) = self.line(number) {
            line.clear();
        }
        self.used.lock().unwrap_or_else(PoisonError::into_inner).free.push(number);
    }
}

impl PidSlot {
    pub(super) fn new(list: Arc<PidList>) -> Self {
        let line = list.take();
        Self { list, line }
    }

    /// Returns the line that the child writes its id to.
    pub(super) fn line(&self) -> Option<&Line> {
        self.list.line(self.line?)
    }

    /// Removes the id, which the system may soon give to another process.
    pub(super) fn clear(&mut self) {
        if let Some(number) = self.line.take() {
            self.list.give_back(number);
        }
    }
}

impl Drop for PidSlot {
    fn drop(&mut self) {
        self.clear();
    }
}
