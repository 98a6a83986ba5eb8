//! The record of an ended execution: compact, shared, and the source of every result.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::model::{
    Attempt, ContainmentReceipt, Ending, ExecutionEvent, ExecutionMetadata, ExecutionResult,
    ExecutionStatus, ExecutionSummary, RawOutput, ResourceUsage, Stream,
};
use crate::output::{Captured, Journal, Sealed};

/// What is known of an execution from its first moment on; all that is left of its request.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) id: Uuid,
    pub(crate) command: Arc<str>,
    /// None for a request without notes, which is most of them.
    pub(crate) metadata: Option<Box<ExecutionMetadata>>,
    pub(crate) accepted_at: DateTime<Utc>,
    /// The readable log, whose name is ours.
    pub(crate) own_log: Option<Box<Path>>,
    /// What arrived as it arrived, where the user has named a file.
    pub(crate) raw_log: Option<Box<Path>>,
}

/// An ended execution.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) profile: Arc<Profile>,
    pub(crate) ending: Ending,
    /// For its permit.
    pub(crate) waited: Duration,
    pub(crate) duration: Duration,
    pub(crate) signal: Option<i32>,
    pub(crate) usage: Option<ResourceUsage>,
    pub(crate) published: Sealed,
    pub(crate) containment: ContainmentReceipt,
    pub(crate) output_error: Option<Box<str>>,
    pub(crate) lines_missed: u64,
    /// The attempts before the last.
    pub(crate) earlier: Box<[Attempt]>,
}

impl Profile {
    /// When an execution that has waited so long for its permit was started.
    pub(crate) fn started_at(&self, waited: Duration) -> DateTime<Utc> {
        later(self.accepted_at, waited)
    }

    pub(crate) fn summary(
        &self,
        status: ExecutionStatus,
        [waited, duration]: [Duration; 2],
        ending: Option<Ending>,
    ) -> ExecutionSummary {
        ExecutionSummary {
            id: self.id,
            status,
            command: self.command.to_string(),
            started_at: self.started_at(waited),
            duration,
            ending,
            metadata: self.metadata.as_deref().cloned().unwrap_or_default(),
        }
    }
}

impl Record {
    pub(crate) fn summary(&self) -> ExecutionSummary {
        let times = [self.waited, self.duration];
        self.profile.summary(self.ending.status(), times, Some(self.ending.clone()))
    }

    /// The result, its text made here and now from the bytes that are kept.
    pub(crate) fn result(&self) -> ExecutionResult {
        let [stdout, stderr] = &self.published.output;
        ExecutionResult {
            id: self.profile.id,
            status: self.ending.status(),
            success: self.ending.is_success(),
            exit_code: self.ending.exit_code(),
            stdout: stdout.text(),
            stderr: stderr.text(),
            waited: self.waited,
            duration: self.duration,
            started_at: self.started_at(),
            completed_at: self.completed_at(),
            error: self.ending.message(),
            stdout_overflow_file: stdout.overflow_path(),
            stderr_overflow_file: stderr.overflow_path(),
            ending: self.ending.clone(),
            signal: self.signal,
            usage: self.usage,
            stdout_stats: stdout.stats(),
            stderr_stats: stderr.stats(),
            containment: self.containment.clone(),
            output_error: self.output_error.as_deref().map(str::to_string),
            lines_missed: self.lines_missed,
            earlier_attempts: self.earlier.to_vec(),
            raw: RawOutput::of([stdout.bytes(), stderr.bytes()]),
        }
    }

    pub(crate) fn captured(&self, stream: Stream) -> &Captured {
        &self.published.output[stream.index()]
    }

    fn started_at(&self) -> DateTime<Utc> {
        self.profile.started_at(self.waited)
    }

    pub(crate) fn completed_at(&self) -> DateTime<Utc> {
        later(self.started_at(), self.duration)
    }

    /// The journal made again, for those who come to watch when all is over.
    pub(crate) fn journal(&self) -> Arc<Journal> {
        let Profile { id, command, .. } = &*self.profile;
        let journal = Journal::revive(*id, Arc::clone(command), &self.published);
        let (at, from) = (self.completed_at(), self.published.status_before_the_end());
        journal.status(at, from, self.ending.status());
        journal.last(at, self.terminal_event(), self.containment.clone());
        Arc::new(journal)
    }

    /// The last event of the execution, derived from its ending like everything else.
    pub(crate) fn terminal_event(&self) -> ExecutionEvent {
        let (execution_id, duration) = (self.profile.id, self.duration);
        match &self.ending {
            Ending::Exited { .. } | Ending::Signaled { .. } | Ending::StatusUnknown => {
                ExecutionEvent::Completed {
                    execution_id,
                    success: self.ending.is_success(),
                    exit_code: self.ending.exit_code(),
                    duration,
                }
            }
            Ending::TimedOut { timeout_ms } => {
                ExecutionEvent::Timeout { execution_id, timeout_ms: *timeout_ms, duration }
            }
            Ending::PlanDeadline { deadline_ms } => {
                ExecutionEvent::Timeout { execution_id, timeout_ms: *deadline_ms, duration }
            }
            Ending::Cancelled | Ending::EngineClosed => {
                ExecutionEvent::Cancelled { execution_id, duration }
            }
            Ending::OutputLimit { .. }
            | Ending::OutputLost { .. }
            | Ending::ResourceLimit { .. }
            | Ending::SpawnFailed { .. }
            | Ending::NotRun { .. }
            | Ending::EngineFailed { .. } => {
                ExecutionEvent::Failed { execution_id, error: self.ending.to_string(), duration }
            }
        }
    }
}

fn later(moment: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    moment.checked_add_signed(by).unwrap_or(moment)
}
