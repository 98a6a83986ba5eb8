//! The use of a control group by one child, which gives the group back at its end.

use std::io;
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use tokio::io::Interest;

use super::files::EventsFile;
use super::group::{Cgroup, CpuTimes};
use super::members::{MAX_ROUNDS, alive_below, kill_all, pids_below, send, send_once};
use super::{ParentCgroup, field, write};
use crate::sys::linux::leader::Leader;
use crate::sys::linux::proc::Stat;
use crate::sys::linux::reaper;
use crate::tree::WatchFd;
use crate::{Tree, TreeUsage};

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

    /// Records that the child is inside, which needs no more descriptors than the group keeps.
    pub(in crate::sys::linux) fn has_entered(&mut self) {
        if let Some(group) = &mut self.group {
            group.has_entered();
        }
    }

    fn group_mut(&mut self) -> io::Result<&mut Cgroup> {
        self.group.as_deref_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(in crate::sys::linux) fn tree(&mut self) -> io::Result<Tree> {
        let group = self.group()?;
        let (is_empty, events) = group.look()?;
        if is_empty {
            return Ok(Tree::empty(true));
        }
        // Some systems let this process neither list nor watch the members, and yet they are there.
        // So are members that are exiting, which are not listed any more.
        let (members, is_whole) = alive_below(&group.dir).unwrap_or_default();
        let is_whole = is_whole && !members.is_empty();
        let watch = |fd| WatchFd { fd, ready: Interest::PRIORITY };
        Ok(Tree {
            members: members.iter().map(Stat::member).collect(),
            occupied: true,
            watch: events.and_then(|file| file.into_fd().ok()).map(watch).into_iter().collect(),
            ..Tree::empty(is_whole)
        })
    }

    pub(in crate::sys::linux) fn signal(
        &mut self,
        leader: &Leader,
        signal: Signal,
    ) -> io::Result<u32> {
        let Self { group: Some(group), parent, .. } = self else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if signal == Signal::KILL {
            let count = match pids_below(&group.dir) {
                Ok(listed) => listed.pids.len(),
                // At least one is there, unless the group is out of sight.
                Err(_) => usize::from(!group.is_empty().unwrap_or(true)),
            };
            let is_first = !std::mem::replace(&mut group.is_killed, true);
            group.is_spent = true;
            // Kernels before 5.14 cannot kill a group as a whole, and none of them kills a process
            // whose first thread has ended. So the second time members are killed by id, too.
            if parent.kill(&group.dir).is_ok() && is_first {
                return Ok(u32::try_from(count).unwrap_or(u32::MAX));
            }
        }
        match signal {
            // Also what comes meanwhile: a member that runs on could start others.
            Signal::KILL | Signal::STOP | Signal::CONT => send(&group.dir, signal),
            _ => send_once(&group.dir, leader, signal),
        }
    }

    pub(in crate::sys::linux) fn freeze(&mut self) -> io::Result<()> {
        let group = self.group_mut()?;
        group.is_spent = true;
        group.is_frozen = true;
        write(&group.dir.join("cgroup.freeze"), "1")
    }

    /// Thaws the group; that costs nothing for one that was never frozen.
    pub(in crate::sys::linux) fn thaw(&mut self) -> io::Result<()> {
        if let Some(group) = self.group.as_mut().filter(|group| group.is_frozen) {
            write(&group.dir.join("cgroup.freeze"), "0")?;
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
            let (is_empty, events) = self.group()?.look()?;
            if is_empty {
                return Ok(());
            }
            match round {
                0 | 2 => {}
                1 => {
                    drop(events);
                    // They fork while they are being moved. A member that was moved runs on.
                    self.freeze()?;
                }
                // Threads of a process that is exiting cannot be told from those of one that lives.
                _ => wait_for_exit(events.as_ref()),
            }
            let (members, is_whole) = alive_below(&self.group()?.dir)?;
            if !is_whole {
                return Err(io::Error::other("the groups below this one cannot be listed"));
            }
            // A process that is exiting cannot be moved, and forks no more.
            if members.iter().all(Stat::is_ending) {
                return Ok(());
            }
            for stat in members {
                match write(&own, &stat.pid.to_string()) {
                    // It has exited meanwhile.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    moved => moved?,
                }
            }
        }
        Err(io::Error::other("the members fork faster than they can be moved"))
    }
}

/// Waits for the end of the last member, for a moment.
fn wait_for_exit(events: Option<&EventsFile<'_>>) {
    let mut fds: Vec<_> = events.iter().map(|file| PollFd::new(*file, PollFlags::PRI)).collect();
    let _changed = poll(&mut fds, Some(&EXIT_WAIT));
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
        let _out_of_sight = self.parent.kill(&group.dir);
        let events = group.look().ok().and_then(|(_, events)| events?.into_fd().ok());
        reaper::remove(group.close().dir, events, Some(Arc::clone(&self.parent)));
    }
}
