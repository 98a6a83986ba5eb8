use std::time::Duration;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this exit code.
    Code(i32),
    /// By a signal.
    Signaled {
        /// Its number.
        signal: i32,
        /// Whether the system wrote a core file.
        core_dumped: bool,
    },
    /// It has ended, but somebody else in this process took its status: SIGCHLD is ignored, or
    /// other code waits for any child.
    Unknown,
}

/// What is left of a program after it was reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// How it ended.
    pub exit: Exit,
    /// What it used.
    pub usage: Usage,
}

/// What a program and those children of it that it waited for have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// The most memory that was resident at a time in one of them, in bytes. None if that was no more
    /// than the peak of this process: it shares its memory with a child until that executes its
    /// program, and Linux counts what is shared as the child's, so that less cannot be told.
    pub peak_memory_bytes: Option<u64>,
    /// How often they gave up the CPU by themselves.
    pub voluntary_switches: u64,
    /// How often the CPU was taken from them.
    pub involuntary_switches: u64,
}

/// What a whole tree has used, as its control group counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TreeUsage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// The most memory of all its processes together, in bytes; None without the controller.
    pub peak_memory_bytes: Option<u64>,
    /// How many of its processes were killed because the tree had reached its memory limit.
    pub memory_kills: u64,
    /// How many forks were refused because the tree had reached its process limit.
    pub refused_forks: u64,
}
