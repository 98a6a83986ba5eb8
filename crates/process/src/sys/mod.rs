//! What differs from one system to the next: starting a process, and looking after its tree.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Process, spawn};

#[cfg(not(target_os = "linux"))]
compile_error!("execution-engine-process supports Linux so far");
