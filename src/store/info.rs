//! What is known of an execution from the moment it is accepted; all that is left of its request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::output::JournalOwner;
use crate::types::{Ending, ExecutionMetadata, ExecutionStatus, ExecutionSummary};

/// Identity of an execution. Its parts are shared, so that a record holds a cheap copy.
#[derive(Debug, Clone)]
pub(crate) struct ExecutionInfo {
    pub(crate) id: Uuid,
    pub(crate) command: Arc<str>,
    pub(crate) accepted_at: DateTime<Utc>,
    /// None for a request without notes, which most are.
    pub(crate) notes: Option<Arc<RequestNotes>>,
}

/// Metadata and log path of a request.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RequestNotes {
    pub(crate) metadata: ExecutionMetadata,
    /// Log of the output as it was read (`output_log_path`).
    pub(crate) raw_log: Option<Box<Path>>,
}

impl ExecutionInfo {
    pub(crate) fn owner(&self) -> JournalOwner {
        JournalOwner { id: self.id, accepted_at: self.accepted_at }
    }

    pub(crate) fn raw_log(&self) -> Option<&Path> {
        self.notes.as_ref().and_then(|notes| notes.raw_log.as_deref())
    }

    /// Returns when the execution started, given how long it waited for its permit.
    pub(crate) fn started_at(&self, waited: Duration) -> DateTime<Utc> {
        later(self.accepted_at, waited)
    }

    pub(super) fn completed_at(&self, waited: Duration, duration: Duration) -> DateTime<Utc> {
        later(self.started_at(waited), duration)
    }

    pub(crate) fn summary(
        &self,
        status: ExecutionStatus,
        [waited, duration]: [Duration; 2],
        ending: Option<Ending>,
    ) -> ExecutionSummary {
        let metadata = self.notes.as_ref().map(|notes| notes.metadata.clone());
        ExecutionSummary {
            id: self.id,
            status,
            command: self.command.to_string(),
            started_at: self.started_at(waited),
            duration,
            ending,
            metadata: metadata.unwrap_or_default(),
        }
    }
}

impl RequestNotes {
    /// Returns the notes of a request; None if it has none.
    pub(crate) fn of(metadata: &ExecutionMetadata, raw_log: Option<&Path>) -> Option<Arc<Self>> {
        if raw_log.is_none() && *metadata == ExecutionMetadata::default() {
            return None;
        }
        let (metadata, raw_log) = (metadata.clone(), raw_log.map(Box::from));
        Some(Arc::new(Self { metadata, raw_log }))
    }
}

/// Adds a duration that may be too long for a calendar.
fn later(moment: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    moment.checked_add_signed(by).unwrap_or(moment)
}
