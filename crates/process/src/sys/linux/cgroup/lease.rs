//! The group of one child.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Signal, pidfd_send_signal};

use super::{ParentCgroup, field, open};
use crate::sys::linux::proc::{self, Stat};
use crate::sys::linux::reaper;
use crate::{Limits, Tree, TreeUsage, WatchFd, WatchReady};

/// How often the list of members is read again while it has new ones.
const MOST_ROUNDS: u32 = 16;
/// How long each of some rounds waits for a process to end.
const ENDS_WITHIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// How many members are held by a descriptor at a time.
const MOST_HELD: usize = 32;

/// In user mode and in the kernel.
pub(super) type CpuTimes = (Duration, Duration);

/// A group with its descriptors; used again for other children when it is empty.
#[derive(Debug)]
pub(in crate::sys::linux) struct Cgroup {
    pub(super) dir: PathBuf,
    fd: OwnedFd,
    events: OwnedFd,
    cpu: Option<OwnedFd>,
    /// What it had counted when the present child came.
    baseline: CpuTimes,
    /// Made for one child, with limits of its own.
    pub(super) is_limited: bool,
    /// Killed as a whole, or frozen. There are kernels that kill whoever is born into a group that
    /// was killed once, and all let those stand still that are born into a frozen one.
    is_spent: bool,
    is_killed: bool,
    is_frozen: bool,
}

impl Cgroup {
    pub(super) fn make(dir: &Path, limits: Option<&Limits>) -> io::Result<Box<Self>> {
        std::fs::create_dir(dir)?;
        Self::open(dir.to_path_buf(), limits).inspect_err(|_| {
            // Nobody is in it yet.
            let _removed = std::fs::remove_dir(dir);
        })
    }

    /// One that was closed after use; it counts from now.
    pub(super) fn reopen(dir: PathBuf) -> io::Result<Box<Self>> {
        let mut group = Self::open(dir, None)?;
        group.baseline = group.cpu().unwrap_or_default();
        Ok(group)
    }

    pub(super) fn close(self) -> PathBuf {
        self.dir
    }

    fn open(dir: PathBuf, limits: Option<&Limits>) -> io::Result<Box<Self>> {
        if let Some(limits) = limits {
            set_limits(&dir, limits)?;
        }
        Ok(Box::new(Self {
            fd: open(&dir, ".", OFlags::RDONLY | OFlags::DIRECTORY)?,
            events: open(&dir, "cgroup.events", OFlags::RDONLY)?,
            cpu: open(&dir, "cpu.stat", OFlags::RDONLY).ok(),
            baseline: (Duration::ZERO, Duration::ZERO),
            is_limited: limits.is_some(),
            is_spent: false,
            is_killed: false,
            is_frozen: false,
            dir,
        }))
    }

    pub(in crate::sys::linux) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The file that a process writes itself into.
    pub(in crate::sys::linux) fn procs(&self) -> io::Result<OwnedFd> {
        open(&self.dir, "cgroup.procs", OFlags::WRONLY)
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(field(&read(self.events.as_fd())?, "populated") == Some(0))
    }

    /// CPU time that it has counted since it was made.
    fn cpu(&self) -> Option<CpuTimes> {
        let stat = read(self.cpu.as_ref()?.as_fd()).ok()?;
        let micros = |key| field(&stat, key).map(Duration::from_micros);
        Some((micros("user_usec")?, micros("system_usec")?))
    }

    /// Makes it ready for the next child, given what it has counted if that is known. False if it
    /// cannot be used again.
    pub(super) fn recycle(&mut self, counted: Option<CpuTimes>) -> bool {
        let has_groups_below = rustix::fs::fstat(&self.fd).is_ok_and(|stat| stat.st_nlink > 2);
        if self.is_limited || self.is_spent || has_groups_below {
            return false;
        }
        if self.cpu.is_some() {
            match counted.or_else(|| self.cpu()) {
                Some(counted) => self.baseline = counted,
                None => return false,
            }
        }
        true
    }

    fn text(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.dir.join(name)).ok()
    }
}

/// Memory beyond the limit kills the tree as a whole: half a tree is of no use to anybody.
fn set_limits(dir: &Path, limits: &Limits) -> io::Result<()> {
    if let Some(bytes) = limits.tree_memory_bytes {
        std::fs::write(dir.join("memory.max"), bytes.to_string())?;
        std::fs::write(dir.join("memory.oom.group"), "1")?;
        // A host without swap accounting has no such file.
        let _unlimited = std::fs::write(dir.join("memory.swap.max"), "0");
    }
    if let Some(count) = limits.tree_processes {
        std::fs::write(dir.join("pids.max"), count.to_string())?;
    }
    Ok(())
}

/// Reads a small file from its beginning, whatever was read before.
fn read(file: BorrowedFd<'_>) -> io::Result<String> {
    let mut text = [0_u8; 1024];
    let length = rustix::io::pread(file, &mut text, 0)?;
    Ok(String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned())
}

/// A group as long as it is a child's.
#[derive(Debug)]
pub(in crate::sys::linux) struct CgroupLease {
    /// Taken when it is dropped.
    group: Option<Box<Cgroup>>,
    parent: Arc<ParentCgroup>,
    /// Whether everybody has gone who could ever come back into it, so that asking again is a waste.
    is_over: bool,
    /// What it had counted by then, once somebody has asked.
    counted: OnceLock<CpuTimes>,
}

impl CgroupLease {
    pub(in crate::sys::linux) fn new(group: Box<Cgroup>, parent: Arc<ParentCgroup>) -> Self {
        Self { group: Some(group), parent, is_over: false, counted: OnceLock::new() }
    }

    pub(in crate::sys::linux) fn group(&self) -> io::Result<&Cgroup> {
        self.group.as_deref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(in crate::sys::linux) fn tree(&mut self) -> io::Result<Tree> {
        let group = self.group()?;
        if group.is_empty()? {
            return Ok(Tree::empty(true));
        }
        // A host that lacks descriptors can neither list nor watch them, and yet they are there. So
        // are those that are ending just now, which are listed no more.
        let listed = members_below(&group.dir);
        let is_whole = listed.as_ref().is_ok_and(|members| !members.is_empty());
        let events = group.events.try_clone().ok();
        Ok(Tree {
            members: listed.unwrap_or_default().iter().map(Stat::member).collect(),
            occupied: true,
            watch: events
                .map(|fd| WatchFd { fd, ready: WatchReady::Priority })
                .into_iter()
                .collect(),
            ..Tree::empty(is_whole)
        })
    }

    pub(in crate::sys::linux) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let group = self.group.as_mut().ok_or(io::ErrorKind::NotFound)?;
        if signal == Signal::KILL {
            let count = pids_below(&group.dir)?.len();
            let is_first = !std::mem::replace(&mut group.is_killed, true);
            group.is_spent = true;
            // Kernels before 5.14 cannot kill a group as a whole. None of them kills a process
            // whose first thread has ended, so whoever is left is killed by id, too.
            if super::kill(&group.dir).is_ok() && is_first {
                return Ok(u32::try_from(count).unwrap_or(u32::MAX));
            }
        }
        send(&group.dir, signal)
    }

    pub(in crate::sys::linux) fn freeze(&mut self) -> io::Result<()> {
        let group = self.group.as_mut().ok_or(io::ErrorKind::NotFound)?;
        group.is_spent = true;
        group.is_frozen = true;
        std::fs::write(group.dir.join("cgroup.freeze"), "1")
    }

    /// Costs nothing for a group that was never frozen.
    pub(in crate::sys::linux) fn thaw(&mut self) -> io::Result<()> {
        match self.group.as_mut().filter(|group| group.is_frozen) {
            None => Ok(()),
            Some(group) => {
                std::fs::write(group.dir.join("cgroup.freeze"), "0")?;
                group.is_frozen = false;
                Ok(())
            }
        }
    }

    /// Lets no other child have this group.
    pub(in crate::sys::linux) fn spend(&mut self) {
        if let Some(group) = &mut self.group {
            group.is_spent = true;
        }
    }

    /// It is empty, and the main program has ended.
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

    /// How the group is called in `/proc/PID/cgroup`, from our own part of the path on.
    pub(in crate::sys::linux) fn name(&self) -> Option<String> {
        let group = self.group.as_ref()?;
        let name = group.dir.strip_prefix(self.parent.own_group()).ok()?;
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

    /// Moves everybody to the host's own group, where they live on.
    pub(in crate::sys::linux) fn let_go(&mut self) -> io::Result<()> {
        let own = self.parent.own_group().join("cgroup.procs");
        for round in 0..MOST_ROUNDS {
            if self.group()?.is_empty()? {
                return Ok(());
            }
            if round == 1 {
                // They fork while they are being moved. Who is moved goes on.
                self.freeze()?;
            }
            if round > 2 {
                // Threads of one that is ending cannot be told from those of one that lives.
                let mut fds = [PollFd::new(&self.group()?.events, PollFlags::PRI)];
                let _changed = poll(&mut fds, Some(&ENDS_WITHIN));
            }
            let group = self.group()?;
            let members = members_below(&group.dir)?;
            // Those that are ending cannot be moved, and start nobody any more.
            if members.iter().all(Stat::is_ending) {
                return Ok(());
            }
            for stat in members {
                match std::fs::write(&own, stat.pid.to_string()) {
                    // Gone meanwhile.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    moved => moved?,
                }
            }
        }
        Err(io::Error::other("they fork faster than they can be moved"))
    }
}

impl Drop for CgroupLease {
    fn drop(&mut self) {
        let Some(group) = self.group.take() else { return };
        if self.is_over || group.is_empty().unwrap_or(false) {
            self.parent.take_back(group, self.counted.take());
            return;
        }
        // One that cannot be killed is removed when it is empty at last.
        kill_all(&group.dir);
        reaper::remove(group.dir, group.events, Arc::clone(&self.parent));
    }
}

/// Kills whoever is in a group or below it, once. One that cannot be killed is no error here.
pub(in crate::sys::linux) fn kill_all(dir: &Path) {
    let _as_a_whole = super::kill(dir);
    let _each = send(dir, Signal::KILL);
}

/// Those who are alive in a group and below it.
fn members_below(dir: &Path) -> io::Result<Vec<Stat>> {
    let stats = pids_below(dir)?.into_iter().filter_map(|pid| Stat::of(pid).transpose());
    stats.filter(|stat| stat.as_ref().map_or(true, Stat::is_alive)).collect()
}

/// The processes in a group and below it.
fn pids_below(dir: &Path) -> io::Result<Vec<i32>> {
    let procs = std::fs::read_to_string(dir.join("cgroup.procs"))?;
    let mut pids: Vec<i32> = procs.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            match pids_below(&entry.path()) {
                // It may be removed at this moment by whoever made it.
                Err(error) if is_removed(&error) => {}
                below => pids.extend(below?),
            }
        }
    }
    Ok(pids)
}

fn is_removed(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// Sends a signal to each member, a few at a time. One that is on the list before it is held and
/// still on it afterwards is a member, and not a stranger with a recycled id.
fn send(dir: &Path, signal: Signal) -> io::Result<u32> {
    let (mut reached, mut failure) = (0, None);
    let mut done: HashSet<i32> = HashSet::new();
    for _ in 0..MOST_ROUNDS {
        let pids = pids_below(dir)?;
        let new: Vec<i32> = pids.into_iter().filter(|pid| !done.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        for some in new.chunks(MOST_HELD) {
            let hold = |pid: &i32| {
                let stat = Stat::of(*pid).transpose()?;
                Some((*pid, stat.and_then(|stat| proc::hold(&stat)).transpose()?))
            };
            let held: Vec<_> = some.iter().filter_map(hold).collect();
            let members = pids_below(dir)?;
            for (pid, pidfd) in held {
                if !members.contains(&pid) {
                    continue;
                }
                match pidfd.and_then(|pidfd| Ok(pidfd_send_signal(pidfd, signal)?)) {
                    Ok(()) => reached += 1,
                    Err(error) => failure = Some(error),
                }
            }
            done.extend(some);
        }
    }
    match failure {
        // One that has ended meanwhile is no failure.
        Some(error) if reached == 0 && error.raw_os_error() != Some(libc::ESRCH) => Err(error),
        _ => Ok(reached),
    }
}
