//! Linux 5.4 or later: pidfds, children started in the manner of vfork, control groups.

mod cgroup;
mod clone;
mod exec;
mod group;
mod keeper;
mod lineage;
mod main_program;
mod mark;
mod orphans;
mod proc;
mod process;
mod reaper;
mod resources;
mod roster;
mod sentinel;
mod stack;

use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use exec::hold_broken_pipe_signals;
pub(crate) use process::Process;

use cgroup::{Entrance, Leaf, Parent};
use clone::Birthplace;
use exec::{Apart, Image, Orders};
use keeper::Keeper;
use lineage::Lineage;
use process::Hold;
use resources::Resources;
use roster::Entry;

use super::common::shared;
use super::pipes::{self, ChildEnds};
use crate::error::{SpawnError, Stage};
use crate::limits::LimitUnavailable;
use crate::{Child, Launch, Level, Limits, Spawned};

/// Why this host does not offer a level.
pub(crate) fn available(level: Level) -> Result<(), String> {
    match level {
        Level::ProcessGroup => Ok(()),
        Level::ProcessTree => {
            proc::check().map_err(|error| format!("/proc cannot be used: {error}"))
        }
        Level::Cgroup => cgroup::entrance().map(drop),
    }
}

/// What the children of one owner share; made with the first of them.
#[derive(Debug)]
pub(crate) struct Containment {
    level: Level,
    keeper: Mutex<Option<Arc<Keeper>>>,
    parent: Mutex<Option<Arc<Parent>>>,
}

impl Containment {
    pub(crate) fn new(level: Level) -> Self {
        Self { level, keeper: Mutex::default(), parent: Mutex::default() }
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
        let keeper = shared(&self.keeper, Keeper::new).map_err(uncontained)?;
        let mark = keeper.marks().next(launch.leftovers);
        let image = Image::marked(launch, &mark)?;
        let entry = Entry::new(keeper);
        let mut orders = orders(&image, child, launch);
        if let Some(place) = entry.place() {
            orders.enlist(place);
        }
        let main = clone::start(orders, Birthplace::Host)?;
        let hold = match self.level {
            Level::ProcessTree => Hold::Tree(Box::new(Lineage::new(mark, &main))),
            _ => Hold::Group,
        };
        Ok(Process::new(main, hold, Some(entry), launch.leftovers))
    }

    fn spawn_into_group(&self, launch: &Launch, child: &ChildEnds) -> Result<Process, SpawnError> {
        let image = Image::new(launch)?;
        let entrance =
            cgroup::entrance().map_err(|reason| uncontained(io::Error::other(reason)))?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let parent = shared(&self.parent, Parent::make).map_err(uncontained)?;
            let mut orders = orders(&image, child, launch);
            orders.apart(Apart::Group);
            match spawn_below(&parent, entrance, orders, launch) {
                // Somebody has removed our groups: make them again, once.
                Err(error) if attempts == 1 && is_removed(&error) => {
                    parent.forget_idle();
                    if parent.is_gone() {
                        forget(&self.parent, &parent);
                    }
                }
                spawned => return spawned,
            }
        }
    }
}

fn spawn_below(
    parent: &Arc<Parent>,
    entrance: Entrance,
    orders: Orders<'_>,
    launch: &Launch,
) -> Result<Process, SpawnError> {
    let group = parent.group(&launch.limits).map_err(uncontained)?;
    // From here on the leaf gives the group back, also when nobody comes to live there.
    let leaf = Leaf::new(group, Arc::clone(parent));
    let group = leaf.group().map_err(uncontained)?;
    let main = match entrance {
        Entrance::Birth => clone::start(orders, Birthplace::Group(group.fd()))?,
        Entrance::Join => {
            let procs = group.procs().map_err(uncontained)?;
            clone::start(orders, Birthplace::Joins(procs.as_fd()))?
        }
    };
    Ok(Process::new(main, Hold::Cgroup(leaf), None, launch.leftovers))
}

/// A group that has been removed under us says ENOENT by its path and ENODEV by its descriptor.
fn is_removed(error: &SpawnError) -> bool {
    let removed = matches!(error.source.raw_os_error(), Some(libc::ENOENT | libc::ENODEV));
    error.stage == Stage::Containment && removed
}

fn orders<'a>(image: &'a Image, child: &ChildEnds, launch: &Launch) -> Orders<'a> {
    let mut orders = Orders::new(image, child.raw());
    orders.limit(Resources::of(&launch.limits));
    orders
}

fn uncontained(error: io::Error) -> SpawnError {
    SpawnError::new(Stage::Containment, error)
}

/// Forgets what has become useless, unless another thread has replaced it already.
fn forget<T>(slot: &Mutex<Option<Arc<T>>>, useless: &Arc<T>) {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.as_ref().is_some_and(|shared| Arc::ptr_eq(shared, useless)) {
        *slot = None;
    }
}
