//! What there is to tell of an ended execution beside what was known from the beginning.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::exact;
use super::info::ExecutionInfo;
use crate::output::SealedJournal;
use crate::types::{
    Attempt, ContainmentReceipt, Ending, ExecutionEvent, ExecutionResult, RawOutput, ResourceUsage,
};

/// Serialized, it is without the earlier attempts, which few have, and without the bytes of the output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    #[serde(with = "exact::Ending")]
    pub(crate) ending: Ending,
    /// For its permit.
    pub(crate) waited: Duration,
    pub(crate) duration: Duration,
    pub(crate) signal: Option<i32>,
    #[serde(with = "exact::usage")]
    pub(crate) usage: Option<ResourceUsage>,
    pub(crate) published: SealedJournal,
    #[serde(with = "exact::ContainmentReceipt")]
    pub(crate) containment: ContainmentReceipt,
    pub(crate) output_error: Option<Box<str>>,
    pub(crate) lines_missed: u64,
    /// The attempts before the last.
    #[serde(skip)]
    pub(crate) earlier: Box<[Attempt]>,
}

impl Outcome {
    /// The result, its text made here and now from the bytes that are kept.
    pub(super) fn result(&self, profile: &ExecutionInfo) -> ExecutionResult {
        let [stdout, stderr] = &self.published.output;
        ExecutionResult {
            id: profile.id,
            status: self.ending.status(),
            success: self.ending.is_success(),
            exit_code: self.ending.exit_code(),
            stdout: stdout.text(),
            stderr: stderr.text(),
            waited: self.waited,
            duration: self.duration,
            started_at: profile.started_at(self.waited),
            completed_at: self.completed_at(profile),
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

    pub(crate) fn completed_at(&self, profile: &ExecutionInfo) -> DateTime<Utc> {
        profile.completed_at(self.waited, self.duration)
    }

    /// The last event of the execution, derived from its ending like everything else.
    pub(crate) fn terminal_event(&self, profile: &ExecutionInfo) -> ExecutionEvent {
        let (execution_id, duration) = (profile.id, self.duration);
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
