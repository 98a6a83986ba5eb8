//! Levels of containment, and the one place where children are started.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{LevelUnavailable, SpawnError, SpawnStage};
use crate::host_process::OfProcess;
use crate::limits::{LimitUnavailable, Limits};
use crate::{Child, Launch, PipeReader, PipeWriter, sys};

/// Strength by which a process tree is held. Weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Level {
    /// A process group of its own. A process that moves to another group or session escapes.
    ProcessGroup,
    /// The group, and every descendant that can be found by its session, its parents, or a marker in
    /// its environment and in a limit (Linux). A process that forks twice and removes both markers
    /// escapes.
    ProcessTree,
    /// A control group of its own (Linux, cgroup v2). No process escapes by itself, and the system
    /// proves that none is left; but one with the right to write to another group can move there.
    Cgroup,
}

impl Level {
    /// All levels, weakest first.
    pub const ALL: [Self; 3] = [Self::ProcessGroup, Self::ProcessTree, Self::Cgroup];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ProcessGroup => "process group",
            Self::ProcessTree => "process tree",
            Self::Cgroup => "cgroup",
        })
    }
}

/// Containment that the children of one owner share. Cheap to clone.
///
/// With the first child it starts a host guard: a small process in a session of its own that waits
/// for this process to end, by whatever cause, and then kills what is left of the children. The
/// host guard ends when the last clone and the last child are dropped. One that is killed before is
/// made again.
///
/// It belongs to the process that has made it. A fork of that process can start nothing with its
/// copy, and dropping the copy ends nothing.
#[derive(Debug, Clone)]
pub struct Containment {
    inner: OfProcess<Arc<sys::Containment>>,
}

impl Containment {
    /// Creates one at the strongest level that this host offers.
    ///
    /// A host can change afterwards: give up rights, or lose its control group. Where a start shows
    /// that it no longer offers the level, the level is chosen anew, and that child and the later
    /// ones are contained by what is offered then. [`Child::level`] tells how each one is.
    pub fn strongest() -> Self {
        Self::with(sys::Containment::strongest())
    }

    /// Creates one at a given level. Where the host no longer offers it at a start, the start fails
    /// and names the reason.
    ///
    /// # Errors
    /// [`LevelUnavailable`] says why this host does not offer it.
    pub fn at(level: Level) -> Result<Self, LevelUnavailable> {
        let made = sys::Containment::at(level);
        made.map(Self::with).map_err(|reason| LevelUnavailable { level, reason })
    }

    /// Creates one at the level [`Cgroup`](Level::Cgroup) whose children have their control groups
    /// below this one, in place of the host's own. `parent` is its directory, an absolute path. Where
    /// it can no longer be used at a start, the start fails and names the reason.
    ///
    /// # Errors
    /// [`LevelUnavailable`] if it is no control group of version 2, no group can be created there, or
    /// no child can enter one.
    pub fn below(parent: PathBuf) -> Result<Self, LevelUnavailable> {
        let made = sys::Containment::below(parent);
        made.map(Self::with).map_err(|reason| LevelUnavailable { level: Level::Cgroup, reason })
    }

    /// Lets the first child start while the host guard is still being started, which saves the time
    /// of a shell's start: for a host that starts one program and has the user wait for it. Without
    /// effect on systems other than Linux.
    ///
    /// A host that dies meanwhile has its guard all the same: the shell runs by itself from its
    /// first moment on. But if that shell finds no room for its process, children run without a guard
    /// until it has been made again, as after a guard that was killed.
    pub fn start_guard_beside(&self) {
        self.inner.start_guard_beside();
    }

    fn with(containment: sys::Containment) -> Self {
        Self { inner: OfProcess::new(Arc::new(containment)) }
    }

    /// Returns the level in force, at which the next child is contained unless the host has changed.
    pub fn level(&self) -> Level {
        self.inner.level()
    }

    /// Returns `true` in the process that has made it, and `false` in a fork of that process. Makes
    /// no system call. Only `fork` itself is noticed, and not the bare system call.
    pub fn is_of_this_process(&self) -> bool {
        self.inner.is_ours()
    }

    /// Checks that this host can enforce the limits.
    ///
    /// # Errors
    /// [`LimitUnavailable`] names the first limit that it cannot enforce.
    pub fn check(&self, limits: &Limits) -> Result<(), LimitUnavailable> {
        if limits.is_empty() { Ok(()) } else { self.inner.check(limits) }
    }

    /// Starts a child. Blocks until its program is being executed or could not be, some
    /// microseconds as a rule.
    ///
    /// # Errors
    /// [`SpawnError`] says where it failed. No process and no descriptor is left then.
    pub fn spawn(&self, launch: &Launch) -> Result<Spawned, SpawnError> {
        if !self.is_of_this_process() {
            let forked = io::Error::other(
                "this process is a fork of the one that made the containment; make one after the fork",
            );
            return Err(SpawnError::new(SpawnStage::Containment, forked).of(launch));
        }
        if launch.user.as_ref().is_some_and(|user| !user.are_ids()) {
            let invalid = io::Error::new(io::ErrorKind::InvalidInput, "there is no id 4294967295");
            return Err(SpawnError::new(SpawnStage::User, invalid).of(launch));
        }
        let (host, ends) = sys::open_pipes(launch).map_err(|error| error.of(launch))?;
        let child = self.inner.spawn(launch, &ends).map_err(|error| error.of(launch))?;
        let child = Child::new(child);
        Ok(Spawned { child, stdin: host.stdin, stdout: host.stdout, stderr: host.stderr })
    }
}

/// Child that was started, and the host's ends of its pipes, which other children do not inherit.
#[derive(Debug)]
pub struct Spawned {
    /// The child.
    pub child: Child,
    /// Its standard input, if that is [piped](crate::Stdin::Piped).
    pub stdin: Option<PipeWriter>,
    /// Its standard output, unless it is the host's; both streams if they are
    /// [merged](crate::OutputMode::Merged).
    pub stdout: Option<PipeReader>,
    /// Its standard error, if that is separate.
    pub stderr: Option<PipeReader>,
}
