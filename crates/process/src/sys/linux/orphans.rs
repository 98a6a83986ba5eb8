//! A host that is process 1 or a subreaper inherits the orphans of its children, and their zombies.

use std::collections::HashSet;
use std::os::fd::AsFd as _;

use rustix::process::Pid;

use super::leader::{Wait, wait};
use super::proc::{self, Stat};
use super::reaper;

/// Whether orphans below this process become its children.
pub(super) fn come_to_us() -> bool {
    if std::process::id() == 1 {
        return true;
    }
    let mut is_subreaper: libc::c_int = 0;
    // SAFETY: the kernel stores one integer at the address.
    let answer = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut is_subreaper) };
    answer == 0 && is_subreaper != 0
}

/// Who comes from one child, as far as that can be told of a zombie, whose environment is gone.
#[derive(Debug)]
pub(super) struct OrphanFilter {
    /// The number of a group and a session; none if it may be somebody else's.
    leader: Option<i32>,
    /// By id and start time.
    seen: HashSet<(i32, u64)>,
    /// The end of the path of a control group.
    group: Option<String>,
    /// In clock ticks since the system started; who is younger has come by a recycled number.
    until: u64,
}

impl OrphanFilter {
    /// The process group of this one, and its session if it leads one.
    pub(super) fn of(leader: Pid) -> Self {
        let leader = Some(leader.as_raw_nonzero().get());
        Self { leader, seen: HashSet::new(), group: None, until: proc::now() }
    }

    pub(super) fn with_seen(self, seen: &HashSet<(i32, u64)>, has_lost_number: bool) -> Self {
        let leader = self.leader.filter(|_| !has_lost_number);
        Self { leader, seen: seen.clone(), ..self }
    }

    pub(super) fn with_group(self, group: Option<String>) -> Self {
        Self { group, ..self }
    }

    fn includes(&self, stat: &Stat) -> bool {
        let is_kin = [stat.session, stat.group].map(Some).contains(&self.leader)
            || self.seen.contains(&(stat.pid, stat.started))
            || self.group.as_ref().is_some_and(|group| is_in(stat.pid, group));
        is_kin && stat.started <= self.until
    }

    /// Reaps those that have become zombies of this process, each by its id: other children are
    /// none of our business. Whether nobody is left who may still become one.
    pub(super) fn reap(&self) -> bool {
        let me = std::process::id().cast_signed();
        let Ok(kin) = proc::all(|stat| self.includes(stat)) else { return false };
        let is_reaped = |stat: &Stat| {
            let is_zombie = stat.parent == me && !stat.is_alive();
            is_zombie && reap(stat).is_some()
        };
        kin.iter().filter(|stat| !is_reaped(stat)).count() == 0
    }
}

fn reap(zombie: &Stat) -> Option<()> {
    let pidfd = proc::hold(zombie).ok()??;
    // Somebody else may have been faster.
    wait(pidfd.as_fd(), Wait::Collect).is_ok().then_some(())
}

/// A zombie stays in the group it died in.
fn is_in(pid: i32, group: &str) -> bool {
    let groups = std::fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let groups = String::from_utf8_lossy(&groups);
    let path = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.split_once(group).is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('/'))
}

/// Reaps the zombies that there are, and leaves those that come within moments to the background.
pub(super) fn collect(kin: OrphanFilter) {
    if !kin.reap() {
        reaper::collect(kin);
    }
}

/// Sees to it that these are reaped when they end, whenever that is.
pub(super) fn adopt(left: impl Iterator<Item = Stat>) {
    left.filter_map(|stat| proc::hold(&stat).ok().flatten()).for_each(reaper::reap);
}
