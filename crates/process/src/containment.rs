use std::fmt;
use std::os::fd::OwnedFd;

use crate::error::{SpawnError, Unavailable};
use crate::{Child, Launch, sys};

/// How firmly a process tree is held. Weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Level {
    /// A process group of its own. A process that moves to another group or session escapes.
    ProcessGroup,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProcessGroup => "process group",
        })
    }
}

/// How the children of one owner are contained. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Containment {
    level: Level,
}

impl Containment {
    /// The strongest level that this host offers.
    pub fn strongest() -> Self {
        Self { level: Level::ProcessGroup }
    }

    /// A level of one's choice.
    ///
    /// # Errors
    /// [`Unavailable`] says why this host does not offer it.
    pub fn at(level: Level) -> Result<Self, Unavailable> {
        match level {
            Level::ProcessGroup => Ok(Self { level }),
        }
    }

    /// The level in force.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Starts a child. Blocks until its program is being executed or could not be.
    ///
    /// # Errors
    /// [`SpawnError`] says where it failed. No process and no descriptor is left then.
    pub fn spawn(&self, launch: &Launch) -> Result<Spawned, SpawnError> {
        sys::spawn(launch)
    }
}

/// A child that was started, and the host's ends of its pipes: non-blocking and not inherited by
/// other children.
#[derive(Debug)]
pub struct Spawned {
    /// The child.
    pub child: Child,
    /// What it reads, if it was to be [piped](crate::Stdin::Piped).
    pub stdin: Option<OwnedFd>,
    /// What it writes; both streams if they were to be [merged](crate::Output::Merged).
    pub stdout: OwnedFd,
    /// What it writes on standard error, if that is separate.
    pub stderr: Option<OwnedFd>,
}
