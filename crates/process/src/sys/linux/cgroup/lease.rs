//! The use of a control group by one child, which gives the group back at its end.

use std::io;
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::group::{Cgroup, CpuTimes};
use super::members::{MAX_ROUNDS, alive_below, kill_all, kill_group, pids_below, send};
use super::{ParentCgroup, field};
use crate::sys::linux::proc::Stat;
use crate::sys::linux::reaper;
use crate::{Tree, TreeUsage, WatchFd, WatchReady};

/// Wait for a process to exit, in each of some rounds.
const EXIT_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Control group while it is a child's.
#[derive(Debug)]
pub(in crate::sys::linux) struct CgroupLease {
    /// Taken by the drop.
    group: Option<Box<Cgroup>>,
    parent: Arc<ParentCgroup>,
    /// The group is empty and stays so: the main program has exited.
    is_over: bool,
    /// CPU time at that moment, once it was asked for.
    counted: OnceLock<CpuTimes>,
}

impl CgroupLease {
    pub(in crate::sys::linux) fn new(group: Box<Cgroup>, parent: Arc<ParentCgroup>) -> Self {
        Self { group: Some(group), parent, is_over: false, counted: OnceLock::new() }
    }

    pub(in crate::sys::linux) fn group(&self) -> io::Result<&Cgroup> {
        self.group.as_deref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn group_mut(&mut self) -> io::Result<&mut Cgroup> {
        self.group.as_deref_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(in crate::sys::linux) fn tree(&mut self) -> io::Result<Tree> {
        let group = self.group()?;
        if group.is_empty()? {
            return Ok(Tree::empty(true));
        }
        // A host without descriptors can neither list nor watch the members, and yet they are
        // there. So are members that are exiting, which are not listed any more.
        let listed = alive_below(&group.dir);
        let is_whole = listed.as_ref().is_ok_and(|members| !members.is_empty());
        let watch = |fd| WatchFd { fd, ready: WatchReady::Priority };
        Ok(Tree {
            members: listed.unwrap_or_default().iter().map(Stat::member).collect(),
            occupied: true,
            watch: group.events.try_clone().ok().map(watch).into_iter().collect(),
            ..Tree::empty(is_whole)
        })
    }

    pub(in crate::sys::linux) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let group = self.group_mut()?;
        if signal == Signal::KILL {
            let count = pids_below(&group.dir)?.len();
            let is_first = !std::mem::replace(&mut group.is_killed, true);
            group.is_spent = true;
            // Kernels before 5.14 cannot kill a group as a whole, and none of them kills a process
            // whose first thread has ended. So the second time members are killed by id, too.
            if kill_group(&group.dir).is_ok() && is_first {
                return Ok(u32::try_from(count).unwrap_or(u32::MAX));
            }
        }
        send(&group.dir, signal)
    }

    pub(in crate::sys::linux) fn freeze(&mut self) -> io::Result<()> {
        let group = self.group_mut()?;
        group.is_spent = true;
        group.is_frozen = true;
        std::fs::write(group.dir.join("cgroup.freeze"), "1")
    }

    /// Thaws the group; that costs nothing for one that was never frozen.
    pub(in crate::sys::linux) fn thaw(&mut self) -> io::Result<()> {
        if let Some(group) = self.group.as_mut().filter(|group| group.is_frozen) {
            std::fs::write(group.dir.join("cgroup.freeze"), "0")?;
            group.is_frozen = false;
        }
        Ok(())
    }

    pub(in crate::sys::linux) fn forbid_reuse(&mut self) {
        if let Some(group) = &mut self.group {
            group.is_spent = true;
        }
    }

    /// Records that the group is empty and that the main program has exited.
    pub(in crate::sys::linux) fn end(&mut self) {
        self.is_over = true;
    }

    fn cpu(&self, group: &Cgroup) -> Option<CpuTimes> {
        if !self.is_over {
            return group.cpu();
        }
        let known = self.counted.get().copied();
        known.or_else(|| group.cpu().map(|counted| *self.counted.get_or_init(|| counted)))
    }

    /// Returns the group's name in `/proc/PID/cgroup`, from the host's part of the path on.
    pub(in crate::sys::linux) fn name(&self) -> Option<String> {
        let group = self.group.as_ref()?;
        let name = group.dir.strip_prefix(self.parent.host_group()).ok()?;
        Some(format!("/{}", name.to_str()?))
    }

    pub(in crate::sys::linux) fn usage(&self) -> Option<TreeUsage> {
        let group = self.group.as_ref()?;
        let (user, system) = self.cpu(group)?;
        let mut usage = TreeUsage {
            user: user.saturating_sub(group.baseline.0),
            system: system.saturating_sub(group.baseline.1),
            ..TreeUsage::default()
        };
        if group.is_limited {
            let peak = group.text("memory.peak");
            usage.peak_memory_bytes = peak.and_then(|peak| peak.trim().parse().ok());
            let count = |file, key| group.text(file).and_then(|text| field(&text, key));
            usage.memory_kills = count("memory.events", "oom_kill").unwrap_or(0);
            usage.refused_forks = count("pids.events", "max").unwrap_or(0);
        }
        Some(usage)
    }

    /// Moves all members to the host's own group, where they live on.
    pub(in crate::sys::linux) fn move_members_out(&mut self) -> io::Result<()> {
        let own = self.parent.host_group().join("cgroup.procs");
        for round in 0..MAX_ROUNDS {
            if self.group()?.is_empty()? {
                return Ok(());
            }
            if round == 1 {
                // They fork while they are being moved. A member that was moved runs on.
                self.freeze()?;
            }
            if round > 2 {
                // Threads of a process that is exiting cannot be told from those of one that lives.
                let mut fds = [PollFd::new(&self.group()?.events, PollFlags::PRI)];
                let _changed = poll(&mut fds, Some(&EXIT_WAIT));
            }
            let members = alive_below(&self.group()?.dir)?;
            // A process that is exiting cannot be moved, and forks no more.
            if members.iter().all(Stat::is_ending) {
                return Ok(());
            }
            for stat in members {
                match std::fs::write(&own, stat.pid.to_string()) {
                    // It has exited meanwhile.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    moved => moved?,
                }
            }
        }
        Err(io::Error::other("the members fork faster than they can be moved"))
    }
}

impl Drop for CgroupLease {
    fn drop(&mut self) {
        let Some(group) = self.group.take() else { return };
        if self.is_over || group.is_empty().unwrap_or(false) {
            self.parent.take_back(group, self.counted.take());
            return;
        }
        // A group whose members cannot be killed now is removed when it is empty at last.
        kill_all(&group.dir);
        reaper::remove(group.dir, group.events, Some(Arc::clone(&self.parent)));
    }
}
