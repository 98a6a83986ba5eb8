//! What is known of an execution from the moment it is accepted; all that is left of its request.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::output::{JournalOwner, JournalTotals, RawLog};
use crate::types::{Ending, ExecutionMetadata, ExecutionStatus, ExecutionSummary};

/// Identity of an execution. Its parts are shared, so that a record holds a cheap copy.
#[derive(Debug, Clone)]
pub(crate) struct ExecutionInfo {
    pub(crate) id: Uuid,
    /// Its number in the order of acceptance.
    number: u64,
    pub(crate) command: Arc<str>,
    /// When it was accepted, in microseconds of the system's clock.
    accepted_at: i64,
    /// None for a request without notes, which most are.
    pub(crate) notes: Option<Arc<RequestNotes>>,
}

/// How far an execution has come.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) status: ExecutionStatus,
    pub(crate) waited: Duration,
    pub(crate) duration: Duration,
    pub(crate) attempts: u32,
    pub(crate) ending: Option<Ending>,
}

/// Metadata and log path of a request.
#[derive(Debug, Default)]
pub(crate) struct RequestNotes {
    /// None without any.
    pub(crate) metadata: Option<Arc<ExecutionMetadata>>,
    pub(crate) raw_log: Option<Arc<RawLog>>,
}

impl ExecutionInfo {
    /// Makes the identity of an execution that is accepted now.
    pub(crate) fn new(
        JournalOwner { id, number }: JournalOwner,
        command: Arc<str>,
        notes: Option<Arc<RequestNotes>>,
    ) -> Self {
        Self { id, number, command, accepted_at: Utc::now().timestamp_micros(), notes }
    }

    /// Sets when it was accepted, if that was not now.
    pub(crate) fn accepted_at(self, at: DateTime<Utc>) -> Self {
        Self { accepted_at: at.timestamp_micros(), ..self }
    }

    pub(crate) fn owner(&self) -> JournalOwner {
        JournalOwner { id: self.id, number: self.number }
    }

    pub(crate) fn metadata(&self) -> Option<Arc<ExecutionMetadata>> {
        self.notes.as_ref()?.metadata.clone()
    }

    pub(crate) fn raw_log(&self) -> Option<Arc<RawLog>> {
        self.notes.as_ref()?.raw_log.clone()
    }

    /// Returns when the execution started, given how long it waited for its permit.
    pub(crate) fn started_at(&self, waited: Duration) -> DateTime<Utc> {
        later(DateTime::from_timestamp_micros(self.accepted_at).unwrap_or_default(), waited)
    }

    pub(super) fn completed_at(&self, waited: Duration, duration: Duration) -> DateTime<Utc> {
        later(self.started_at(waited), duration)
    }

    pub(crate) fn summary(&self, progress: Progress, totals: JournalTotals) -> ExecutionSummary {
        let Progress { status, waited, duration, attempts, ending } = progress;
        let metadata = self.metadata().as_deref().cloned();
        let [stdout, stderr] = totals.streams;
        ExecutionSummary {
            id: self.id,
            status,
            command: self.command.to_string(),
            pid: totals.pid,
            started_at: self.started_at(waited),
            completed_at: ending.is_some().then(|| self.completed_at(waited, duration)),
            waited,
            duration,
            attempts,
            stdout_stats: stdout.stats,
            stderr_stats: stderr.stats,
            truncated: stdout.is_truncated || stderr.is_truncated,
            ending,
            metadata: metadata.unwrap_or_default(),
        }
    }
}

impl RequestNotes {
    /// Returns the notes of a request; None if it has none.
    pub(crate) fn of(
        metadata: &ExecutionMetadata,
        raw_log: Option<Arc<RawLog>>,
    ) -> Option<Arc<Self>> {
        let metadata = metadata.shared();
        if raw_log.is_none() && metadata.is_none() {
            return None;
        }
        Some(Arc::new(Self { metadata, raw_log }))
    }
}

/// Adds a duration that may be too long for a calendar.
fn later(moment: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    moment.checked_add_signed(by).unwrap_or(moment)
}
