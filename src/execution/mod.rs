//! One execution from spawn to ending: one task owns it, everybody else sends it controls or
//! reads what it publishes.

mod active;
mod classify;
mod completion;
mod context;
mod control;
mod deadline;
mod queued;
mod retry;
mod spawn;
mod state;
mod stdin;
mod supervisor;
mod termination;

pub(crate) use active::ActiveExecution;
pub(crate) use completion::CompletionGuard;
pub(crate) use context::{ExecutionContext, MAX_LATE_LOGS};
pub(crate) use control::ControlAction;
pub(crate) use queued::QueuedExecution;
pub(crate) use retry::RetryContext;
pub(crate) use stdin::{StdinUnavailable, stdin_pair};
pub(crate) use supervisor::{ExecutionParams, StartedExecution, TimeLimits};
pub(crate) use termination::StopSequence;
