//! Contained child processes: start, observe, signal and reap a whole process tree.
//!
//! This crate is the part of the execution engine that talks to the operating system, and the only
//! one of its workspace with unsafe code. Above it there are no descriptors, signals by number or
//! modes of files: pipes, ends of programs, files and the lookup of programs are types of this
//! crate.
//!
//! Nothing here blocks but [`Containment::spawn`] and the functions of [`files`]. On a tokio runtime
//! the pipes are `AsyncRead` and `AsyncWrite`, and the end of a program can be polled for:
//!
//! ```
//! use std::future::poll_fn;
//!
//! use execution_engine_process::{Containment, Exit, Launch, Spawned};
//! use tokio::io::AsyncReadExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let mut launch = Launch::new("/bin/sh");
//! launch.args = ["sh", "-c", "echo hello; exit 3"].map(Into::into).to_vec();
//! let spawned = Containment::strongest().spawn(&launch).map_err(std::io::Error::other)?;
//! let Spawned { mut child, stdout, .. } = spawned;
//!
//! let mut output = String::new();
//! stdout.expect("it is piped").read_to_string(&mut output).await?;
//! assert_eq!(output, "hello\n");
//!
//! assert_eq!(poll_fn(|cx| child.poll_exit(cx)).await?, Exit::Code(3));
//! assert!(child.tree()?.is_empty());
//! child.reap()?;
//! # Ok(()) }
//! ```
//!
//! # Theory of operation
//!
//! **Start.** A child is started in the manner of `vfork`: it shares the memory of its host until
//! it executes its program, so a start costs the same from a small host as from one with gigabytes
//! of memory. Everything it needs is prepared before; the child itself makes nothing but system
//! calls. It leads a process group and has no terminal (unless it [shares](Terminal::Shared) that of
//! its host), default signal dispositions, an empty signal mask, and no descriptors but its standard
//! three and those that are [passed on](PassedDescriptors). At the [cgroup level](Level::Cgroup) it
//! is created inside its control group; at the other levels it also leads a session.
//!
//! **End.** The end of the main program is observed without reaping it. A process that is not
//! reaped keeps its id, so the id cannot pass to a stranger while the tree is being signalled. The
//! host's SIGCHLD is left alone. Once the main program has ended, look at the [`Tree`]: signal it
//! and wait with [`Tree::changed`] until it is empty, then reap.
//!
//! **Host death.** A host that was killed cannot stop anything. So each [`Containment`] has a
//! host guard: a shell in a session of its own that reads from a pipe whose other end only the host
//! has. When that end closes, by whatever cause, the guard kills the control group, or the
//! processes of a list that the host keeps in memory shared with it. A guard that is killed is made
//! again.
//!
//! # Platform differences
//!
//! The above is Linux. Any other Unix has [`Level::ProcessGroup`] alone, through `posix_spawn`.
//! That backend is tested on Linux, where `--cfg execution_engine_portable` builds it, and
//! type-checked for macOS; it has not run there. It differs in these points:
//!
//! - A child leads a process group in the session of its host. Its signal dispositions and its mask
//!   are clean. On Apple's systems it has its three descriptors and no others; elsewhere it
//!   inherits those that were opened without close-on-exec.
//! - A working directory can be given on Apple's systems. Elsewhere `posix_spawn` has no portable
//!   way to enter one, and a launch with one is refused.
//! - A thread waits for each child. If other code of this process has reaped a child, its id may
//!   mean another child; that cannot be detected there.
//! - [`Tree`] has one member: the main program, by the name of its file, and once that has ended
//!   the member `(process group)` with the id of the group, however many processes are left of it.
//!   [`Child::signal`] counts one for all.
//! - [`Child::cpu_time`] and [`Child::tree_usage`] return `None`.
//! - All [`Limits`] are refused.
//! - The host reports a child to the host guard a moment after its start. A host that is killed in
//!   that moment leaves the child behind, as it does processes that have left their group.
//! - A host that is process 1 has to reap the zombies of orphans itself.
//!
//! There is no backend for Windows; `sys/mod.rs` says what one would have to provide. Its rules for
//! lookup and quoting are in [`command_line::windows`], tested on every system.

#![deny(unsafe_op_in_unsafe_fn)]

mod boot_timer;
mod child;
pub mod command_line;
mod containment;
mod control_group;
mod descriptors;
mod error;
pub mod exec_chain;
pub mod files;
mod host_process;
mod launch;
mod limits;
mod no_links;
mod passed;
mod pipe;
mod pipe_size;
mod played;
mod readiness;
mod signal;
mod start_failure;
mod sys;
mod terminal;
mod thread_attributes;
mod time;
mod tree;
mod usage;
mod user;

pub use boot_timer::BootTimer;
pub use child::Child;
pub use containment::{Containment, Level, Spawned};
pub use control_group::take_over_control_group;
pub use descriptors::{OpenFiles, close_descriptors_on_exec, live_children, open_files};
pub use error::{
    LevelUnavailable, SpawnError, SpawnStage, is_open_file_limit, is_transient_os_error,
};
pub use launch::{Launch, Leftovers, Links, OutputMode, Stdin, TREE_VARIABLE, Terminal};
pub use limits::{LimitUnavailable, Limits};
pub use passed::{PassError, PassedDescriptors};
pub use pipe::{PipeReader, PipeWriter, ReadNow};
pub use played::PlayedProgram;
pub use readiness::check_reactor;
pub use signal::{Signal, hold_write_signals, is_ignored, signal_name};
pub use terminal::ControllingTerminal;
pub use thread_attributes::ThreadAttributes;
pub use time::CoarseInstant;
pub use tree::{Member, Tree};
pub use usage::{Exit, Reaped, TreeUsage, Usage};
pub use user::UserIds;
