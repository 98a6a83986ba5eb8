use std::fmt;
use std::sync::Arc;

use crate::error::{LevelUnavailable, SpawnError};
use crate::limits::{LimitUnavailable, Limits};
use crate::{Child, Launch, PipeReader, PipeWriter, sys};

/// How firmly a process tree is held. Weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Level {
    /// A process group of its own. A process that moves to another group or session escapes.
    ProcessGroup,
    /// The group, and every descendant that can be found by its session, its parents or a mark in
    /// its environment (Linux). One that forks twice and clears its environment escapes.
    ProcessTree,
    /// A control group of its own (Linux, cgroup v2). Nobody escapes, and the system proves it; but
    /// a process with the right to write to another group can move itself there.
    Cgroup,
}

impl Level {
    /// All of them, weakest first.
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

/// How the children of one owner are contained. Cheap to clone.
///
/// With the first child comes a sentinel: a small process of its own session that waits for this
/// process to go away, by whatever cause, and then kills what is left of the children. It ends when
/// the last clone and the last child are dropped.
#[derive(Debug, Clone)]
pub struct Containment {
    inner: Arc<sys::Containment>,
}

impl Containment {
    /// The strongest level that this host offers.
    pub fn strongest() -> Self {
        let offered = Level::ALL.into_iter().rev().find_map(|level| Self::at(level).ok());
        offered.unwrap_or_else(|| Self::with(Level::ProcessGroup))
    }

    /// A level of one's choice.
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

    /// The level in force.
    pub fn level(&self) -> Level {
        self.inner.level()
    }

    /// Whether this host can enforce these limits.
    ///
    /// # Errors
    /// [`LimitUnavailable`] names the first that it cannot.
    pub fn check(&self, limits: &Limits) -> Result<(), LimitUnavailable> {
        if limits.is_empty() { Ok(()) } else { self.inner.check(limits) }
    }

    /// Starts a child. Blocks until its program is being executed or could not be.
    ///
    /// # Errors
    /// [`SpawnError`] says where it failed. No process and no descriptor is left then.
    pub fn spawn(&self, launch: &Launch) -> Result<Spawned, SpawnError> {
        self.inner.spawn(launch)
    }
}

/// A child that was started, and the host's ends of its pipes: non-blocking and not inherited by
/// other children.
#[derive(Debug)]
pub struct Spawned {
    /// The child.
    pub child: Child,
    /// What it reads, if it was to be [piped](crate::Stdin::Piped).
    pub stdin: Option<PipeWriter>,
    /// What it writes; both streams if they were to be [merged](crate::OutputMode::Merged).
    pub stdout: PipeReader,
    /// What it writes on standard error, if that is separate.
    pub stderr: Option<PipeReader>,
}
