//! What happens to a plan, as lines of JSON in the output of its execution. Pure.

use bytes::{Buf as _, Bytes, BytesMut};
use chrono::{DateTime, Utc};
use execution_engine::{Ending, ExecutionResult, PlanEnding, PlanSpec, SkipReason};
use serde::{Deserialize, Serialize};

/// One event of a plan. All observers have the same, in the same order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanEvent {
    /// How many events came before it.
    pub number: u64,
    /// When, in milliseconds since 1970-01-01 UTC. For people: it orders nothing.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: PlanEventKind,
}

/// What happened to a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanEventKind {
    /// A worker conducts it for the first time.
    Began {
        /// The plan without values of environments and stdin.
        spec: Box<PlanSpec>,
    },
    /// A worker conducts it from now on.
    Conducted {
        /// The worker.
        worker: String,
    },
    /// A step is to start: its execution is submitted.
    Queued {
        /// Index of the step.
        step: usize,
    },
    /// A worker makes a start of a step.
    Running {
        /// Index of the step.
        step: usize,
        /// The worker.
        worker: String,
    },
    /// A step has ended.
    Ended(StepEnd),
    /// A step will never run.
    Skipped {
        /// Index of the step.
        step: usize,
        /// Why.
        reason: SkipReason,
    },
    /// Steps are to be stopped, and others not to start.
    Stopped {
        /// Why.
        cause: StopCause,
        /// How many bytes of stops of clients are taken into account.
        #[serde(default)]
        input: u64,
    },
    /// All steps have ended or will never run.
    Over {
        /// How the plan has ended.
        ending: PlanEnding,
    },
    /// A kind of a later version, which decides nothing.
    #[serde(other)]
    Unknown,
}

/// How a step has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEnd {
    /// Index of the step.
    pub step: usize,
    /// How.
    pub ending: Ending,
    /// Whether it failed and was allowed to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failure_allowed: bool,
    /// What its worker measured; `None` if it was not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran: Option<StepRun>,
}

/// The last start of a step, as its worker measured it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRun {
    /// When its program was started.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// From one to the other in milliseconds, by a clock that is never set.
    pub duration_ms: u64,
    /// How often the step was started.
    pub attempts: u32,
}

impl StepRun {
    pub(super) fn of(result: &ExecutionResult, attempts: u32) -> Self {
        Self {
            started_at: result.started_at,
            ended_at: result.completed_at,
            duration_ms: u64::try_from(result.duration.as_millis()).unwrap_or(u64::MAX),
            attempts,
        }
    }
}

/// Why steps of a plan are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// A client stops all steps but those that always run.
    Cancel,
    /// A client stops all steps.
    CancelAll,
    /// The deadline has passed. Steps that always run do.
    Deadline,
}

/// Returns the line of an event.
pub(super) fn line(event: &PlanEvent) -> Vec<u8> {
    // Keys are text and numbers are finite, so it has a form.
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Puts lines together from the output of a plan.
#[derive(Debug, Default)]
pub(super) struct Lines(BytesMut);

impl Lines {
    /// Drops the beginning of a line: its conductor is lost, and the next one tells the event again.
    pub(super) fn begin(&mut self) {
        self.0.clear();
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Returns the next whole line.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let line = self.0.split_to(end).freeze();
        self.0.advance(1);
        Some(line)
    }
}

/// Returns the event of a line.
pub(super) fn parse(line: &[u8]) -> Result<PlanEvent, serde_json::Error> {
    serde_json::from_slice(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_told_again() {
        let event = |number| PlanEvent {
            number,
            at_ms: 5,
            kind: PlanEventKind::Queued { step: number as usize },
        };
        let mut lines = Lines::default();
        let (first, second) = (line(&event(0)), line(&event(1)));
        lines.push(&first);
        lines.push(&second[..9]);
        assert_eq!(parse(&lines.next().unwrap()).unwrap(), event(0));
        assert_eq!(lines.next(), None);
        lines.begin();
        lines.push(&second);
        assert_eq!(parse(&lines.next().unwrap()).unwrap(), event(1));
        assert_eq!(lines.next(), None);
    }
}
