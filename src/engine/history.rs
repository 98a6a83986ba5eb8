//! The history: what the engine has forgotten, or an earlier engine has run.

use std::sync::Arc;

use uuid::Uuid;

use super::ExecutionEngine;
use crate::error::{ExecutionError, Result};
use crate::history::{History, HistoryWriter};
use crate::output::{CapturedOutput, Journal, captured_of_history};
use crate::types::{
    ExecutionResult, HistoryEntry, HistoryPage, HistoryPart, HistoryQuery, HistoryStatus,
    OutputPage, OutputQuery, OutputStream, OutputWindow, RawOutput,
};

/// Bytes beyond those of a page, of which it may hold back characters that have only begun.
const MORE_BYTES: usize = 16;

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
        let output = self.past_part(id, None).await?.output;
        let captured = OutputStream::BOTH.map(|stream| captured_of_history(&output, stream));
        let [stdout, stderr] = captured.each_ref().map(CapturedOutput::text);
        (result.stdout, result.stderr) = (stdout, stderr);
        result.raw = RawOutput::of(captured.each_ref().map(CapturedOutput::bytes));
        Ok(Some(result))
    }

    /// Returns a page of the output of an execution of the history. A page that begins where the query
    /// does needs no more of a long output than it shows.
    pub(super) async fn past_page(
        &self,
        id: Uuid,
        query: &OutputQuery,
        unknown: ExecutionError,
    ) -> Result<OutputPage> {
        let entry = self.past(id, unknown).await?;
        let is_ranged = query.window == OutputWindow::Head && query.stream.is_none();
        let part = self.past_part(id, is_ranged.then_some(query)).await?;
        let is_ended = part.is_last && entry.is_ended();
        Ok(Journal::of_history(id, &part.output, is_ended).page(query))
    }

    /// Returns the part of an output that a page shows, or all of it.
    async fn past_part(&self, id: Uuid, page: Option<&OutputQuery>) -> Result<HistoryPart> {
        let nothing = HistoryPart { is_last: true, ..HistoryPart::default() };
        let Some(writer) = &self.core.shared.history else { return Ok(nothing) };
        let range = page.map(|query| (query.cursor, query.max_bytes.saturating_add(MORE_BYTES)));
        let part = writer.ask(move |history| match range {
            Some((after, max_bytes)) => history.output_part(id, after, max_bytes),
            None => {
                let output = history.output(id)?;
                Ok(output.map(|output| HistoryPart { output, is_last: true }))
            }
        });
        let part = part.await.map_err(ExecutionError::history)?;
        Ok(part.unwrap_or(nothing))
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
