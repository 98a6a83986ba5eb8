//! Events: what happens to executions and plans.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Ending, ExecutionStatus, PlanStep, millis};

/// Event of an execution or a plan, as an [`EventHandler`](crate::EventHandler) receives it; a
/// [`Subscription`](crate::Subscription) delivers it with a sequence number and a time.
///
/// For each execution `Started` comes first, then its lines in order, and one terminal event
/// (`Completed`, `Failed`, `Cancelled` or `Timeout`) comes last. An execution whose program was not
/// started has no `Started`.
///
/// In JSON:
///
/// ```
/// use execution_engine::*;
///
/// let event = ExecutionEvent::Stdout { execution_id: Uuid::nil(), line: "hello".to_string() };
/// assert_eq!(
///     serde_json::to_string(&event).unwrap(),
///     r#"{"type":"stdout","execution_id":"00000000-0000-0000-0000-000000000000","line":"hello"}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExecutionEvent {
    /// The program has been started.
    Started {
        /// The execution.
        execution_id: Uuid,
        /// The command as one would type it.
        command: String,
        /// The process id of the program.
        pid: u32,
    },
    /// A line on standard output, without its line ending.
    Stdout {
        /// The execution.
        execution_id: Uuid,
        /// The line; bytes that are not UTF-8 are shown as U+FFFD.
        line: String,
    },
    /// A line on standard error, without its line ending.
    Stderr {
        /// The execution.
        execution_id: Uuid,
        /// The line; bytes that are not UTF-8 are shown as U+FFFD.
        line: String,
    },
    /// The status has changed.
    StatusChanged {
        /// The execution.
        execution_id: Uuid,
        /// Previous status.
        from: ExecutionStatus,
        /// New status.
        to: ExecutionStatus,
    },
    /// This handler made no progress for too long, so lines were skipped for it. Only handlers
    /// receive this event.
    LinesMissed {
        /// The execution.
        execution_id: Uuid,
        /// Number of lines that this handler did not receive.
        count: u64,
    },
    /// This subscription was slower than the output, and what it had not read is no longer held. A
    /// line of which a part is missing is missed as a whole.
    OutputMissed {
        /// The execution.
        execution_id: Uuid,
        /// Number of bytes of output that it did not receive.
        bytes: u64,
    },
    /// This subscription to all executions was so slow that some were removed by retention before
    /// it had received all of their events.
    ExecutionsMissed {
        /// Number of executions.
        count: u64,
    },
    /// An attempt has failed, and [another one](crate::ExecutionOptions::retry) follows after a
    /// delay. It has its own `Started`.
    Retrying {
        /// The execution.
        execution_id: Uuid,
        /// Number of the attempt that has failed, the first being 1.
        attempt: u32,
        /// How it ended.
        ending: Ending,
        /// Time until the next attempt; in JSON as `delay_ms`.
        #[serde(rename = "delay_ms", with = "millis")]
        delay: Duration,
    },
    /// A step of a plan has been started, has ended, or will never run.
    Progress {
        /// The plan.
        plan_id: Uuid,
        /// Number of its commands that have ended or will never run.
        completed: usize,
        /// Number of its commands.
        total: usize,
        /// The step.
        step: PlanStep,
        /// The execution of the step. If the step never runs, the engine does not know this id.
        execution_id: Uuid,
        /// Status of the step.
        status: ExecutionStatus,
        /// The command of the step, as one would type it.
        current_command: String,
    },
    /// A plan has ended.
    PlanEnded {
        /// The plan.
        plan_id: Uuid,
        /// Final status.
        status: ExecutionStatus,
        /// From the start to the end; in JSON as `duration_ms`.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
    /// The program exited by itself.
    Completed {
        /// The execution.
        execution_id: Uuid,
        /// Whether its exit code was 0.
        success: bool,
        /// Its exit code, or -1 if a signal ended it.
        exit_code: i32,
        /// From the start to the end; in JSON as `duration_ms`.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
    /// The program could not be started, was killed by a signal, or exceeded a limit.
    Failed {
        /// The execution.
        execution_id: Uuid,
        /// The ending in words.
        error: String,
        /// From the start to the end; in JSON as `duration_ms`.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
    /// Stopped on request, or before it was started.
    Cancelled {
        /// The execution.
        execution_id: Uuid,
        /// From the start to the end; in JSON as `duration_ms`.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
    /// Stopped by its timeout or by the deadline of its plan.
    Timeout {
        /// The execution.
        execution_id: Uuid,
        /// The timeout in milliseconds.
        timeout_ms: u64,
        /// From the start to the end; in JSON as `duration_ms`.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
}

impl ExecutionEvent {
    /// Returns the id of the execution or plan of this event; nil for
    /// [`ExecutionsMissed`](Self::ExecutionsMissed).
    pub fn execution_id(&self) -> Uuid {
        match self {
            Self::Started { execution_id, .. }
            | Self::Stdout { execution_id, .. }
            | Self::Stderr { execution_id, .. }
            | Self::StatusChanged { execution_id, .. }
            | Self::LinesMissed { execution_id, .. }
            | Self::OutputMissed { execution_id, .. }
            | Self::Retrying { execution_id, .. }
            | Self::Completed { execution_id, .. }
            | Self::Failed { execution_id, .. }
            | Self::Cancelled { execution_id, .. }
            | Self::Timeout { execution_id, .. } => *execution_id,
            Self::ExecutionsMissed { .. } => Uuid::nil(),
            Self::Progress { plan_id, .. } | Self::PlanEnded { plan_id, .. } => *plan_id,
        }
    }

    /// Returns `true` for the last event of an execution or a plan.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Completed { .. }
                | Self::Failed { .. }
                | Self::Cancelled { .. }
                | Self::Timeout { .. }
                | Self::PlanEnded { .. }
        )
    }
}
