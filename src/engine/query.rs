//! Questions about all executions, and about the queue.

use execution_engine_process::{LimitUnavailable, Limits};
use uuid::Uuid;

use super::ExecutionEngine;
use crate::error::Result;
use crate::execution::ActiveExecution;
use crate::store::ExecutionEntry;
use crate::types::ExecutionSummary;

impl ExecutionEngine {
    /// Returns all executions that are running or remembered, in the order in which they were
    /// accepted; after them those in the queue, in the same order. Copies no output.
    pub async fn list_executions(&self) -> Vec<ExecutionSummary> {
        in_order(self.core.shared.registry.executions())
    }

    /// Returns what is known of an execution without its output: status, process id, times, attempts,
    /// and how much it has written. Copies no output. Never waits, but for a
    /// [history](crate::History) that is asked about what the engine has forgotten.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let id = engine.execute(ExecutionRequest::shell("echo hello")).await?;
    /// engine.wait_for_completion(id).await?;
    /// let summary = engine.get_summary(id).await?;
    /// assert_eq!((summary.stdout_stats.seen_bytes, summary.attempts), (6, 1));
    /// assert!(summary.pid.is_some() && !summary.truncated);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`](crate::ExecutionError::NotFound) for an unknown id.
    pub async fn get_summary(&self, id: Uuid) -> Result<ExecutionSummary> {
        match self.entry(id).await {
            Ok(entry) => Ok(summary(&entry)),
            Err(unknown) => Ok(self.past(id, unknown).await?.summary),
        }
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

    /// Checks that programs of this engine can have these limits, as a start does, and starts nothing.
    ///
    /// # Errors
    /// [`LimitUnavailable`] names the first that cannot be enforced, and what to do.
    ///
    /// ```
    /// use execution_engine::{ExecutionConfig, ExecutionEngine, Limits};
    ///
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let refused = engine.check_limits(&Limits::default().nice(99)).unwrap_err();
    /// assert_eq!(refused.field, "nice");
    /// # Ok::<(), execution_engine::ExecutionError>(())
    /// ```
    pub fn check_limits(&self, limits: &Limits) -> std::result::Result<(), LimitUnavailable> {
        self.core.shared.containment.check(limits)
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
        let ExecutionEntry::Active(active) = self.entry(id).await? else { return Ok(None) };
        Ok(active.queue_position())
    }
}

/// Returns summaries in the order in which the executions were accepted, queued ones last. The
/// system's clock does not tell that order: it may be set back.
fn in_order(mut entries: Vec<ExecutionEntry<ActiveExecution>>) -> Vec<ExecutionSummary> {
    entries.sort_by_cached_key(|entry| match entry {
        ExecutionEntry::Active(active) => {
            (active.queued_since().is_some(), active.info().owner().number)
        }
        ExecutionEntry::Ended(record) => (false, record.info().owner().number),
    });
    entries.iter().map(summary).collect()
}

fn summary(entry: &ExecutionEntry<ActiveExecution>) -> ExecutionSummary {
    match entry {
        ExecutionEntry::Active(active) => active.summary(),
        ExecutionEntry::Ended(record) => record.summary(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::OversizedOutputStrategy;
    use crate::execution::stdin_pair;
    use crate::output::{Journal, JournalLimits, JournalOwner};
    use crate::store::ExecutionInfo;
    use crate::time::Deadline;
    use crate::types::StdinSource;

    #[test]
    fn executions_are_listed_by_acceptance_also_if_the_clock_is_set_back() {
        let limits = JournalLimits {
            limit: 1,
            oversized: OversizedOutputStrategy::TruncateWithWarning,
            window: 0,
            max_line_bytes: 100,
        };
        // A lower number with a later time, as after the clock was set back.
        let entries = [2, 0, 1].map(|number| {
            let owner = JournalOwner { id: Uuid::from_u128(number.into()), number };
            let info = ExecutionInfo::new(owner, "test".into(), None);
            let journal = Arc::new(Journal::new(owner, "test".into(), limits));
            let (stdin, _) = stdin_pair(&StdinSource::Null);
            let deadline = Deadline::never();
            let active = ActiveExecution::new(info, journal, stdin, deadline, None);
            ExecutionEntry::Active(Arc::new(active))
        });
        let listed = in_order(entries.into());
        let ids: Vec<_> = listed.iter().map(|summary| summary.id.as_u128()).collect();
        assert_eq!(ids, [0, 1, 2]);
        assert!(listed[0].started_at >= listed[2].started_at, "the clock says otherwise");
    }
}
