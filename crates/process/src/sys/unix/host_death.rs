//! What keeps the children of one containment from outliving the host: the sentinel, which is told of
//! each group when it comes and when it is gone.

use std::io;
use std::sync::Arc;

use rustix::process::Pid;

use super::sentinel::Sentinel;
use crate::sys::common;

#[derive(Debug)]
pub(super) struct HostGuard {
    sentinel: Option<Sentinel>,
}

impl HostGuard {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { sentinel: common::or_warn(Sentinel::start())? })
    }

    fn tell(&self, change: char, group: Pid) {
        if let Some(sentinel) = &self.sentinel {
            sentinel.tell(&format!("{change}{}\n", group.as_raw_nonzero()));
        }
    }
}

/// A group on the list; dropped, it is taken off.
#[derive(Debug)]
pub(super) struct ListedGroup {
    guard: Arc<HostGuard>,
    group: Pid,
}

impl ListedGroup {
    pub(super) fn new(guard: Arc<HostGuard>, group: Pid) -> Self {
        guard.tell('+', group);
        Self { guard, group }
    }
}

impl Drop for ListedGroup {
    fn drop(&mut self) {
        self.guard.tell('-', self.group);
    }
}
