//! The history of the host: executions that are remembered beyond the life of an engine.
//!
//! [`History`] is what a host implements. [`writer`] makes its calls, one at a time, on a thread that
//! may block. [`live`] gives it output while it is read.

mod live;
mod writer;

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use crate::output::OutputSink;
use crate::types::{
    HistoryEntry, HistoryOutput, HistoryPage, HistoryPart, HistoryQuery, OutputCursor,
};
pub(crate) use live::LiveOutput;
pub(crate) use writer::{HistoryRoom, HistoryWriter};

/// Store of executions that outlives an engine, so that an application has a history that survives a
/// restart. Set it with [`EngineBuilder::history`](crate::EngineBuilder::history).
///
/// The engine calls it from one thread of its own, which may block, one call after the other and in
/// order: [`accepted`](Self::accepted) once an execution was accepted, [`ended`](Self::ended) after
/// its end. Executions do not wait for it, unless it falls behind: when 256 endings wait to be
/// stored, further executions end only as it goes on. If it finishes no call for 30 s meanwhile, they
/// end without being stored. Whatever was not stored is counted by
/// [`history_status`](crate::ExecutionEngine::history_status); a call that panics is one that failed.
///
/// It answers for what the engine has forgotten: [`get_status`](crate::ExecutionEngine::get_status),
/// [`get_summary`](crate::ExecutionEngine::get_summary),
/// [`get_result`](crate::ExecutionEngine::get_result),
/// [`wait_for_completion`](crate::ExecutionEngine::wait_for_completion),
/// [`read_output`](crate::ExecutionEngine::read_output). Answers see all endings before the call.
/// Subscriptions, control and plans are about what the engine has in memory; the steps of a plan are
/// stored as the executions that they are.
///
/// **Lost executions.** An execution that was accepted and has no ending when its host dies never gets
/// one. Where the history is opened again, it shows those as [`Lost`](crate::Ending::Lost), by
/// [`HistoryEntry::into_lost`]. Only the implementation can tell which they are, because several
/// hosts may share a history.
pub trait History: Send + Sync + 'static {
    /// Stores an execution that was accepted. Its status is `Pending`, and it has no result.
    ///
    /// # Errors
    /// Whatever kept it from being stored.
    fn accepted(&self, entry: &HistoryEntry) -> io::Result<()>;

    /// Stores an execution that has ended, with the output that was kept, in place of what
    /// [`accepted`](Self::accepted) has stored. That may have failed, so the entry is complete.
    ///
    /// # Errors
    /// Whatever kept it from being stored.
    fn ended(&self, entry: &HistoryEntry, output: &HistoryOutput) -> io::Result<()>;

    /// Returns a sink for the output of an execution while it is read, so that something is left of it if the
    /// host dies. None, the default, for a history that needs no output before the end.
    ///
    /// Called with what [`accepted`](Self::accepted) is told, but on the thread that starts the execution, before
    /// its program is started; it must not block. The sink is called like that of the host
    /// ([`EngineBuilder::output_sink`](crate::EngineBuilder::output_sink)) and before it: the program waits
    /// meanwhile. It gets all output, and [`ended`](Self::ended) what of it was kept. An error of it is logged and
    /// changes nothing else.
    fn live_output(&self, entry: &HistoryEntry) -> Option<Arc<dyn OutputSink>> {
        let _unused = entry;
        None
    }

    /// Removes an execution, and returns whether it was there.
    ///
    /// Called by [`remove_execution`](crate::ExecutionEngine::remove_execution), and for a request that
    /// was refused after all. What the engine forgets by retention stays.
    ///
    /// # Errors
    /// Whatever kept it from being removed.
    fn remove(&self, id: Uuid) -> io::Result<bool>;

    /// Returns an execution; `None` if it is not there.
    ///
    /// # Errors
    /// Whatever kept it from being read.
    fn get(&self, id: Uuid) -> io::Result<Option<HistoryEntry>>;

    /// Returns the output of an ended execution; `None` if it is not there.
    ///
    /// # Errors
    /// Whatever kept it from being read.
    fn output(&self, id: Uuid) -> io::Result<Option<HistoryOutput>>;

    /// Returns a part of the output of an ended execution: at least `max_bytes` bytes of what comes behind
    /// `after` in its streams, or all of that. `None` if it is not there.
    ///
    /// [`read_output`](crate::ExecutionEngine::read_output) asks for each page with it. By default it
    /// returns all of the output; a history of long output should read no more than is asked for.
    ///
    /// # Errors
    /// Whatever kept it from being read.
    fn output_part(
        &self,
        id: Uuid,
        after: OutputCursor,
        max_bytes: usize,
    ) -> io::Result<Option<HistoryPart>> {
        let _whole = (after, max_bytes);
        Ok(self.output(id)?.map(|output| HistoryPart { output, is_last: true }))
    }

    /// Returns the executions for which [`matches`](HistoryQuery::matches) is true, the one that was
    /// accepted last first.
    ///
    /// # Errors
    /// Whatever kept them from being read. A cursor that is not one of its own is
    /// [`InvalidInput`](io::ErrorKind::InvalidInput).
    fn list(&self, query: &HistoryQuery) -> io::Result<HistoryPage>;

    /// Makes durable what was stored before. Called at the end of the engine. Does nothing by default.
    ///
    /// # Errors
    /// Whatever kept it from being done.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
