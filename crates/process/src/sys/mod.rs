//! Backends for the systems. Each has the same interface: `Containment` (at, strongest, level,
//! check, spawn), and `Process` (the methods that [`Child`](crate::Child) calls).
//!
//! Linux has a backend of its own. All other Unix systems have the portable one, which is built on
//! Linux with `--cfg execution_engine_portable`, so that it can be tested there.
//!
//! | level | sends signals, lists members | proves that none is left | ends a dead host's tree |
//! |---|---|---|---|
//! | `Cgroup` | `linux/cgroup/{lease,members}.rs` | `linux/cgroup/group.rs` | `end_cgroup.sh` |
//! | `ProcessTree` | `linux/descendants.rs` | no proof | `end_groups.sh` |
//! | `ProcessGroup` | `linux/group.rs` | no proof | `end_groups.sh` |
//! | `ProcessGroup`, portable | `unix/group.rs` (no list) | no proof | `end_groups.sh` |
//!
//! `linux/process.rs` and `unix/process.rs` choose among them by level.
//!
//! # Requirements for a Windows backend
//!
//! A job object for each child, as a [`Level`](crate::Level) of its own, made before the child. The
//! child is started suspended, put into the job, and only then resumed, so that no descendant is
//! created outside. `signal` with `Kill` is `TerminateJobObject`; `tree` reads
//! `JobObjectBasicProcessIdList`, and an empty list is proof. `KILL_ON_JOB_CLOSE` takes the place
//! of the host guard, because the system closes the host's handle however the host ends; `leave`
//! removes that flag. Limits of memory and processes are those of the job. The descriptors of this
//! crate's interface would become handles there, and polite signals would need a meaning: there is
//! no SIGTERM.

mod common;
mod exec_image;
mod host_guard;
mod pipes;
mod rusage;
#[cfg(target_os = "linux")]
mod thread_attributes;

pub(crate) use common::{hold_terminal_signal, hold_write_signals, is_ignored};
pub(crate) use pipes::open as open_pipes;
#[cfg(target_os = "linux")]
pub(crate) use thread_attributes::ThreadAttributes;

#[cfg(all(target_os = "linux", not(execution_engine_portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(execution_engine_portable)))]
pub(crate) use linux::{Containment, Process, take_over_control_group, with_descriptors};

#[cfg(all(unix, any(not(target_os = "linux"), execution_engine_portable)))]
mod unix;
#[cfg(all(unix, any(not(target_os = "linux"), execution_engine_portable)))]
pub(crate) use unix::{Containment, Process};

/// Returns what `work` does. Only on Linux it has descriptors where this process has none left.
#[cfg(all(unix, any(not(target_os = "linux"), execution_engine_portable)))]
pub(crate) fn with_descriptors<T>(work: impl Fn() -> std::io::Result<T>) -> std::io::Result<T> {
    work()
}

/// Refuses: the system has no control groups.
#[cfg(all(unix, any(not(target_os = "linux"), execution_engine_portable)))]
pub(crate) fn take_over_control_group(
    _group: &str,
    _member: &str,
) -> std::io::Result<std::path::PathBuf> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Attributes in which the threads of one process do not differ.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThreadAttributes;

#[cfg(not(target_os = "linux"))]
impl ThreadAttributes {
    pub(crate) fn of_this_thread() -> Self {
        Self
    }
}

#[cfg(windows)]
compile_error!("execution-engine-process has no backend for Windows yet: it needs job objects");
