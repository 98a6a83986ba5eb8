//! Control of what runs, and questions about it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use execution_engine_process::{LimitUnavailable, Limits, Signal};
use uuid::Uuid;

use super::{ExecutionEngine, now, wait};
use crate::backend::BackendExecution;
use crate::error::Result;
use crate::history::History;
use crate::types::{
    CancelReport, ExecutionSummary, HistoryPage, HistoryQuery, HistoryStatus, ShutdownReport,
};

/// Control.
impl ExecutionEngine {
    /// Stops an execution, and returns at once, like [`crate::ExecutionEngine::cancel`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel(&self, id: Uuid) -> Result<()> {
        self.told(self.engine().cancel(id))
    }

    /// Stops an execution with this grace, and returns at once, like
    /// [`crate::ExecutionEngine::cancel_within`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel_within(&self, id: Uuid, grace: Duration) -> Result<()> {
        self.told(self.engine().cancel_within(id, grace))
    }

    /// Cancels all that is queued or running, and returns at once, like
    /// [`crate::ExecutionEngine::cancel_all`]. With a backend it waits for that, and on a thread that runs
    /// executions it then cancels nothing.
    pub fn cancel_all(&self) -> CancelReport {
        let nothing = CancelReport { executions: Vec::new(), plans: Vec::new() };
        self.told(async { Ok(self.engine().cancel_all().await) }).unwrap_or(nothing)
    }

    /// Sends a signal to every process of an execution, like [`crate::ExecutionEngine::signal`].
    ///
    /// # Errors
    /// As there.
    pub fn signal(&self, id: Uuid, signal: Signal) -> Result<u32> {
        wait(self.engine().signal(id, signal))
    }

    /// Suspends an execution, like [`crate::ExecutionEngine::pause`].
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let id = engine.execute(ExecutionRequest::exec("sleep", ["0.1"]))?;
    /// engine.pause(id)?;
    /// engine.resume(id)?;
    /// assert!(engine.wait_for_completion(id)?.success);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn pause(&self, id: Uuid) -> Result<()> {
        wait(self.engine().pause(id))
    }

    /// Resumes a paused execution, like [`crate::ExecutionEngine::resume`].
    ///
    /// # Errors
    /// As there.
    pub fn resume(&self, id: Uuid) -> Result<()> {
        wait(self.engine().resume(id))
    }

    /// Writes to the standard input of a program, like [`crate::ExecutionEngine::write_stdin`]. To
    /// copy from a [`Read`](std::io::Read), see [`ExecutionStdin`](super::ExecutionStdin).
    ///
    /// # Errors
    /// As there.
    pub fn write_stdin(&self, id: Uuid, bytes: impl Into<Bytes>) -> Result<usize> {
        wait(self.engine().write_stdin(id, bytes))
    }

    /// Closes the standard input of a program, like [`crate::ExecutionEngine::close_stdin`].
    ///
    /// # Errors
    /// As there.
    pub fn close_stdin(&self, id: Uuid) -> Result<()> {
        self.told(self.engine().close_stdin(id))
    }

    /// Ends the engine, and waits for the ends of its executions, like
    /// [`crate::ExecutionEngine::shutdown`].
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// engine.execute(ExecutionRequest::exec("sleep", ["60"]))?;
    /// assert_eq!(engine.shutdown(Duration::from_secs(1))?.ended.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`OnEngineThread`](crate::ExecutionError::OnEngineThread) alone.
    pub fn shutdown(&self, grace: Duration) -> Result<ShutdownReport> {
        wait(async { Ok(self.engine().shutdown(grace).await) })
    }

    /// Waits until the engine has nothing to do, like [`crate::ExecutionEngine::wait_until_idle`].
    /// Called by a handler, it waits for that handler as for one that is stuck.
    ///
    /// # Errors
    /// [`OnEngineThread`](crate::ExecutionError::OnEngineThread) alone.
    pub fn wait_until_idle(&self) -> Result<()> {
        wait(async {
            self.engine().wait_until_idle().await;
            Ok(())
        })
    }
}

/// Lists and counts.
impl ExecutionEngine {
    /// Returns all executions, like [`crate::ExecutionEngine::list_executions`].
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// engine.run(ExecutionRequest::shell("exit 3"))?;
    /// for execution in engine.list_executions() {
    ///     println!("{} {} {}", execution.id, execution.command, execution.status);
    /// }
    /// # assert_eq!(engine.list_executions().len(), 1);
    /// # Ok(()) }
    /// ```
    pub fn list_executions(&self) -> Vec<ExecutionSummary> {
        now(self.engine().list_executions())
    }

    /// Returns the executions that the backend knows, like [`crate::ExecutionEngine::list_backend`].
    ///
    /// # Errors
    /// Those of the async method, and [`OnEngineThread`](crate::ExecutionError::OnEngineThread) on a
    /// thread that runs executions.
    pub fn list_backend(&self) -> Result<Vec<BackendExecution>> {
        wait(self.engine().list_backend())
    }

    /// Returns what is known of an execution without its output, like
    /// [`crate::ExecutionEngine::get_summary`].
    ///
    /// # Errors
    /// As there.
    pub fn get_summary(&self, id: Uuid) -> Result<ExecutionSummary> {
        self.told(self.engine().get_summary(id))
    }

    /// Lists executions of the history, like [`crate::ExecutionEngine::list_history`].
    ///
    /// # Errors
    /// Those of the async method, and [`OnEngineThread`](crate::ExecutionError::OnEngineThread) on a
    /// thread that runs executions.
    pub fn list_history(&self, query: HistoryQuery) -> Result<HistoryPage> {
        wait(self.engine().list_history(query))
    }

    /// Returns the history of the engine, like [`crate::ExecutionEngine::history`].
    pub fn history(&self) -> Option<Arc<dyn History>> {
        self.engine().history()
    }

    /// Returns how the history keeps up, like [`crate::ExecutionEngine::history_status`].
    pub fn history_status(&self) -> Option<HistoryStatus> {
        self.engine().history_status()
    }

    /// Returns how many executions hold a permit.
    pub fn running_count(&self) -> usize {
        now(self.engine().running_count())
    }

    /// Returns how many executions are queued, running or remembered.
    pub fn total_count(&self) -> usize {
        now(self.engine().total_count())
    }

    /// Returns how many more executions may be started now.
    pub fn available_permits(&self) -> usize {
        self.engine().available_permits()
    }

    /// Checks limits, like [`crate::ExecutionEngine::check_limits`].
    ///
    /// # Errors
    /// As there.
    pub fn check_limits(&self, limits: &Limits) -> std::result::Result<(), LimitUnavailable> {
        self.engine().check_limits(limits)
    }

    /// Returns how many executions wait for their permit.
    pub fn waiting_count(&self) -> usize {
        now(self.engine().waiting_count())
    }

    /// Returns the position in the queue, like [`crate::ExecutionEngine::queue_position`].
    ///
    /// # Errors
    /// As there.
    pub fn queue_position(&self, id: Uuid) -> Result<Option<usize>> {
        self.told(self.engine().queue_position(id))
    }

    /// Forgets ended executions that are too old or too many, like
    /// [`crate::ExecutionEngine::cleanup_old_executions`].
    pub fn cleanup_old_executions(&self) -> usize {
        now(self.engine().cleanup_old_executions())
    }

    /// Forgets one ended execution, like [`crate::ExecutionEngine::remove_execution`].
    ///
    /// # Errors
    /// As there.
    pub fn remove_execution(&self, id: Uuid) -> Result<()> {
        self.told(self.engine().remove_execution(id))
    }
}
