//! The group of one child.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::Signal;

use super::{Parent, field, open};
use crate::sys::linux::proc::{self, Held, Stat};
use crate::sys::linux::reaper;
use crate::{Limits, Tree, TreeUsage, WatchFd, WatchReady};

/// How often the list of members is read again while it has new ones.
const MOST_ROUNDS: u32 = 16;

/// A group with its descriptors; used again for other children when it is empty.
#[derive(Debug)]
pub(in crate::sys::linux) struct Group {
    pub(super) dir: PathBuf,
    fd: OwnedFd,
    events: OwnedFd,
    cpu: Option<OwnedFd>,
    /// What it had counted when the present child came.
    baseline: (Duration, Duration),
    /// Made for one child, with limits of its own.
    pub(super) is_limited: bool,
    /// Killed as a whole. There are kernels that kill whoever is born into it from then on.
    is_spent: bool,
}

impl Group {
    pub(super) fn make(dir: &Path, limits: Option<&Limits>) -> io::Result<Self> {
        std::fs::create_dir(dir)?;
        Self::open(dir.to_path_buf(), limits).inspect_err(|_| {
            // Nobody is in it yet.
            let _removed = std::fs::remove_dir(dir);
        })
    }

    fn open(dir: PathBuf, limits: Option<&Limits>) -> io::Result<Self> {
        if let Some(limits) = limits {
            set_limits(&dir, limits)?;
        }
        Ok(Self {
            fd: open(&dir, ".", OFlags::RDONLY | OFlags::DIRECTORY)?,
            events: open(&dir, "cgroup.events", OFlags::RDONLY)?,
            cpu: open(&dir, "cpu.stat", OFlags::RDONLY).ok(),
            baseline: (Duration::ZERO, Duration::ZERO),
            is_limited: limits.is_some(),
            is_spent: false,
            dir,
        })
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
    fn cpu(&self) -> Option<(Duration, Duration)> {
        let stat = read(self.cpu.as_ref()?.as_fd()).ok()?;
        let micros = |key| field(&stat, key).map(Duration::from_micros);
        Some((micros("user_usec")?, micros("system_usec")?))
    }

    /// Makes it ready for the next child. False if it cannot be used again.
    pub(super) fn recycle(&mut self) -> bool {
        let has_groups_below = rustix::fs::fstat(&self.fd).is_ok_and(|stat| stat.st_nlink > 2);
        if self.is_limited || self.is_spent || has_groups_below {
            return false;
        }
        if self.cpu.is_some() {
            match self.cpu() {
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
pub(in crate::sys::linux) struct Leaf {
    /// Taken when it is dropped.
    group: Option<Group>,
    parent: Arc<Parent>,
}

impl Leaf {
    pub(in crate::sys::linux) fn new(group: Group, parent: Arc<Parent>) -> Self {
        Self { group: Some(group), parent }
    }

    fn group(&self) -> io::Result<&Group> {
        self.group.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(in crate::sys::linux) fn tree(&mut self) -> io::Result<Tree> {
        let group = self.group()?;
        if group.is_empty()? {
            return Ok(Tree::empty(true));
        }
        let pids = pids_below(&group.dir)?;
        let members = pids.iter().filter_map(|pid| Stat::of(*pid)).filter(Stat::is_alive);
        let events = group.events.try_clone()?;
        Ok(Tree {
            members: members.map(|stat| stat.member()).collect(),
            // Those that are ending just now are counted by the group and listed no more.
            occupied: true,
            watch: vec![WatchFd { fd: events, ready: WatchReady::Priority }],
            ..Tree::empty(true)
        })
    }

    pub(in crate::sys::linux) fn signal(&mut self, signal: Signal) -> io::Result<u32> {
        let group = self.group.as_mut().ok_or(io::ErrorKind::NotFound)?;
        if signal == Signal::KILL {
            let count = pids_below(&group.dir)?.len();
            group.is_spent = true;
            // Kernels before 5.14 cannot kill a group as a whole; the ladder tries again there.
            if super::kill(&group.dir).is_ok() {
                return Ok(u32::try_from(count).unwrap_or(u32::MAX));
            }
        }
        proc::send(hold_members(&group.dir)?.values(), signal)
    }

    pub(in crate::sys::linux) fn freeze(&self, still: bool) -> io::Result<()> {
        let dir = &self.group()?.dir;
        std::fs::write(dir.join("cgroup.freeze"), if still { "1" } else { "0" })
    }

    pub(in crate::sys::linux) fn usage(&self) -> Option<TreeUsage> {
        let group = self.group.as_ref()?;
        let (user, system) = group.cpu()?;
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
        let group = self.group()?;
        let own = self.parent.own_group().join("cgroup.procs");
        for _ in 0..MOST_ROUNDS {
            if group.is_empty()? {
                return Ok(());
            }
            for pid in pids_below(&group.dir)? {
                match std::fs::write(&own, pid.to_string()) {
                    // Gone meanwhile.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    moved => moved?,
                }
            }
        }
        Err(io::Error::other("they fork faster than they can be moved"))
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        let Some(group) = self.group.take() else { return };
        if group.is_empty().unwrap_or(false) {
            self.parent.take_back(group);
            return;
        }
        // One that cannot be killed is removed when it is empty at last.
        let _killed = super::kill(&group.dir);
        reaper::remove(group.dir, group.events, Arc::clone(&self.parent));
    }
}

/// The processes in a group and below it.
fn pids_below(dir: &Path) -> io::Result<Vec<i32>> {
    let procs = std::fs::read_to_string(dir.join("cgroup.procs"))?;
    let mut pids: Vec<i32> = procs.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in std::fs::read_dir(dir)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // It may be removed at this moment by whoever made it.
            pids.extend(pids_below(&entry.path()).unwrap_or_default());
        }
    }
    Ok(pids)
}

/// The members, each held by a descriptor. One that is on the list before it was held and still on
/// it afterwards is a member, and not a stranger with a recycled id.
fn hold_members(dir: &Path) -> io::Result<HashMap<i32, Held>> {
    let mut held: HashMap<i32, Held> = HashMap::new();
    for _ in 0..MOST_ROUNDS {
        let pids = pids_below(dir)?;
        held.retain(|pid, _| pids.contains(pid));
        let new: Vec<i32> = pids.into_iter().filter(|pid| !held.contains_key(pid)).collect();
        if new.is_empty() {
            break;
        }
        let hold = |pid| Some((pid, Held::hold(&Stat::of(pid)?)?));
        held.extend(new.into_iter().filter_map(hold));
    }
    Ok(held)
}
