//! What differs from one system to the next. Each backend gives the same face: `available` and
//! `Containment` (level, check, spawn), `Process` (what [`Child`](crate::Child) calls), and
//! `hold_broken_pipe_signals`.
//!
//! Linux has a backend of its own. All other Unix systems have the portable one, which is built on
//! Linux with `--cfg execution_engine_portable`, so that it can be tested there.
//!
//! # What a backend for Windows would have to give
//!
//! A job object for each child, as a [`Level`](crate::Level) of its own: made before the child, who
//! is started suspended, put into it, and only then let go, so that no descendant is born outside.
//! `signal` with `Kill` is `TerminateJobObject`; `tree` reads `JobObjectBasicProcessIdList`, and an
//! empty list is proof. `KILL_ON_JOB_CLOSE` takes the place of the sentinel, because the system closes
//! the host's handle however the host ends; `leave` takes that flag away. Limits of memory and
//! processes are those of the job. The descriptors of this crate's face would become handles there,
//! and polite signals would need a meaning: there is no SIGTERM.

mod common;
mod pipes;
mod rusage;
mod sentinel;

#[cfg(all(target_os = "linux", not(execution_engine_portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(execution_engine_portable)))]
pub(crate) use linux::{Containment, Process, available, hold_broken_pipe_signals};

#[cfg(all(unix, any(not(target_os = "linux"), execution_engine_portable)))]
mod unix;
#[cfg(all(unix, any(not(target_os = "linux"), execution_engine_portable)))]
pub(crate) use unix::{Containment, Process, available, hold_broken_pipe_signals};

#[cfg(windows)]
compile_error!("execution-engine-process has no backend for Windows yet: it needs job objects");
