//! Runs system commands from inside your program, contained, bounded and observed, and tells the
//! truth about how they ended.
//!
//! ```
//! use execution_engine::*;
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     let engine = ExecutionEngine::new(ExecutionConfig::default())?;
//!     let result = engine.run(ExecutionRequest::exec("python3", ["-c", "print('hello')"])).await?;
//!     assert!(result.success);
//!     assert_eq!(result.stdout, "hello\n");
//!     Ok(())
//! }
//! ```
//!
//! # Theory of operation
//!
//! [`ExecutionEngine::execute`] checks a request, resolves its program, takes a permit and starts
//! the program in a containment of its own, all before it returns. From then on one task, the
//! supervisor, owns the execution. It runs on a thread of the engine, not on the caller's runtime,
//! which may be dropped or blocked meanwhile. It reads both pipes, keeps what fits, writes logs,
//! passes lines to the handlers' queues, and waits for whichever comes first: the program's end, the
//! timeout, a cancel, a limit. That first cause is the execution's one [`Ending`], decided by a pure
//! state machine; status, success, exit code, error and terminal event are all derived from it.
//!
//! Then what is left of the process tree is stopped (SIGTERM, a grace, SIGKILL), what is left in the
//! pipes is read without waiting for anybody who still holds them open, the logs are completed, the
//! record is stored, the permit given back, and the waiters are woken, in this order. Nothing polls.
//!
//! What an execution publishes goes into its journal, in one sequence. Handlers and subscriptions
//! read it, each at a place of its own. Handlers run on threads of their own: a slow one slows its
//! child down, a stuck one is cut off, and neither harms anybody else. Subscriptions run where they
//! are polled, replay what they came too late for, and hold nobody back.
//!
//! # Platforms, cancel safety, units
//!
//! Linux 5.4 or later. How firmly a process tree is held depends on what the host offers, see
//! [`ContainmentLevel`]; which [`Limits`] can be enforced does, too, and what cannot is refused.
//!
//! Other Unix systems have process groups and no limits, and a receipt there cannot name who is in a
//! group. This has been tested on Linux, where that backend can be built as well, and type-checked for
//! macOS; it has not been run there. `docs/containment.md` has the differences.
//!
//! Futures may be dropped at any point: what was begun goes on, and nothing is left half-done. A
//! dropped wait or run stops no program; [`cancel`](ExecutionEngine::cancel) does.
//!
//! Times with a name that ends in `_ms` are milliseconds, sizes are bytes, and the maximum of a number
//! type is unlimited.

#![forbid(unsafe_code)]

mod admission;
mod config;
mod engine;
mod error;
mod events;
mod execution;
mod global;
mod lookout;
mod output;
mod plan;
mod prepare;
mod runtime;
mod store;
mod time;
mod types;

pub use admission::Admission;
pub use config::{ExecutionConfig, LogRetention, OversizedOutputStrategy};
pub use engine::{EngineBuilder, ExecutionEngine};
pub use error::{ExecutionError, Result, ValidationError};
pub use events::{
    ChunkSubscription, EventHandler, LoggingEventHandler, MultiEventHandler, NoopEventHandler,
    Subscription,
};
pub use execution_engine_process::{
    Leftovers, Level as ContainmentLevel, Limits, OutputMode, Signal,
};
pub use global::{global, init_global};
pub use plan::{PlanBuilder, PlanSubscription};
pub use types::{
    Attempt, ChunkContent, ChunkRecord, Command, ContainmentReceipt, Ending, EventRecord,
    ExecutionEvent, ExecutionMetadata, ExecutionOptions, ExecutionPlan, ExecutionRequest,
    ExecutionResult, ExecutionStatus, ExecutionStrategy, ExecutionSummary, FailurePolicy,
    InputTarget, Jitter, OutputStream, PlanEnding, PlanError, PlanExecutionResult, PlanOptions,
    PlanStats, PlanStep, PlanSummary, ResourceLimit, ResourceUsage, RetryOn, RetryPolicy,
    ShutdownReport, SkipReason, StdinSource, StepInput, StepOptions, StepRef, StreamStats,
    Survivor, TreeUsage, Trim,
};

// What every user of this crate needs to write a request, so that one glob import is enough.
pub use bytes::Bytes;
pub use std::collections::HashMap;
pub use std::path::PathBuf;
pub use std::sync::Arc;
pub use std::time::Duration;
pub use uuid::Uuid;

/// The code blocks of the docs, run as tests.
#[cfg(doctest)]
mod docs {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../HOW-TO-USE.md")]
    mod how_to_use {}
    #[doc = include_str!("../docs/run.md")]
    mod run {}
    #[doc = include_str!("../docs/stream.md")]
    mod stream {}
    #[doc = include_str!("../docs/watch.md")]
    mod watch {}
    #[doc = include_str!("../docs/input.md")]
    mod input {}
    #[doc = include_str!("../docs/cancel-and-timeout.md")]
    mod cancel_and_timeout {}
    #[doc = include_str!("../docs/containment.md")]
    mod containment {}
    #[doc = include_str!("../docs/limit-output.md")]
    mod limit_output {}
    #[doc = include_str!("../docs/concurrency.md")]
    mod concurrency {}
    #[doc = include_str!("../docs/plans.md")]
    mod plans {}
    #[doc = include_str!("../docs/retry.md")]
    mod retry {}
    #[doc = include_str!("../docs/errors.md")]
    mod errors {}
    #[doc = include_str!("../docs/logs.md")]
    mod logs {}
}
