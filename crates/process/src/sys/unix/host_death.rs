//! Host-death protection of one containment: the sentinel, and the groups on its list.

use std::io;
use std::sync::Arc;

use rustix::process::Pid;

use super::sentinel::Sentinel;
use crate::sys::sentinel::or_warn;

/// Keeps the children of one containment from outliving the host.
#[derive(Debug)]
pub(super) struct HostGuard {
    sentinel: Option<Sentinel>,
}

impl HostGuard {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { sentinel: or_warn(Sentinel::start())? })
    }

    fn send(&self, change: char, group: Pid) {
        if let Some(sentinel) = &self.sentinel {
            sentinel.send(&format!("{change}{}\n", group.as_raw_nonzero()));
        }
    }
}

/// Process group on the sentinel's list; the drop takes it off.
#[derive(Debug)]
pub(super) struct ListedGroup {
    guard: Arc<HostGuard>,
    group: Pid,
}

impl ListedGroup {
    pub(super) fn new(guard: Arc<HostGuard>, group: Pid) -> Self {
        guard.send('+', group);
        Self { guard, group }
    }
}

impl Drop for ListedGroup {
    fn drop(&mut self) {
        self.guard.send('-', self.group);
    }
}
