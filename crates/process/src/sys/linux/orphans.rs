//! The zombies of a tree in a host that is process 1 or a subreaper, which inherits the orphans of
//! its children.

use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Pid;

use super::leader::{Wait, wait};
use super::proc::{self, Stat};
use super::reaper;
use super::signalling::pidfd_of;

/// This process is process 1.
static IS_INIT: AtomicBool = AtomicBool::new(false);

/// Notes whether this process is process 1. Done for each containment, since a fork has another id.
pub(super) fn note_own_id() {
    IS_INIT.store(std::process::id() == 1, Ordering::Relaxed);
}

/// Returns `true` if orphans below this process become its children.
pub(super) fn come_to_us() -> bool {
    if IS_INIT.load(Ordering::Relaxed) {
        return true;
    }
    let mut is_subreaper: libc::c_int = 0;
    // SAFETY: the kernel stores one integer at the address.
    let answer = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut is_subreaper) };
    answer == 0 && is_subreaper != 0
}

/// Filter for the processes of one tree, by what can be read of a zombie: its environment is gone.
#[derive(Debug)]
pub(super) struct OrphanFilter {
    /// Number of a group and a session. `None` if it may be a stranger's.
    leader: Option<i32>,
    /// Members by id and start time.
    seen: HashSet<(i32, u64)>,
    /// End of the path of a control group.
    cgroup: Option<String>,
    /// In clock ticks since boot. A process that started later has a recycled number.
    until: u64,
}

impl OrphanFilter {
    /// Accepts the process group of this leader, and its session if it leads one.
    pub(super) fn of(leader: Pid) -> Self {
        let leader = Some(leader.as_raw_nonzero().get());
        Self { leader, seen: HashSet::new(), cgroup: None, until: proc::now() }
    }

    pub(super) fn with_seen(self, seen: &HashSet<(i32, u64)>, has_lost_number: bool) -> Self {
        let leader = self.leader.filter(|_| !has_lost_number);
        Self { leader, seen: seen.clone(), ..self }
    }

    pub(super) fn with_cgroup(self, cgroup: Option<String>) -> Self {
        Self { cgroup, ..self }
    }

    fn accepts(&self, stat: &Stat) -> bool {
        let is_member = [stat.session, stat.group].map(Some).contains(&self.leader)
            || self.seen.contains(&(stat.pid, stat.started))
            || self.cgroup.as_ref().is_some_and(|cgroup| is_in(stat.pid, cgroup));
        is_member && stat.started <= self.until
    }

    /// Reaps the tree's zombies that are children of this process, each by its id: other children
    /// are left to the host. Returns `true` if no process is left that may still become one.
    pub(super) fn reap(&self) -> bool {
        let me = std::process::id().cast_signed();
        let Ok(members) = proc::all(|stat| self.accepts(stat)) else { return false };
        let is_reaped = |stat: &Stat| {
            let is_zombie = stat.parent == me && !stat.is_alive();
            is_zombie && reap(stat).is_some()
        };
        members.iter().filter(|stat| !is_reaped(stat)).count() == 0
    }
}

fn reap(zombie: &Stat) -> Option<()> {
    let pidfd = pidfd_of(zombie).ok()??;
    // Other code in the host may have been faster.
    wait(pidfd.as_fd(), Wait::Collect).is_ok().then_some(())
}

/// Returns `true` if a process is in the control group; a zombie stays in the one it died in.
fn is_in(pid: i32, cgroup: &str) -> bool {
    let groups = proc::read(pid, "cgroup").unwrap_or_default();
    let groups = String::from_utf8_lossy(&groups);
    let path = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.split_once(cgroup).is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('/'))
}

/// Reaps the zombies that there are, and leaves those that come within moments to the background.
pub(super) fn collect(filter: OrphanFilter) {
    if !filter.reap() {
        reaper::collect(filter);
    }
}

/// Arranges that these processes are reaped when they exit, whenever that is.
pub(super) fn adopt(left: impl Iterator<Item = Stat>) {
    left.filter_map(|stat| pidfd_of(&stat).ok().flatten()).for_each(reaper::reap);
}
