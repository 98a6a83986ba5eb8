//! The record of an ended execution: the source of its summary, its result and its replayed
//! journal.

use std::sync::Arc;
use std::time::Duration;

use execution_engine_process::Level;
use uuid::Uuid;

use super::info::{ExecutionInfo, Progress};
use super::outcome::Outcome;
use crate::output::{CapturedOutput, EventPayload, Journal, JournalOwner, SealedJournal};
use crate::types::{
    Artifact, ContainmentReceipt, Ending, ExecutionResult, ExecutionStatus, ExecutionSummary,
    HistoryOutput, OutputStream, Survivor,
};

/// An ended execution.
#[derive(Debug)]
pub(crate) struct Record {
    info: ExecutionInfo,
    outcome: Outcome,
}

impl Record {
    pub(crate) fn new(info: ExecutionInfo, outcome: Outcome) -> Self {
        Self { info, outcome }
    }

    /// Creates the record of a step that never ran.
    pub(super) fn without_program(id: Uuid, ending: Ending, level: Level) -> Self {
        let owner = JournalOwner { id, ..JournalOwner::default() };
        let info = ExecutionInfo::new(owner, "".into(), None);
        let outcome = Outcome {
            ending,
            waited: Duration::ZERO,
            duration: Duration::ZERO,
            signal: None,
            usage: None,
            published: SealedJournal::default(),
            containment: ContainmentReceipt::nothing(level),
            output_error: None,
            lines_missed: 0,
            attempts: 0,
            earlier: Box::default(),
            place: None,
            collected: None,
        };
        Self { info, outcome }
    }

    pub(crate) fn id(&self) -> Uuid {
        self.info.id
    }

    pub(crate) fn info(&self) -> &ExecutionInfo {
        &self.info
    }

    pub(crate) fn ending(&self) -> &Ending {
        &self.outcome.ending
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        self.outcome.ending.status()
    }

    /// Returns `true` if its program was started, or was tried to be.
    pub(crate) fn was_tried(&self) -> bool {
        self.outcome.attempts > 0
    }

    /// Returns the files that were collected.
    pub(crate) fn artifacts(&self) -> &[Artifact] {
        self.outcome.collected.as_deref().map_or(&[], |collected| &collected.artifacts)
    }

    pub(crate) fn survivors(&self) -> &[Survivor] {
        &self.outcome.containment.survivors
    }

    pub(crate) fn captured(&self, stream: OutputStream) -> &CapturedOutput {
        &self.outcome.published.output[stream.index()]
    }

    pub(crate) fn summary(&self) -> ExecutionSummary {
        let Outcome { ending, waited, duration, attempts, published, .. } = &self.outcome;
        let progress = Progress {
            status: ending.status(),
            waited: *waited,
            duration: *duration,
            attempts: *attempts,
            ending: Some(ending.clone()),
        };
        self.info.summary(progress, published.totals())
    }

    pub(crate) fn result(&self) -> ExecutionResult {
        self.outcome.result(&self.info)
    }

    /// Returns the output that is kept, for the history.
    pub(crate) fn history_output(&self) -> HistoryOutput {
        self.journal().kept_output()
    }

    /// Returns the journal made again, for watchers that come after the end.
    pub(crate) fn journal(&self) -> Arc<Journal> {
        let Self { info, outcome } = self;
        let journal = Journal::revive(info.owner(), Arc::clone(&info.command), &outcome.published)
            .with_metadata(info.metadata());
        let (from, to) = (outcome.published.status_before_the_end(), outcome.ending.status());
        let last = Box::new((outcome.terminal_event(info), outcome.containment.clone()));
        let at = outcome.completed_at(info);
        journal.event(at, EventPayload::Status { from, to });
        journal.event(at, EventPayload::Last(last));
        Arc::new(journal)
    }
}
