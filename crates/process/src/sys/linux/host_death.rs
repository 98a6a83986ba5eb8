//! What keeps the children of one containment from outliving the host where there is no control
//! group: the list of them, and the sentinel that reads it.

use std::io;

use super::env_marker::EnvMarker;
use super::pid_list::PidList;
use super::sentinel::Sentinel;
use crate::sys::common;

#[derive(Debug)]
pub(super) struct HostGuard {
    roster: PidList,
    marks: EnvMarker,
    _sentinel: Option<Sentinel>,
}

impl HostGuard {
    pub(super) fn new() -> io::Result<Self> {
        let (roster, marks) = (PidList::new()?, EnvMarker::new());
        let sentinel = Sentinel::of_roster(roster.fd(), &marks.bound());
        Ok(Self { roster, marks, _sentinel: common::or_warn(sentinel)? })
    }

    pub(super) fn roster(&self) -> &PidList {
        &self.roster
    }

    pub(super) fn marks(&self) -> &EnvMarker {
        &self.marks
    }
}
