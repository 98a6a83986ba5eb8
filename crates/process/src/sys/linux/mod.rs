//! Linux 5.4 or later: pidfds, children started in the manner of vfork, control groups.

mod cgroup;
mod child_setup;
mod clone;
mod close;
mod descendants;
mod group;
mod host_guard;
mod host_state;
mod kept_root;
mod leader;
mod listing;
mod marker;
mod orphans;
mod own_table;
mod pid_list;
mod proc;
mod process;
mod reaper;
mod required;
mod resources;
mod selection;
mod signalling;
mod signals;
mod stack;
mod unavailable;

use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use cgroup::take_over as take_over_control_group;
pub(crate) use own_table::with_descriptors;
pub(crate) use process::Process;

use cgroup::{CgroupEntry, CgroupLease, ParentCgroup};
use child_setup::{ChildSetup, Isolation};
use clone::Placement;
use descendants::DescendantTracker;
use host_guard::GuardStart;
use kept_root::KeptRoot;
use pid_list::{PidList, PidSlot};
use process::Tracker;
use resources::Resources;
use selection::{Method, Selection};

use super::common::Shared;
use super::exec_image::ExecImage;
use super::pipes::{self, ChildEnds};
use crate::error::{SpawnError, SpawnStage};
use crate::limits::LimitUnavailable;
use crate::{Launch, Level, Limits, Terminal, terminal};

/// State that the children of one owner share.
#[derive(Debug)]
pub(crate) struct Containment {
    selection: Selection,
    pids: Shared<PidList>,
    parent: Shared<ParentCgroup>,
    guard_beside: AtomicBool,
    _root: KeptRoot,
}

impl Containment {
    /// Makes one at this level, or returns the reason why this host does not offer it.
    pub(crate) fn at(level: Level) -> Result<Self, String> {
        let root = KeptRoot::keep();
        let selection = Selection::of(level).map_err(|unavailable| unavailable.to_string())?;
        Ok(Self::with(selection, root))
    }

    /// Makes one whose children have control groups below this one, or returns why that is impossible.
    pub(crate) fn below(parent: PathBuf) -> Result<Self, String> {
        let root = KeptRoot::keep();
        let selection = Selection::below(parent).map_err(|unavailable| unavailable.to_string())?;
        Ok(Self::with(selection, root))
    }

    /// Makes one at the strongest level that this host offers.
    pub(crate) fn strongest() -> Self {
        let root = KeptRoot::keep();
        Self::with(Selection::strongest(), root)
    }

    fn with(selection: Selection, root: KeptRoot) -> Self {
        // What this process remembers may be untrue by now.
        orphans::note_own_id();
        required::forget();
        pipes::check_dev_null();
        let guard_beside = AtomicBool::new(false);
        Self { selection, pids: Shared::new(), parent: Shared::new(), guard_beside, _root: root }
    }

    pub(crate) fn start_guard_beside(&self) {
        self.guard_beside.store(true, Ordering::Relaxed);
    }

    /// Returns whether the start of a guard is waited for.
    fn guard_start(&self) -> GuardStart {
        match self.guard_beside.load(Ordering::Relaxed) {
            true => GuardStart::Beside,
            false => GuardStart::Before,
        }
    }

    pub(crate) fn level(&self) -> Level {
        self.selection.method().level()
    }

    pub(crate) fn check(&self, limits: &Limits) -> Result<(), LimitUnavailable> {
        resources::check(limits)?;
        match self.level() {
            Level::Cgroup => cgroup::check(limits, self.selection.parent_group()),
            level => check_without_cgroup(level, limits),
        }
    }

    /// Starts a program, which leads a process group of its own and has no terminal, unless it shares
    /// that of its host.
    pub(crate) fn spawn(&self, launch: &Launch, ends: &ChildEnds) -> Result<Process, SpawnError> {
        reaper::retry();
        if self.selection.follow_host() {
            self.parent.clear();
        }
        let method = self.selection.method();
        match self.start(method, launch, ends) {
            // The host has changed, or others have removed our groups.
            Err(failure) if method.level() == Level::Cgroup && is_uncontained(&failure) => {
                let method = self.selection.choose_again(method, failure)?;
                self.start(method, launch, ends)
            }
            started => started,
        }
    }

    fn start(
        &self,
        method: Method,
        launch: &Launch,
        ends: &ChildEnds,
    ) -> Result<Process, SpawnError> {
        match method {
            Method::Cgroup(entry) => self.spawn_in_cgroup(entry, launch, ends),
            Method::Group | Method::Tree => {
                // Checked when the level may have been another one.
                check_without_cgroup(method.level(), &launch.limits).map_err(|refused| {
                    SpawnError::new(SpawnStage::Limits, io::Error::other(refused))
                })?;
                self.spawn_listed(method, launch, ends)
            }
        }
    }

    /// Starts a child that the host's death ends by the list of process ids and by its marker.
    fn spawn_listed(
        &self,
        method: Method,
        launch: &Launch,
        ends: &ChildEnds,
    ) -> Result<Process, SpawnError> {
        let make = |warnings: &mut _| PidList::new(self.guard_start(), warnings);
        let pids = self.pids.get_or_make(make).map_err(uncontained)?;
        let marker = pids.next_marker(launch.leftovers);
        let image = ExecImage::new(launch, Some((marker::VARIABLE, &marker.text)))?;
        // The child writes its id itself, so it is listed before its program runs.
        let slot = PidSlot::new(pids);
        let passed = ends.passed();
        let isolation = match method {
            Method::Tree => isolation(launch, Isolation::Session),
            // The group is what holds the tree.
            _ => Isolation::Session,
        };
        let mut setup = ChildSetup::new(&image, ends.raw(), isolation);
        if launch.terminal == Terminal::Shared {
            setup.keep_ignored();
        }
        setup.enter(ends.dir());
        setup.pass(&passed);
        setup.run_as(launch.user.as_ref());
        setup.limit(Resources::of(&launch.limits));
        setup.mark(marker.limit());
        if let Some(line) = slot.line() {
            setup.register_pid(line);
        }
        let leader = clone::start(setup, Placement::Inherit)?;
        let tracker = match method {
            Method::Tree => Tracker::Tree(Box::new(DescendantTracker::new(marker, &leader))),
            _ => Tracker::Group,
        };
        Ok(Process::new(leader, tracker, Some(slot), launch.leftovers))
    }

    fn spawn_in_cgroup(
        &self,
        entry: CgroupEntry,
        launch: &Launch,
        ends: &ChildEnds,
    ) -> Result<Process, SpawnError> {
        let image = ExecImage::new(launch, None)?;
        let make = |warnings: &mut _| {
            ParentCgroup::make(self.selection.parent_group(), self.guard_start(), warnings)
        };
        let parent = self.parent.get_or_make(make).map_err(uncontained)?;
        let passed = ends.passed();
        let isolation = isolation(launch, Isolation::Group);
        let mut setup = ChildSetup::new(&image, ends.raw(), isolation);
        if launch.terminal == Terminal::Shared {
            setup.keep_ignored();
        }
        setup.enter(ends.dir());
        setup.pass(&passed);
        setup.run_as(launch.user.as_ref());
        setup.limit(Resources::of(&launch.limits));
        spawn_below(&parent, entry, setup, launch).inspect_err(|failure| {
            if is_uncontained(failure) {
                // It may be gone, or out of reach. Running children keep it.
                self.parent.forget(&parent);
            }
        })
    }
}

/// Returns the isolation of a child: this one, unless it shares the terminal of its host.
fn isolation(launch: &Launch, otherwise: Isolation) -> Isolation {
    match launch.terminal {
        Terminal::Shared if terminal::is_there() => Isolation::Shared,
        Terminal::Shared | Terminal::None => otherwise,
    }
}

/// Checks that nothing is asked for that only a control group can do.
fn check_without_cgroup(level: Level, limits: &Limits) -> Result<(), LimitUnavailable> {
    let of_tree = Limits {
        tree_memory_bytes: limits.tree_memory_bytes,
        tree_processes: limits.tree_processes,
        ..Limits::default()
    };
    let Some(field) = of_tree.first() else { return Ok(()) };
    let reason = format!("a {level} cannot enforce it; it needs a cgroup");
    Err(LimitUnavailable { field, reason })
}

fn spawn_below(
    parent: &Arc<ParentCgroup>,
    entry: CgroupEntry,
    setup: ChildSetup<'_>,
    launch: &Launch,
) -> Result<Process, SpawnError> {
    let group = parent.group(&launch.limits).map_err(uncontained)?;
    // From here on the lease gives the group back, also when the child cannot be started.
    let mut lease = CgroupLease::new(group, Arc::clone(parent));
    let group = lease.group().map_err(uncontained)?;
    let leader = match entry {
        CgroupEntry::CloneInto => {
            let dir = group.fd().map_err(uncontained)?;
            clone::start(setup, Placement::CloneInto(dir))?
        }
        CgroupEntry::Attach => {
            let procs = group.procs().map_err(uncontained)?;
            clone::start(setup, Placement::Attach(procs.as_fd()))?
        }
    };
    lease.has_entered();
    Ok(Process::new(leader, Tracker::Cgroup(lease), None, launch.leftovers))
}

/// Returns `true` if a child could not be contained, for a reason that does not pass by itself.
fn is_uncontained(failure: &SpawnError) -> bool {
    failure.stage == SpawnStage::Containment && !failure.is_transient()
}

fn uncontained(error: io::Error) -> SpawnError {
    SpawnError::new(SpawnStage::Containment, error)
}
