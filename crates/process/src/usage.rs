//! How a program ended and what it used.

use std::time::Duration;

/// End of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// A signal ended it.
    Signaled {
        /// The number of the signal.
        signal: i32,
        /// Whether the system wrote a core file.
        core_dumped: bool,
    },
    /// It has ended, but its status was taken by other code of this process: SIGCHLD is ignored, or
    /// something waits for any child.
    Unknown,
}

/// End and usage of a program that was reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// How it ended.
    pub exit: Exit,
    /// What it used.
    pub usage: Usage,
}

/// Resources that a program and the children it waited for have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Most memory that one of them had resident at a time, in bytes.
    ///
    /// `None` if that was no more than the peak of this process: a child shares the memory of its
    /// host until it executes its program, and Linux counts the shared memory as the child's. A
    /// smaller peak than the host's is not known.
    pub peak_memory_bytes: Option<u64>,
    /// Times that they gave up the CPU by themselves; `None` where the system does not count.
    pub voluntary_switches: Option<u64>,
    /// Times that the CPU was taken from them; `None` where the system does not count.
    pub involuntary_switches: Option<u64>,
}

/// Resources that a whole tree has used, as its control group counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TreeUsage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Most memory of all its processes together, in bytes; `None` without the memory controller.
    pub peak_memory_bytes: Option<u64>,
    /// Processes that were killed because the tree had reached its memory limit.
    pub memory_kills: u64,
    /// Forks that were refused because the tree had reached its process limit.
    pub refused_forks: u64,
}
