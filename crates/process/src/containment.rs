//! Levels of containment, and the one place where children are started.

use std::fmt;
use std::sync::Arc;

use crate::error::{LevelUnavailable, SpawnError};
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
    /// The group, and every descendant that can be found by its session, its parents or a marker in
    /// its environment (Linux). A process that forks twice and clears its environment escapes.
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
        f.write_str(match self {
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
/// host guard ends when the last clone and the last child are dropped.
#[derive(Debug, Clone)]
pub struct Containment {
    inner: Arc<sys::Containment>,
}

impl Containment {
    /// Creates one at the strongest level that this host offers.
    pub fn strongest() -> Self {
        let offered = Level::ALL.into_iter().rev().find_map(|level| Self::at(level).ok());
        offered.unwrap_or_else(|| Self::with(Level::ProcessGroup))
    }

    /// Creates one at a given level.
    ///
    /// # Errors
    /// [`LevelUnavailable`] says why this host does not offer it.
    pub fn at(level: Level) -> Result<Self, LevelUnavailable> {
        sys::available(level).map_err(|reason| LevelUnavailable { level, reason })?;
        Ok(Self::with(level))
    }

    fn with(level: Level) -> Self {
        Self { inner: Arc::new(sys::Containment::new(level)) }
    }

    /// Returns the level in force.
    pub fn level(&self) -> Level {
        self.inner.level()
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
        let (host, ends) = sys::open_pipes(launch)?;
        let child = Child::new(self.inner.spawn(launch, &ends)?);
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
    /// Its standard output; both streams if they are [merged](crate::OutputMode::Merged).
    pub stdout: PipeReader,
    /// Its standard error, if that is separate.
    pub stderr: Option<PipeReader>,
}
