//! The history: what the engine has forgotten, or an earlier engine has run.

use std::sync::Arc;

use uuid::Uuid;

use super::ExecutionEngine;
use crate::error::{ExecutionError, Result};
use crate::history::{History, HistoryWriter};
use crate::output::{Journal, text_of_history};
use crate::types::{
    ExecutionResult, HistoryEntry, HistoryOutput, HistoryPage, HistoryQuery, HistoryStatus,
    OutputStream,
};

impl ExecutionEngine {
    /// Returns the [history](crate::EngineBuilder::history) of the engine; `None` without one.
    pub fn history(&self) -> Option<Arc<dyn History>> {
        Some(Arc::clone(self.core.shared.history.as_ref()?.history()))
    }

    /// Returns how the history keeps up, and what could not be stored; `None` without one.
    pub fn history_status(&self) -> Option<HistoryStatus> {
        Some(self.core.shared.history.as_ref()?.status())
    }

    /// Lists executions of the history, the one that was accepted last first: those of this engine,
    /// and those of engines before it. Sees all endings before the call.
    ///
    /// # Errors
    /// [`NoHistory`](ExecutionError::NoHistory) without a history,
    /// [`History`](ExecutionError::History) if it cannot be read or does not know the cursor, and
    /// [`Validation`](ExecutionError::Validation) for a limit that is not 1 to 1,000.
    ///
    /// # Cancel safety
    /// Listing changes nothing, so the future can be dropped at any point.
    pub async fn list_history(&self, query: HistoryQuery) -> Result<HistoryPage> {
        let writer = self.core.shared.history.as_ref().ok_or(ExecutionError::NoHistory)?;
        crate::prepare::history_limit(query.limit)?;
        writer.ask(move |history| history.list(&query)).await.map_err(ExecutionError::history)
    }

    /// Returns an execution that memory does not have, from the history.
    ///
    /// # Errors
    /// `unknown`, if it is not there either.
    pub(super) async fn past(&self, id: Uuid, unknown: ExecutionError) -> Result<HistoryEntry> {
        let ExecutionError::NotFound(_) = unknown else { return Err(unknown) };
        let Some(writer) = &self.core.shared.history else { return Err(unknown) };
        let found = writer.ask(move |history| history.get(id)).await;
        found.map_err(ExecutionError::history)?.ok_or(unknown)
    }

    /// Returns the result of an execution of the history; None if it has not ended there.
    pub(super) async fn past_result(
        &self,
        id: Uuid,
        unknown: ExecutionError,
    ) -> Result<Option<ExecutionResult>> {
        let Some(mut result) = self.past(id, unknown).await?.result else { return Ok(None) };
        let output = self.past_output(id).await?;
        let text = |stream| text_of_history(&output, stream);
        (result.stdout, result.stderr) = (text(OutputStream::Stdout), text(OutputStream::Stderr));
        Ok(Some(result))
    }

    /// Returns the output of an execution of the history, for reading pages of it.
    pub(super) async fn past_journal(&self, id: Uuid, unknown: ExecutionError) -> Result<Journal> {
        let entry = self.past(id, unknown).await?;
        let output = self.past_output(id).await?;
        Ok(Journal::of_history(id, &output, entry.is_ended()))
    }

    async fn past_output(&self, id: Uuid) -> Result<HistoryOutput> {
        let Some(writer) = &self.core.shared.history else { return Ok(HistoryOutput::default()) };
        let output = writer.ask(move |history| history.output(id)).await;
        Ok(output.map_err(ExecutionError::history)?.unwrap_or_default())
    }

    /// Removes an execution from the history, and returns whether it was there.
    pub(super) async fn remove_past(&self, id: Uuid) -> Result<bool> {
        let Some(writer) = &self.core.shared.history else { return Ok(false) };
        writer.ask(move |history| history.remove(id)).await.map_err(ExecutionError::history)
    }
}

/// Waits until a history has all that ended before, or is stuck.
pub(super) async fn flush(engine: &ExecutionEngine, writer: &HistoryWriter) {
    let runtime = &engine.core.shared.runtime;
    if runtime.start().is_ok() {
        writer.flush(|at| runtime.timer(at)).await;
    }
}
