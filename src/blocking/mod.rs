//! The engine for programs without an async runtime: each call blocks its thread until it is done.
//!
//! [`ExecutionEngine`] here has the methods of [`crate::ExecutionEngine`] under the same names, and
//! both can be used beside each other on one engine. Executions run on the engine's own threads, as
//! always; a call only waits for them.
//!
//! ```
//! use execution_engine::*;
//!
//! fn main() -> Result<()> {
//!     let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
//!     let result = engine.run(ExecutionRequest::shell("echo hello"))?;
//!     assert_eq!(result.stdout, "hello\n");
//!     Ok(())
//! }
//! ```
//!
//! # Where it may be called
//!
//! - On any thread of yours. Many threads may wait at a time.
//! - Inside an async runtime it blocks the thread that it is called on, and with it what else would
//!   run there. So use the async methods there, or a thread for blocking work such as that of
//!   `tokio::task::spawn_blocking`.
//! - In an event handler, which has a thread of its own. The handler's next event waits for the call:
//!   see [`EventHandler`](crate::EventHandler) about handlers that are slow.
//! - Not on a thread that runs executions, where only wakers of your tasks and a `tracing` subscriber
//!   are called: the execution that is waited for could not go on. What would wait there returns
//!   [`ExecutionError::OnEngineThread`] and does nothing.

mod control;
mod engine;
mod execution;
#[cfg(feature = "logs")]
mod logs;
#[cfg(feature = "plans")]
mod plans;
mod records;
mod watch;

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::task::coop;

use crate::error::{ExecutionError, Result};
use crate::runtime::{block_on, block_on_until, is_worker};

pub use engine::ExecutionEngine;
pub use execution::{Execution, ExecutionStdin};
#[cfg(feature = "plans")]
pub use records::PlanEvents;
pub use records::{Chunks, Events, Records};

/// Returns the value of a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    block_on(unlimited(future))
}

/// Returns the value of a future that waits only if it has a backend to wait for.
fn now_or_wait<T>(may_wait: bool, future: impl Future<Output = Result<T>>) -> Result<T> {
    if may_wait { wait(future) } else { now(future) }
}

/// Waits for a future on this thread.
fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    may_wait()?;
    block_on(unlimited(future))
}

/// Waits for a future on this thread, for no longer than this. `None` if it is not ready by then.
fn wait_for<T>(future: impl Future<Output = Result<T>>, timeout: Duration) -> Result<Option<T>> {
    may_wait()?;
    block_on_until(unlimited(future), Instant::now().checked_add(timeout)).transpose()
}

fn may_wait() -> Result<()> {
    if is_worker() { Err(ExecutionError::OnEngineThread) } else { Ok(()) }
}

/// Inside a task of a host's tokio runtime, futures would count against the budget of that task. Once
/// it is used up they are pending until the task yields, which a thread that is blocked never does.
fn unlimited<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    coop::unconstrained(future)
}
