//! Contained child processes: spawn, observe, signal and reap a whole process tree.
//!
//! This crate is synchronous, knows no runtime, and is the only one of its workspace with unsafe
//! code. What it hands out are descriptors to wait for and calls that never block.
//!
//! ```
//! use execution_engine_process::{Containment, Exit, Launch};
//!
//! let mut launch = Launch::new("/bin/sh");
//! launch.args = ["sh", "-c", "exit 3"].map(Into::into).to_vec();
//! let mut child = Containment::strongest().spawn(&launch)?.child;
//! # use std::os::fd::AsFd;
//! # rustix::event::poll(&mut [rustix::event::PollFd::new(&child.exit_fd(), rustix::event::PollFlags::IN)], None)?;
//! // Once `exit_fd` is readable:
//! assert_eq!(child.exit()?, Some(Exit::Code(3)));
//! assert!(child.tree()?.is_empty());
//! child.reap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Theory of operation
//!
//! A child is started in the manner of `vfork`: it shares the memory of its parent until it
//! executes its program, so that starting it costs the same from a small host and from one with
//! gigabytes of memory. Everything it needs is prepared before; in the child there are only system
//! calls. It gets a process group of its own, default signal dispositions, an empty signal mask,
//! and no descriptor but its standard three.
//!
//! Its end is observed without reaping it, so that its process id cannot be given to somebody else
//! while its tree is being signalled. The host's SIGCHLD is left alone.

#![deny(unsafe_op_in_unsafe_fn)]

mod child;
mod containment;
mod error;
mod launch;
mod signal;
mod sys;
mod tree;
mod usage;
#[cfg(feature = "tokio")]
mod watch;

pub use child::Child;
pub use containment::{Containment, Level, Spawned};
pub use error::{SpawnError, Stage, Unavailable};
pub use launch::{Launch, Output, Stdin};
pub use signal::{Signal, signal_name};
pub use tree::{Member, Tree, WatchFd, WatchReady};
pub use usage::{Exit, Reaped, Usage};
#[cfg(feature = "tokio")]
pub use watch::Watch;
