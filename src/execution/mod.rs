//! The life of one execution, from its launch to its record.
//!
//! A request is checked and resolved by `prepare`, admitted by the registry (`store`, with the
//! limits of `admission`), and then goes through these files in this order; `run.rs` shows it on
//! one screen:
//!
//! | phase | file | what it promises |
//! |---|---|---|
//! | wait for a permit | `queued.rs` | a queued execution has no process and no open file |
//! | launch | `launch.rs` | the program runs, or there is an ending that says why not |
//! | supervise | `supervise.rs` | waits for exit, request or deadline; the first cause wins |
//! | classify | `classify.rs` | the exit becomes an [`Ending`](crate::types::Ending) |
//! | terminate | `termination.rs` | nothing of the tree is left, or the receipt names it |
//! | drain | `drain.rs` | everything that was written is read, in bounded time |
//! | next attempt | `retry.rs` | a failed attempt is followed by another, if that was asked for |
//! | complete | `completion.rs` | permit, record and last event in one moment, then waiters woken |
//!
//! An execution that runs elsewhere has one phase in their place: `follow.rs` follows the records of
//! the backend, and `remote.rs` has what such an execution is asked for.
//!
//! One task owns an execution. Others see it as an [`ActiveExecution`] (`active.rs`): they decide
//! its ending, send control requests (`control.rs`) and write to its standard input (`stdin.rs`).
//! What may happen when is decided by a pure state machine (`state.rs`); time is kept by a deadline
//! that pauses and slow handlers put off (`time/deadline.rs`). A start that the system refuses for the
//! moment is tried again after the pauses of `pauses.rs`. `context.rs` has what is shared between
//! phases and executions.

mod active;
mod classify;
mod completion;
mod context;
mod control;
mod drain;
mod follow;
mod launch;
mod lookup;
mod pauses;
mod queued;
mod remote;
mod retry;
mod run;
mod state;
mod stdin;
mod supervise;
mod termination;

pub(crate) use active::ActiveExecution;
pub(crate) use completion::CompletionGuard;
pub(crate) use context::{ExecutionContext, MAX_LATE_LOGS, PhaseContext};
pub(crate) use control::ControlRefusal;
pub(crate) use follow::{Followed, Submission};
pub(crate) use launch::{AttemptSpec, ExecutionParams, launch};
pub(crate) use queued::QueuedExecution;
pub(crate) use remote::{Remote, ask, instant_of};
pub(crate) use retry::RetryContext;
pub(crate) use run::run;
pub(crate) use stdin::{StdinUnavailable, stdin_pair};
pub(crate) use termination::StopSequence;
