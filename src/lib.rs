//! Runs system commands from inside a program: contained, bounded and observed, with one typed
//! ending for each execution.
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
//! A request passes through seven phases: prepare, admit, launch, supervise, terminate, drain,
//! complete.
//!
//! [`ExecutionEngine::execute`] *prepares* the request (checks it, resolves its program, directory
//! and environment), *admits* it (takes a permit, or a place in the queue), *launches* the program
//! in its own containment and returns the id. A queued execution is launched when it gets its
//! permit. A refused request leaves nothing behind. From the launch on one task, the supervisor,
//! owns the execution. It runs on a thread of the engine, not on the caller's runtime, which may be
//! dropped or blocked.
//!
//! To *supervise* is to read both pipes, store what fits, write logs, publish lines, and wait for
//! the first of: the exit of the program, the timeout, a cancel, a limit. That first cause is the
//! execution's [`Ending`], decided by a pure state machine. Status, success, exit code, error and
//! terminal event are derived from it.
//!
//! Then the rest of the process tree is *terminated* (SIGTERM, a grace, SIGKILL) and the rest of
//! the pipes is *drained*, without waiting for a process that still holds them open. To *complete*
//! is to finish the logs, store the record, return the permit and wake the waiters, in this order.
//! Nothing polls.
//!
//! All output and events of an execution go into its journal, in one sequence. Handlers and
//! subscriptions read it, each at its own position. Handlers run on their own threads: a slow one
//! slows its program down, a blocked one is cut off, and neither affects other executions.
//! Subscriptions run where they are polled, replay what was published before they started, and
//! never delay a program.
//!
//! # Cancel safety
//!
//! Every future of this crate may be dropped at any point. Work that was started continues, and
//! nothing is left half-done. Dropping a wait or a [`run`](ExecutionEngine::run) does not stop the
//! program; [`cancel`](ExecutionEngine::cancel) does. Each method that waits says what a drop means
//! under the heading "Cancel safety".
//!
//! # Units
//!
//! A name that ends in `_ms` is in milliseconds, sizes are in bytes, and the maximum of a number
//! type means unlimited.
//!
//! # Platforms
//!
//! Linux 5.4 or later. The strength of the containment depends on what the host offers, see
//! [`ContainmentLevel`]; so do the [`Limits`] that can be enforced, and a request with any other is
//! refused.
//!
//! Other Unix systems have process groups and no limits, and a receipt there cannot name the
//! members of a group. That backend has been tested on Linux, where it can be built as well, and
//! type-checked for macOS; it has not been run there. `docs/containment.md` has the differences.
//!
//! # Versions and features
//!
//! Types of other crates appear in the public API: [`chrono`](https://docs.rs/chrono) 0.4
//! (`DateTime<Utc>`), [`futures-core`](https://docs.rs/futures-core) 0.3 (`Stream`),
//! [`bytes`](https://docs.rs/bytes) 1 and [`uuid`](https://docs.rs/uuid) 1. A new major version of
//! one of them is a new major version of this crate. `execution-engine-process`, whose [`Signal`],
//! [`Limits`], [`Leftovers`], [`Links`], [`OutputMode`] and [`ContainmentLevel`] are exported here, has the
//! same version number as this crate and is released with it; use them through this crate.
//!
//! Three cargo features are on by default, and can be left out of programs that do without:
//!
//! | feature | what it adds |
//! |---|---|
//! | `plans` | [plans](PlanSpec): `execute_plan` and what belongs to it |
//! | `logs` | [`log_dir`](ExecutionConfig::log_dir) and [`output_log_path`](ExecutionRequest::output_log_path), which are refused without it; `read_logs` |
//! | `aws` | [`Command::AwsCli`] |
//!
//! Serde forms of the data types and `tracing` output are always on.
//!
//! The public data types read from and write to JSON in one style: an enum with data is an object
//! with a `type` field, an enum without data is a snake_case string, durations are whole
//! milliseconds in a field that ends in `_ms`.

#![cfg_attr(
    not(all(feature = "plans", feature = "logs")),
    allow(dead_code, unused_imports, reason = "some of what they use has no other user")
)]
#![forbid(unsafe_code)]

mod admission;
mod backend;
pub mod blocking;
mod config;
mod engine;
mod error;
mod events;
mod execution;
mod global;
mod history;
mod login_shell;
mod output;
#[cfg(feature = "plans")]
mod plan;
pub mod prelude;
mod prepare;
mod runtime;
mod setters;
mod store;
pub mod testing;
mod time;
mod types;
mod waker;

pub use backend::{Backend, BackendEvent, BackendExecution, BackendRecord};
pub use config::{
    ExecutionConfig, LogRetention, LogRotation, OversizedOutputStrategy, TimeoutClock,
};
pub use engine::{EngineBuilder, Execution, ExecutionEngine, ExecutionStdin};
pub use error::{ExecutionError, IoError, PlanError, ProgramFault, Result, ValidationError};
pub use events::{
    ChunkSubscription, EventHandler, LoggingEventHandler, MultiEventHandler, NoopEventHandler,
    Subscription,
};
pub use execution_engine_process::{
    Leftovers, Level as ContainmentLevel, LimitUnavailable, Limits, Links, OutputMode, PassError,
    PassedDescriptors, Signal, Terminal, UserIds,
};
pub use global::{global, init_global};
pub use history::History;
pub use login_shell::{LoginShell, LoginShellError};
pub use output::{OutputChunk, OutputSink};
#[cfg(feature = "plans")]
pub use plan::{PlanBuilder, PlanChange, PlanRules, PlanSubscription};
pub use types::{
    Admission, Artifact, Attempt, CancelReport, ChunkContent, ChunkRecord, Command,
    ContainmentReceipt, ContentDigest, ControlAction, Ending, EnvOptions, EnvVars, EventRecord,
    Exclusivity, ExecutionEvent, ExecutionMetadata, ExecutionOptions, ExecutionPlan,
    ExecutionRequest, ExecutionResult, ExecutionStatus, ExecutionStrategy, ExecutionSummary,
    FailurePolicy, HistoryEntry, HistoryOutput, HistoryPage, HistoryPart, HistoryQuery,
    HistoryStatus, InheritEnv, InputTarget, Jitter, LogTail, NoDigest, OsText, OutputCursor,
    OutputPage, OutputPart, OutputPiece, OutputQuery, OutputStream, OutputWindow, Place,
    PlaceDurability, PlanEnding, PlanExecutionResult, PlanOptions, PlanSpec, PlanStats, PlanStep,
    PlanSummary, Requires, ResourceLimit, ResourceUsage, RetryOn, RetryPolicy, ShutdownReport,
    SkipReason, StdinSource, StepCondition, StepInput, StepOptions, StepRef, StepReport,
    StreamStats, Survivor, TreeUsage, Trim, path_matches,
};

// One glob import is enough to write a request.
#[doc(no_inline)]
pub use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};
#[doc(no_inline)]
pub use uuid::Uuid;

/// Code blocks of the docs, run as tests.
#[cfg(doctest)]
mod docs {
    macro_rules! pages {
        ($($name:ident: $path:literal,)*) => {
            $(
                #[doc = include_str!($path)]
                mod $name {}
            )*
        };
    }

    pages! {
        readme: "../README.md",
        how_to_use: "../HOW-TO-USE.md",
        run: "../docs/run.md",
        blocking: "../docs/blocking.md",
        testing: "../docs/testing.md",
        stream: "../docs/stream.md",
        watch: "../docs/watch.md",
        input: "../docs/input.md",
        cancel_and_timeout: "../docs/cancel-and-timeout.md",
        containment: "../docs/containment.md",
        limit_output: "../docs/limit-output.md",
        concurrency: "../docs/concurrency.md",
        plans: "../docs/plans.md",
        retry: "../docs/retry.md",
        errors: "../docs/errors.md",
        logs: "../docs/logs.md",
        history: "../docs/history.md",
        migration: "../docs/migration.md",
    }
}
