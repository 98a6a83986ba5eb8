//! What keeps the children of one containment from outliving the host: the sentinel, which is told of
//! each group when it comes and when it is gone.

use std::io;
use std::sync::Arc;

use rustix::process::Pid;

use super::sentinel::Sentinel;
use crate::sys::common;

#[derive(Debug)]
pub(super) struct Keeper {
    sentinel: Option<Sentinel>,
}

impl Keeper {
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
pub(super) struct Entry {
    keeper: Arc<Keeper>,
    group: Pid,
}

impl Entry {
    pub(super) fn new(keeper: Arc<Keeper>, group: Pid) -> Self {
        keeper.tell('+', group);
        Self { keeper, group }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.keeper.tell('-', self.group);
    }
}
