//! Linux 5.4 or later: pidfds, children started in the manner of vfork, control groups.

mod cgroup;
mod child_setup;
mod clone;
mod descendants;
mod env_marker;
mod group;
mod host_guard;
mod leader;
mod orphans;
mod pid_list;
mod proc;
mod process;
mod reaper;
mod resources;
mod signals;
mod stack;

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;

pub(crate) use process::Process;

use cgroup::{CgroupEntry, CgroupLease, ParentCgroup};
use child_setup::{ChildSetup, Isolation};
use clone::Placement;
use descendants::DescendantTracker;
use pid_list::{PidList, PidSlot};
use process::Tracker;
use resources::Resources;

use super::common::Shared;
use super::exec_image::ExecImage;
use super::pipes::ChildEnds;
use crate::error::{SpawnError, SpawnStage};
use crate::limits::LimitUnavailable;
use crate::{Launch, Level, Limits};

/// Returns the reason why this host does not offer a level.
pub(crate) fn available(level: Level) -> Result<(), String> {
    match level {
        Level::ProcessGroup => Ok(()),
        Level::ProcessTree => {
            proc::check().map_err(|error| format!("/proc cannot be used: {error}"))
        }
        Level::Cgroup => cgroup::entry().map(drop),
    }
}

/// State that the children of one owner share.
#[derive(Debug)]
pub(crate) struct Containment {
    level: Level,
    pids: Shared<PidList>,
    parent: Shared<ParentCgroup>,
}

impl Containment {
    pub(crate) fn new(level: Level) -> Self {
        Self { level, pids: Shared::new(), parent: Shared::new() }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn check(&self, limits: &Limits) -> Result<(), LimitUnavailable> {
        resources::check(limits)?;
        if self.level == Level::Cgroup {
            return cgroup::check(limits);
        }
        let of_tree = Limits {
            tree_memory_bytes: limits.tree_memory_bytes,
            tree_processes: limits.tree_processes,
            ..Limits::default()
        };
        let Some(field) = of_tree.first() else { return Ok(()) };
        let reason = format!("a {} cannot enforce it; it needs a cgroup", self.level);
        Err(LimitUnavailable { field, reason })
    }

    /// Starts a program that leads a process group of its own, and has no terminal.
    pub(crate) fn spawn(&self, launch: &Launch, ends: &ChildEnds) -> Result<Process, SpawnError> {
        match self.level {
            Level::Cgroup => self.spawn_in_cgroup(launch, ends),
            Level::ProcessGroup | Level::ProcessTree => self.spawn_listed(launch, ends),
        }
    }

    /// Starts a child that the host's death ends by the list of process ids and by its marker.
    fn spawn_listed(&self, launch: &Launch, ends: &ChildEnds) -> Result<Process, SpawnError> {
        let pids = self.pids.get_or_make(PidList::new).map_err(uncontained)?;
        let marker = pids.next_marker(launch.leftovers);
        let image = ExecImage::new(launch, Some((env_marker::VARIABLE, &marker)))?;
        // The child writes its id itself, so it is listed before its program runs.
        let slot = PidSlot::new(pids);
        let mut setup = ChildSetup::new(&image, ends.raw(), Isolation::Session);
        setup.limit(Resources::of(&launch.limits));
        if let Some(target) = slot.target() {
            setup.register_pid(target);
        }
        let leader = clone::start(setup, Placement::Inherit)?;
        let tracker = match self.level {
            Level::ProcessTree => Tracker::Tree(Box::new(DescendantTracker::new(marker, &leader))),
            _ => Tracker::Group,
        };
        Ok(Process::new(leader, tracker, Some(slot), launch.leftovers))
    }

    fn spawn_in_cgroup(&self, launch: &Launch, ends: &ChildEnds) -> Result<Process, SpawnError> {
        let image = ExecImage::new(launch, None)?;
        let entry = cgroup::entry().map_err(|reason| uncontained(io::Error::other(reason)))?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let parent = self.parent.get_or_make(ParentCgroup::make).map_err(uncontained)?;
            let mut setup = ChildSetup::new(&image, ends.raw(), Isolation::Group);
            setup.limit(Resources::of(&launch.limits));
            match spawn_below(&parent, entry, setup, launch) {
                // An administrator or a service manager has removed our groups: make them again,
                // once.
                Err(error) if attempts == 1 && is_removed_group(&error) => {
                    parent.forget_idle();
                    if parent.is_removed() {
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
    // From here on the lease gives the group back, also when the child cannot be started.
    let lease = CgroupLease::new(group, Arc::clone(parent));
    let group = lease.group().map_err(uncontained)?;
    let leader = match entry {
        CgroupEntry::CloneInto => clone::start(setup, Placement::CloneInto(group.fd()))?,
        CgroupEntry::Attach => {
            let procs = group.procs().map_err(uncontained)?;
            clone::start(setup, Placement::Attach(procs.as_fd()))?
        }
    };
    Ok(Process::new(leader, Tracker::Cgroup(lease), None, launch.leftovers))
}

fn is_removed_group(error: &SpawnError) -> bool {
    error.stage == SpawnStage::Containment && cgroup::is_removed(&error.source)
}

fn uncontained(error: io::Error) -> SpawnError {
    SpawnError::new(SpawnStage::Containment, error)
}
