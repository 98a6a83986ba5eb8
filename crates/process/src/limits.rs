//! Limits of what a child may use.

/// Limits of what a child may use. `None` leaves a limit as the host has it.
///
/// Most are resource limits, which each process of the tree has for itself; the last two bound the
/// tree as a whole and need [`Level::Cgroup`](crate::Level::Cgroup) with the controllers for them.
/// Systems other than Linux refuse all of them.
///
/// ```
/// use execution_engine_process::Limits;
///
/// let limits = Limits::default().cpu_seconds(60).open_files(256).umask(0o077);
/// assert_eq!(limits.cpu_seconds, Some(60));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Limits {
    /// CPU time in seconds. A process that reaches it gets SIGXCPU, and SIGKILL a second later.
    pub cpu_seconds: Option<u64>,
    /// Bytes of address space. Allocations beyond it fail.
    pub address_space_bytes: Option<u64>,
    /// Descriptors that a process may have open.
    pub open_files: Option<u64>,
    /// Bytes of a file that a process may write. One that goes beyond gets SIGXFSZ.
    pub file_size_bytes: Option<u64>,
    /// Processes that the user may have, those outside of the tree included. Root is not limited.
    pub processes: Option<u64>,
    /// Bytes of a core file; 0 writes none.
    pub core_bytes: Option<u64>,
    /// Nice value, from -20 (first) to 19 (last). Only privileged hosts can go below their own.
    pub nice: Option<i32>,
    /// Mode bits that new files do not get, for instance `0o077`.
    pub umask: Option<u32>,
    /// Bytes of memory of the whole tree. Beyond it the system kills the tree.
    pub tree_memory_bytes: Option<u64>,
    /// Processes and threads of the whole tree. More cannot be forked.
    pub tree_processes: Option<u64>,
}

/// Defines what has to name each of the limits.
macro_rules! methods {
    ($($field:ident: $type:ty,)*) => {
        $(
            #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::",
                stringify!($field), ").")]
            #[must_use]
            pub fn $field(mut self, limit: $type) -> Self {
                self.$field = Some(limit);
                self
            }
        )*

        /// Returns the name of the first limit that is set.
        pub(crate) fn first(&self) -> Option<&'static str> {
            [$((stringify!($field), self.$field.is_some())),*]
                .into_iter()
                .find_map(|(name, is_set)| is_set.then_some(name))
        }
    };
}

impl Limits {
    methods! {
        cpu_seconds: u64,
        address_space_bytes: u64,
        open_files: u64,
        file_size_bytes: u64,
        processes: u64,
        core_bytes: u64,
        nice: i32,
        umask: u32,
        tree_memory_bytes: u64,
        tree_processes: u64,
    }

    /// Returns `true` if nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }
}

/// Limit that this host cannot enforce.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limit {field}: {reason}")]
#[non_exhaustive]
pub struct LimitUnavailable {
    /// The field of [`Limits`].
    pub field: &'static str,
    /// Why not, and what to do.
    pub reason: String,
}
