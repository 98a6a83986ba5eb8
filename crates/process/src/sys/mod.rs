//! What differs from one system to the next. Each system gives the same face: `available` and
//! `Containment` (level, check, spawn), and `Process` (what [`Child`](crate::Child) calls). On
//! Windows that would be a job object.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Containment, Process, available, hold_broken_pipe_signals};

#[cfg(not(target_os = "linux"))]
compile_error!("execution-engine-process supports Linux so far");
