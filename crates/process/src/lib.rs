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
//! calls. It leads a process group and has no terminal, gets default signal dispositions, an empty
//! signal mask, and no descriptor but its standard three. At the [cgroup level](Level::Cgroup) it
//! is born inside its control group; at the others it leads a session, too.
//!
//! Its end is observed without reaping it, so that its process id cannot be given to somebody else
//! while its tree is being signalled. The host's SIGCHLD is left alone.
//!
//! A host that dies can stop nothing any more. So each [`Containment`] has a sentinel, a shell in a
//! session of its own that reads from a pipe whose other end only the host has. When that end
//! closes, by whatever cause, it kills the control group, or whom it finds in a list that the host
//! keeps in memory shared with it.
//!
//! # Platform differences
//!
//! The above is Linux. Any other Unix has [`Level::ProcessGroup`] alone, through `posix_spawn`. It is
//! tested on Linux, where `--cfg execution_engine_portable` builds it, and type-checked for macOS; it
//! has not been run there. What differs:
//!
//! - A child leads a process group in the session of its host. Its signal dispositions and its mask are
//!   clean. On Apple's systems it has its three descriptors and no other; elsewhere it inherits what
//!   somebody opened without close-on-exec.
//! - A working directory can be given on Apple's systems. Elsewhere `posix_spawn` has no portable way to
//!   enter one, and a launch with one is refused.
//! - A thread waits for each child. An id means another child if somebody else in this process has
//!   reaped ours; that cannot be told there.
//! - [`Tree`] has one entry: the main program, by the name of its file, and when that has ended the
//!   entry `(process group)` with the id of the group, for however many are left of it.
//!   [`Child::signal`] counts one for all.
//! - [`Child::cpu_time`] and [`Child::tree_usage`] are None.
//! - All [`Limits`] are refused.
//! - The sentinel is told of a child by the host, a moment after its start. A host that is killed in
//!   that moment leaves it behind, as it does those who have left their group.
//! - A host that is process 1 has to collect the zombies of orphans by itself.
//!
//! There is no backend for Windows; `sys/mod.rs` says what one would have to give.

#![deny(unsafe_op_in_unsafe_fn)]

mod child;
pub mod command_line;
mod containment;
mod error;
pub mod files;
mod launch;
mod limits;
mod pipe;
mod pipe_size;
#[cfg(feature = "tokio")]
mod readiness;
mod signal;
mod sys;
mod time;
mod tree;
mod usage;
#[cfg(feature = "tokio")]
mod watch;

pub use child::Child;
pub use containment::{Containment, Level, Spawned};
pub use error::{LevelUnavailable, SpawnError, SpawnErrorKind, SpawnStage, is_transient_os_error};
pub use launch::{Launch, Leftovers, OutputMode, Stdin};
pub use limits::{LimitUnavailable, Limits};
pub use pipe::{PipeReader, PipeWriter, ReadNow};
pub use signal::{Signal, hold_broken_pipe_signals, signal_name};
pub use time::CoarseInstant;
pub use tree::{Member, Tree, WatchFd, WatchReady};
pub use usage::{Exit, Reaped, TreeUsage, Usage};
#[cfg(feature = "tokio")]
pub use watch::Watch;
