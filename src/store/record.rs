//! The record of an ended execution: compact, shared, and the source of every result.

use std::sync::Arc;

use uuid::Uuid;

use super::info::ExecutionInfo;
use super::outcome::Outcome;
use super::packed::Packed;
use crate::output::{CapturedOutput, Journal};
use crate::types::{
    Ending, ExecutionResult, ExecutionStatus, ExecutionSummary, OutputStream, Survivor,
};

/// An ended execution.
#[derive(Debug)]
pub(crate) struct Record {
    profile: ExecutionInfo,
    facts: Packed,
}

impl Record {
    pub(crate) fn new(profile: ExecutionInfo, facts: Outcome) -> Self {
        Self { profile, facts: Packed::of(facts) }
    }

    pub(crate) fn id(&self) -> Uuid {
        self.profile.id
    }

    pub(crate) fn profile(&self) -> &ExecutionInfo {
        &self.profile
    }

    pub(crate) fn ending(&self) -> Ending {
        self.facts.unpacked().ending.clone()
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        self.ending().status()
    }

    pub(crate) fn survivors(&self) -> Vec<Survivor> {
        self.facts.unpacked().containment.survivors.clone()
    }

    pub(crate) fn summary(&self) -> ExecutionSummary {
        let facts = self.facts.unpacked();
        let times = [facts.waited, facts.duration];
        self.profile.summary(facts.ending.status(), times, Some(facts.ending.clone()))
    }

    pub(crate) fn result(&self) -> ExecutionResult {
        self.facts.unpacked().result(&self.profile)
    }

    pub(crate) fn captured(&self, stream: OutputStream) -> CapturedOutput {
        self.facts.unpacked().published.output[stream.index()].clone()
    }

    /// The journal made again, for those who come to watch when all is over.
    pub(crate) fn journal(&self) -> Arc<Journal> {
        let command = Arc::clone(&self.profile.command);
        let facts = self.facts.unpacked();
        let journal = Journal::revive(self.profile.owner(), command, &facts.published);
        let (at, from) =
            (facts.completed_at(&self.profile), facts.published.status_before_the_end());
        journal.status(at, from, facts.ending.status());
        journal.last(at, facts.terminal_event(&self.profile), facts.containment.clone());
        Arc::new(journal)
    }
}
