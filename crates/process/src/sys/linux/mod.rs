//! Linux 5.4 or later: pidfds, children started in the manner of vfork, control groups.

mod cgroup;
mod child_setup;
mod clone;
mod descendants;
mod env_marker;
mod group;
mod host_death;
mod leader;
mod orphans;
mod pid_list;
mod proc;
mod process;
mod reaper;
mod resources;
mod sentinel;
mod stack;

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;

pub(crate) use child_setup::hold_broken_pipe_signals;
pub(crate) use process::Process;

use cgroup::{CgroupEntry, CgroupLease, ParentCgroup};
use child_setup::{ChildSetup, ExecImage, Isolation};
use clone::Placement;
use descendants::DescendantTracker;
use host_death::HostGuard;
use pid_list::PidSlot;
use process::Tracker;
use resources::Resources;

use super::common::Shared;
use super::pipes::{self, ChildEnds};
use crate::error::{SpawnError, SpawnStage};
use crate::limits::LimitUnavailable;
use crate::{Child, Launch, Level, Limits, Spawned};

/// Why this host does not offer a level.
pub(crate) fn available(level: Level) -> Result<(), String> {
    match level {
        Level::ProcessGroup => Ok(()),
        Level::ProcessTree => {
            proc::check().map_err(|error| format!("/proc cannot be used: {error}"))
        }
        Level::Cgroup => cgroup::entry().map(drop),
    }
}

/// What the children of one owner share; made with the first of them.
#[derive(Debug)]
pub(crate) struct Containment {
    level: Level,
    host_guard: Shared<HostGuard>,
    parent: Shared<ParentCgroup>,
}

impl Containment {
    pub(crate) fn new(level: Level) -> Self {
        Self { level, host_guard: Shared::new(), parent: Shared::new() }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn check(&self, limits: &Limits) -> Result<(), LimitUnavailable> {
        resources::check(limits)?;
        if self.level == Level::Cgroup {
            return cgroup::check(limits);
        }
        let asked = [
            ("tree_memory_bytes", limits.tree_memory_bytes),
            ("tree_processes", limits.tree_processes),
        ];
        match asked.into_iter().find(|(_, limit)| limit.is_some()) {
            None => Ok(()),
            Some((field, _)) => {
                let reason = format!("a {} cannot enforce it; it needs a cgroup", self.level);
                Err(LimitUnavailable { field, reason })
            }
        }
    }

    /// Starts a program that leads a process group of its own, and has no terminal.
    pub(crate) fn spawn(&self, launch: &Launch) -> Result<Spawned, SpawnError> {
        let (host, child) = pipes::open(launch)?;
        let process = match self.level {
            Level::Cgroup => self.spawn_into_group(launch, &child)?,
            Level::ProcessGroup | Level::ProcessTree => self.spawn_on_roster(launch, &child)?,
        };
        Ok(Spawned {
            child: Child::new(process),
            stdin: host.stdin,
            stdout: host.stdout,
            stderr: host.stderr,
        })
    }

    fn spawn_on_roster(&self, launch: &Launch, child: &ChildEnds) -> Result<Process, SpawnError> {
        let guard = self.host_guard.get_or_make(HostGuard::new).map_err(uncontained)?;
        let mark = guard.marker().next(launch.leftovers);
        let image = ExecImage::marked(launch, &mark)?;
        let entry = PidSlot::new(guard);
        let mut setup = setup(&image, child, launch);
        if let Some(place) = entry.target() {
            setup.register_pid(place);
        }
        let leader = clone::start(setup, Placement::Inherit)?;
        let hold = match self.level {
            Level::ProcessTree => Tracker::Tree(Box::new(DescendantTracker::new(mark, &leader))),
            _ => Tracker::Group,
        };
        Ok(Process::new(leader, hold, Some(entry), launch.leftovers))
    }

    fn spawn_into_group(&self, launch: &Launch, child: &ChildEnds) -> Result<Process, SpawnError> {
        let image = ExecImage::new(launch)?;
        let entry = cgroup::entry().map_err(|reason| uncontained(io::Error::other(reason)))?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let parent = self.parent.get_or_make(ParentCgroup::make).map_err(uncontained)?;
            let mut setup = setup(&image, child, launch);
            setup.isolate(Isolation::Group);
            match spawn_below(&parent, entry, setup, launch) {
                // Somebody has removed our groups: make them again, once.
                Err(error) if attempts == 1 && is_removed(&error) => {
                    parent.forget_idle();
                    if parent.is_gone() {
                        self.parent.forget(&parent);
                    }
                }
                spawned => return spawned,
            }
        }
    }
}

fn spawn_below(
    parent: &Arc<ParentCgroup>,
    entry: CgroupEntry,
    setup: ChildSetup<'_>,
    launch: &Launch,
) -> Result<Process, SpawnError> {
    let group = parent.group(&launch.limits).map_err(uncontained)?;
    // From here on the leaf gives the group back, also when nobody comes to live there.
    let leaf = CgroupLease::new(group, Arc::clone(parent));
    let group = leaf.group().map_err(uncontained)?;
    let leader = match entry {
        CgroupEntry::CloneInto => clone::start(setup, Placement::CloneInto(group.fd()))?,
        CgroupEntry::Attach => {
            let procs = group.procs().map_err(uncontained)?;
            clone::start(setup, Placement::Attach(procs.as_fd()))?
        }
    };
    Ok(Process::new(leader, Tracker::Cgroup(leaf), None, launch.leftovers))
}

/// A group that has been removed under us says ENOENT by its path and ENODEV by its descriptor.
fn is_removed(error: &SpawnError) -> bool {
    let removed = matches!(error.source.raw_os_error(), Some(libc::ENOENT | libc::ENODEV));
    error.stage == SpawnStage::Containment && removed
}

fn setup<'a>(image: &'a ExecImage, child: &ChildEnds, launch: &Launch) -> ChildSetup<'a> {
    let mut setup = ChildSetup::new(image, child.raw());
    setup.limit(Resources::of(&launch.limits));
    setup
}

fn uncontained(error: io::Error) -> SpawnError {
    SpawnError::new(SpawnStage::Containment, error)
}
