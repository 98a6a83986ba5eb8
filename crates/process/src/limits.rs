use std::fmt;

/// What a program may use. None leaves a limit as the host has it.
///
/// Most are resource limits, which each process of the tree gets for itself; the last two bound the
/// tree as a whole and need the cgroup level with the controllers there. Systems other than Linux
/// refuse all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Limits {
    /// CPU time in seconds. A process that reaches it gets SIGXCPU, and SIGKILL a second later.
    pub cpu_seconds: Option<u64>,
    /// Bytes of address space. Allocations beyond it fail.
    pub address_space_bytes: Option<u64>,
    /// How many descriptors a process may have open.
    pub open_files: Option<u64>,
    /// Bytes of a file that a process may write. One that goes beyond gets SIGXFSZ.
    pub file_size_bytes: Option<u64>,
    /// How many processes the user may have, those outside of the tree counted, too. Not for root,
    /// whom the system does not limit.
    pub processes: Option<u64>,
    /// Bytes of a core file; 0 writes none.
    pub core_bytes: Option<u64>,
    /// The nice value, from -20 (first) to 19 (last). Only privileged hosts can go below their own.
    pub nice: Option<i32>,
    /// The mode bits that new files do not get, for instance `0o077`.
    pub umask: Option<u32>,
    /// Bytes of memory of the whole tree. Beyond it the system kills the tree.
    pub tree_memory_bytes: Option<u64>,
    /// How many processes and threads the whole tree may have. More cannot be forked.
    pub tree_processes: Option<u64>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A limit that this host cannot enforce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitUnavailable {
    /// The field of [`Limits`].
    pub field: &'static str,
    /// Why not, and what to do.
    pub reason: String,
}

impl fmt::Display for LimitUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {}: {}", self.field, self.reason)
    }
}

impl std::error::Error for LimitUnavailable {}
