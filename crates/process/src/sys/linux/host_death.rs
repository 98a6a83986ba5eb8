//! Host-death protection of one containment without a control group: the list of its children, the
//! marker in their environments, and the sentinel that uses both.

use std::io;

use super::env_marker::EnvMarker;
use super::pid_list::PidList;
use super::proc;
use super::sentinel::Sentinel;
use crate::sys::sentinel::or_warn;

/// Keeps the children of one containment from outliving the host.
#[derive(Debug)]
pub(super) struct HostGuard {
    pids: PidList,
    marker: EnvMarker,
    _sentinel: Option<Sentinel>,
}

impl HostGuard {
    pub(super) fn new() -> io::Result<Self> {
        let (pids, marker) = (PidList::new()?, EnvMarker::new());
        // Numbers in the /proc of another process namespace mean other processes.
        let searched = proc::check().map_or_else(|_| String::new(), |()| marker.bound_prefix());
        let sentinel = Sentinel::of_pid_list(pids.fd(), &searched);
        Ok(Self { pids, marker, _sentinel: or_warn(sentinel)? })
    }

    pub(super) fn pids(&self) -> &PidList {
        &self.pids
    }

    pub(super) fn marker(&self) -> &EnvMarker {
        &self.marker
    }
}
