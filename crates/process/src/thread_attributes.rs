//! Comparison of threads by what the programs that they start inherit from them.

use crate::sys;

/// What a program inherits from the thread that starts it, where threads of one process may differ.
///
/// On Linux these are processor affinity, scheduling policy, nice value and I/O priority, timer
/// slack, user, group and capabilities, `no_new_privs` and seccomp mode, namespaces, and the root
/// directory. A new thread has those of the thread that made it. On other systems threads do not
/// differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadAttributes(sys::ThreadAttributes);

impl ThreadAttributes {
    /// Returns those of the calling thread.
    pub fn of_this_thread() -> Self {
        Self(sys::ThreadAttributes::of_this_thread())
    }
}
