//! Questions about all executions, and about the queue.

use uuid::Uuid;

use super::ExecutionEngine;
use crate::error::Result;
use crate::store::ExecutionEntry;
use crate::types::ExecutionSummary;

impl ExecutionEngine {
    /// Returns all executions that are running or remembered, oldest first; after them those in the
    /// queue, oldest first. Copies no output.
    pub async fn list_executions(&self) -> Vec<ExecutionSummary> {
        let entries = self.core.shared.registry.executions();
        let mut all: Vec<_> = entries
            .into_iter()
            .map(|entry| match entry {
                ExecutionEntry::Active(active) => (active.queued_since(), active.summary()),
                ExecutionEntry::Ended(record) => (None, record.summary()),
            })
            .collect();
        // Queued ones have not started, so the start time alone would not order them.
        all.sort_by_key(|(queued_since, summary)| (*queued_since, summary.started_at));
        all.into_iter().map(|(_, summary)| summary).collect()
    }

    /// Returns how many executions hold a permit.
    pub async fn running_count(&self) -> usize {
        self.core.shared.registry.permits().taken()
    }

    /// Returns how many executions are queued, running or remembered.
    pub async fn total_count(&self) -> usize {
        self.core.shared.registry.execution_count()
    }

    /// Returns how many more executions may be started now.
    pub fn available_permits(&self) -> usize {
        self.core.shared.registry.permits().available()
    }

    /// Returns how many executions wait for their permit.
    pub async fn waiting_count(&self) -> usize {
        self.core.shared.registry.permits().waiting()
    }

    /// Returns the position of an execution in the [queue](crate::Admission::Queue), the first
    /// being 1; `None` if it does not wait. One before it may be overtaken if its
    /// [group](crate::EngineBuilder::group) is full.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`](crate::ExecutionError::NotFound) for an unknown id.
    pub async fn queue_position(&self, id: Uuid) -> Result<Option<usize>> {
        let ExecutionEntry::Active(active) = self.entry(id)? else { return Ok(None) };
        let permits = self.core.shared.registry.permits();
        Ok(active.queue_slot().and_then(|slot| permits.position(slot)))
    }
}
