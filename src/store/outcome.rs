//! What came of an execution, and the conversion to the public result and the terminal event.
//!
//! The record holds the output as bytes. The `String`s of an [`ExecutionResult`] are made here each
//! time one is asked for, so that a record holds its output once.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::info::ExecutionInfo;
use crate::output::SealedJournal;
use crate::types::{
    Artifact, Attempt, ContainmentReceipt, Ending, ExecutionEvent, ExecutionResult,
    ExecutionStatus, Place, RawOutput, ResourceUsage,
};

/// What is known of an execution only once it has ended. What is rare (survivors, earlier attempts,
/// the reason for incomplete output) takes heap memory only where there is any.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    /// How long it waited for its permit.
    pub(crate) waited: Duration,
    pub(crate) duration: Duration,
    pub(crate) signal: Option<i32>,
    pub(crate) usage: Option<ResourceUsage>,
    pub(crate) published: SealedJournal,
    pub(crate) containment: ContainmentReceipt,
    pub(crate) output_error: Option<Box<str>>,
    pub(crate) lines_missed: u64,
    /// In how many attempts the program was started, or was tried to be.
    pub(crate) attempts: u32,
    /// The first and the last of the attempts before the last.
    pub(crate) earlier: Box<[Attempt]>,
    /// None if this engine has run it.
    pub(crate) place: Option<Box<Place>>,
    /// None if nothing was to be collected.
    pub(crate) collected: Option<Box<Collected>>,
}

/// What was collected at the place where an execution ran.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(super) artifacts: Vec<Artifact>,
    errors: Vec<String>,
}

impl Outcome {
    /// Makes the result, with its text from the bytes that are kept.
    pub(super) fn result(&self, info: &ExecutionInfo) -> ExecutionResult {
        let [stdout, stderr] = &self.published.output;
        let [stdout_totals, stderr_totals] = self.published.totals().streams;
        let collected = self.collected.as_deref();
        let collected = collected.map(|it| (it.artifacts.clone(), it.errors.clone()));
        let (artifacts, collect_errors) = collected.unwrap_or_default();
        ExecutionResult {
            id: info.id,
            status: self.ending.status(),
            success: self.ending.is_success(),
            exit_code: self.ending.exit_code(),
            stdout: stdout.text(),
            stderr: stderr.text(),
            waited: self.waited,
            duration: self.duration,
            started_at: info.started_at(self.waited),
            completed_at: self.completed_at(info),
            error: self.ending.message(),
            stdout_overflow_file: stdout.overflow_path(),
            stderr_overflow_file: stderr.overflow_path(),
            ending: self.ending.clone(),
            signal: self.signal,
            usage: self.usage,
            stdout_stats: stdout_totals.stats,
            stderr_stats: stderr_totals.stats,
            truncated: stdout_totals.is_truncated || stderr_totals.is_truncated,
            containment: self.containment.clone(),
            output_error: self.output_error.as_deref().map(str::to_string),
            lines_missed: self.lines_missed,
            attempts: self.attempts,
            earlier_attempts: self.earlier.to_vec(),
            place: self.place.as_deref().cloned(),
            artifacts,
            collect_errors,
            raw: RawOutput::of([stdout.bytes(), stderr.bytes()]),
        }
    }

    /// Takes over what was told by the place where the execution ran. The output is that which came
    /// here, and its ending was taken over before.
    pub(crate) fn ran_elsewhere(self, info: &ExecutionInfo, told: ExecutionResult) -> Self {
        let accepted_at = info.started_at(Duration::ZERO);
        let not_there = told.output_error.map(|error| format!("where it ran: {error}"));
        let here = self.output_error.map(String::from);
        let output_error = here.into_iter().chain(not_there).reduce(|a, b| a + "; " + &b);
        // What the place says of an attempt is more than what was seen of it here.
        let mut earlier = self.earlier.into_vec();
        earlier.retain(|seen| told.earlier_attempts.iter().all(|it| it.number != seen.number));
        earlier.extend(told.earlier_attempts);
        earlier.sort_by_key(|attempt| attempt.number);
        let (artifacts, errors) = (told.artifacts, told.collect_errors);
        let has_collected = !artifacts.is_empty() || !errors.is_empty();
        Self {
            // By the clock of the place, which may be behind.
            waited: (told.started_at - accepted_at).to_std().unwrap_or_default(),
            duration: told.duration,
            signal: told.signal,
            usage: told.usage,
            containment: told.containment,
            output_error: output_error.map(String::into_boxed_str),
            attempts: told.attempts,
            earlier: earlier.into_boxed_slice(),
            place: told.place.map(Box::new),
            collected: has_collected.then(|| Box::new(Collected { artifacts, errors })),
            ..self
        }
    }

    pub(crate) fn completed_at(&self, info: &ExecutionInfo) -> DateTime<Utc> {
        info.completed_at(self.waited, self.duration)
    }

    /// Returns the last event of the execution, derived from its ending like everything else.
    pub(crate) fn terminal_event(&self, info: &ExecutionInfo) -> ExecutionEvent {
        let (execution_id, duration) = (info.id, self.duration);
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
            Ending::IdleTimedOut { idle_timeout_ms } => {
                ExecutionEvent::Timeout { execution_id, timeout_ms: *idle_timeout_ms, duration }
            }
            Ending::PlanDeadline { deadline_ms } => {
                ExecutionEvent::Timeout { execution_id, timeout_ms: *deadline_ms, duration }
            }
            Ending::Cancelled | Ending::EngineClosed => {
                ExecutionEvent::Cancelled { execution_id, duration }
            }
            Ending::NotRun { reason } if reason.status() == ExecutionStatus::Cancelled => {
                ExecutionEvent::Cancelled { execution_id, duration }
            }
            Ending::OutputLimit { .. }
            | Ending::OutputLost { .. }
            | Ending::ResourceLimit { .. }
            | Ending::SpawnFailed { .. }
            | Ending::NotRun { .. }
            | Ending::EngineFailed { .. }
            | Ending::Lost { .. }
            | Ending::WorkerLost { .. }
            | Ending::Unknown { .. } => {
                ExecutionEvent::Failed { execution_id, error: self.ending.to_string(), duration }
            }
        }
    }
}
