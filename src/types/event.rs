use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Ending, ExecutionStatus, PlanStep, millis};

/// What happens to an execution, as told to an [`EventHandler`](crate::EventHandler) and, with a
/// sequence number and a time, to a [`Subscription`](crate::Subscription).
///
/// For each execution `Started` comes first, then its lines in order, and one terminal event
/// (`Completed`, `Failed`, `Cancelled` or `Timeout`) comes last. One whose program could not be
/// started has no `Started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExecutionEvent {
    /// The program runs.
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
    /// The status is another one now.
    StatusChanged {
        /// The execution.
        execution_id: Uuid,
        /// What it was.
        from: ExecutionStatus,
        /// What it is.
        to: ExecutionStatus,
    },
    /// This handler finished nothing for too long, so lines were left out for it. Only handlers are
    /// told this.
    LinesMissed {
        /// The execution.
        execution_id: Uuid,
        /// How many lines this handler did not get.
        count: u64,
    },
    /// This subscription was slower than the output, and what it had not been told is no longer held.
    /// A line of which a part is missing is missed as a whole.
    OutputMissed {
        /// The execution.
        execution_id: Uuid,
        /// How many bytes of output it was not told.
        bytes: u64,
    },
    /// This subscription to all executions was so slow that some were forgotten before it had been
    /// told all of them.
    ExecutionsMissed {
        /// How many executions.
        count: u64,
    },
    /// An attempt has failed, and [another one](crate::ExecutionOptions::retry) follows after a
    /// pause. It has a `Started` of its own.
    Retrying {
        /// The execution.
        execution_id: Uuid,
        /// The number of the attempt that has failed, the first being 1.
        attempt: u32,
        /// How it ended.
        ending: Ending,
        /// How long the pause is; in JSON as `pause_ms`.
        #[serde(rename = "pause_ms", with = "millis")]
        pause: Duration,
    },
    /// A step of a plan has been started, has ended, or will never run.
    Progress {
        /// The plan.
        plan_id: Uuid,
        /// How many of its commands have ended or will never run.
        completed: usize,
        /// How many commands it has.
        total: usize,
        /// The step.
        step: PlanStep,
        /// The execution of the step; one that never runs is unknown to the engine.
        execution_id: Uuid,
        /// Where the step stands.
        status: ExecutionStatus,
        /// The command of the step, as one would type it.
        current_command: String,
    },
    /// A plan has ended.
    PlanEnded {
        /// The plan.
        plan_id: Uuid,
        /// Where it ended.
        status: ExecutionStatus,
        /// How long it took; in JSON as `duration_ms`.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
    /// The program ended by itself.
    Completed {
        /// The execution.
        execution_id: Uuid,
        /// Whether its exit code was 0.
        success: bool,
        /// Its exit code, or -1 if a signal ended it.
        exit_code: i32,
        /// How long it took; in JSON as `duration_ms`.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
    /// The program never ran, or broke a limit.
    Failed {
        /// The execution.
        execution_id: Uuid,
        /// Why.
        error: String,
        /// How long it took; in JSON as `duration_ms`.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
    /// Stopped on request.
    Cancelled {
        /// The execution.
        execution_id: Uuid,
        /// How long it ran; in JSON as `duration_ms`.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
    /// Stopped because its time was up.
    Timeout {
        /// The execution.
        execution_id: Uuid,
        /// The timeout in milliseconds.
        timeout_ms: u64,
        /// How long it ran; in JSON as `duration_ms`.
        #[serde(rename = "duration_ms", with = "millis")]
        duration: Duration,
    },
}

impl ExecutionEvent {
    /// The execution or the plan that this is about; nil for
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

    /// Whether this is the last event of its execution, or of its plan.
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
