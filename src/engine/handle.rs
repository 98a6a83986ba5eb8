//! Handle of one execution, for callers that do not want to pass ids around.

use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use execution_engine_process::Signal;
use uuid::Uuid;

use super::{control, output};
use crate::error::{ExecutionError, Result};
use crate::events::{ChunkSubscription, Subscription};
use crate::execution::{ActiveExecution, ExecutionContext, StdinUnavailable};
use crate::output::{Journal, View};
use crate::prepare;
use crate::store::Record;
use crate::types::{
    ControlAction, ExecutionResult, ExecutionStatus, ExecutionSummary, OutputPage, OutputQuery,
};
use crate::waker;

/// Handle of one execution, made by [`ExecutionEngine::start`](crate::ExecutionEngine::start).
///
/// Clones refer to one execution. Dropping a handle stops nothing, and a handle does not keep its
/// engine alive: when the last [`ExecutionEngine`](crate::ExecutionEngine) is dropped, the
/// execution is stopped. A handle remains usable when retention has forgotten the execution. Until
/// it is dropped, it holds the output in memory and keeps the overflow files.
///
/// ```
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
/// let execution = engine.start(ExecutionRequest::shell("echo ready; sleep 60")).await?;
/// let mut events = execution.events().await?;
/// while let Some(record) = events.next().await {
///     if let ExecutionEvent::Stdout { line, .. } = record.event {
///         assert_eq!(line, "ready");
///         execution.cancel().await?;
///     }
/// }
/// assert_eq!(execution.wait().await?.ending, Ending::Cancelled);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Execution {
    active: Arc<ActiveExecution>,
    view: View,
    engine: Weak<ExecutionContext>,
}

/// Standard input of one execution, from [`Execution::stdin`].
///
/// ```
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
/// let options = ExecutionOptions::default().stdin(StdinSource::Piped);
/// let execution = engine.start_with(ExecutionRequest::program("cat"), options).await?;
/// let stdin = execution.stdin();
/// stdin.write("hello\n").await?;
/// stdin.close().await?;
/// assert_eq!(execution.wait().await?.stdout, "hello\n");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ExecutionStdin {
    active: Arc<ActiveExecution>,
}

impl Execution {
    pub(super) fn new(
        active: Arc<ActiveExecution>,
        view: View,
        engine: &Arc<ExecutionContext>,
    ) -> Self {
        Self { active, view, engine: Arc::downgrade(engine) }
    }

    /// Returns true if it runs elsewhere, so that methods that do not wait otherwise do.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.active.remote().is_some()
    }

    /// Returns the id of the execution.
    pub fn id(&self) -> Uuid {
        self.active.info().id
    }

    /// Waits for the execution to end, and returns its result. Any number of callers may wait.
    ///
    /// # Errors
    /// [`ExecutionError::ForkedHost`], and [`ExecutionError::Detached`] if the engine was closed and the
    /// execution runs elsewhere. What the program does is not an error;
    /// [`into_result`](ExecutionResult::into_result) makes it one.
    ///
    /// # Cancel safety
    /// Dropping the future stops nothing; waiting can begin anew.
    pub async fn wait(&self) -> Result<ExecutionResult> {
        let engine = self.engine.upgrade();
        if engine.is_some_and(|engine| !engine.containment.is_of_this_process()) {
            return Err(ExecutionError::ForkedHost);
        }
        let record = self.active.ended().await.ok_or_else(|| self.active.without_record())?;
        Ok(record.result())
    }

    /// Returns the status. Never waits.
    ///
    /// # Errors
    /// None today.
    pub async fn status(&self) -> Result<ExecutionStatus> {
        Ok(status(&self.active))
    }

    /// Returns what is known of it without its output, like
    /// [`ExecutionEngine::get_summary`](crate::ExecutionEngine::get_summary). Never waits.
    ///
    /// # Errors
    /// None today.
    pub async fn summary(&self) -> Result<ExecutionSummary> {
        Ok(self.active.summary())
    }

    /// Subscribes to the execution, like
    /// [`ExecutionEngine::subscribe`](crate::ExecutionEngine::subscribe).
    ///
    /// # Errors
    /// None today.
    pub async fn events(&self) -> Result<Subscription> {
        Ok(Subscription::to(self.journal(), self.view, 0))
    }

    /// Subscribes to the execution with its output as it was read, like
    /// [`ExecutionEngine::subscribe_chunks`](crate::ExecutionEngine::subscribe_chunks).
    ///
    /// # Errors
    /// None today.
    pub async fn chunks(&self) -> Result<ChunkSubscription> {
        Ok(ChunkSubscription::to(self.journal(), 0))
    }

    /// Reads output from a cursor on, like
    /// [`ExecutionEngine::read_output`](crate::ExecutionEngine::read_output).
    ///
    /// # Errors
    /// None today.
    ///
    /// # Cancel safety
    /// Reading changes nothing, so the future can be dropped at any point.
    pub async fn read_output(&self, query: OutputQuery) -> Result<OutputPage> {
        // An engine that is gone has ended it, so there is nothing to wait for.
        let engine = self.engine.upgrade();
        let wait_over = engine.and_then(|engine| output::timer(&query, &engine.runtime));
        Ok(output::read(&self.journal(), &query, wait_over).await)
    }

    /// Stops the execution, like [`ExecutionEngine::cancel`](crate::ExecutionEngine::cancel).
    /// Returns at once.
    ///
    /// # Errors
    /// [`ExecutionError::AlreadyEnded`] if another ending came first.
    pub async fn cancel(&self) -> Result<()> {
        control::cancel(&self.active, None).await
    }

    /// Sends a signal to every process of the execution and returns how many received it, like
    /// [`ExecutionEngine::signal`](crate::ExecutionEngine::signal).
    ///
    /// # Errors
    /// [`ExecutionError::AlreadyEnded`] if it has ended or is being stopped,
    /// [`ValidationError`](crate::ValidationError) for a signal that does not exist, and
    /// [`ExecutionError::Control`] if the system refuses or there is no process.
    ///
    /// # Cancel safety
    /// Once polled, the signal is sent even if the future is dropped.
    pub async fn signal(&self, signal: Signal) -> Result<u32> {
        prepare::signal("signal", Some(signal))?;
        control::control(&self.active, ControlAction::Signal(signal)).await
    }

    fn journal(&self) -> Arc<Journal> {
        // After the end the replay is that of the record, as for a caller without a handle.
        self.active.record().map_or_else(|| self.active.journal(), Record::journal)
    }

    /// Returns the standard input of the execution, which can be written to if its
    /// [`stdin`](crate::ExecutionOptions::stdin) is [`Piped`](crate::StdinSource::Piped).
    pub fn stdin(&self) -> ExecutionStdin {
        ExecutionStdin { active: Arc::clone(&self.active) }
    }
}

impl ExecutionStdin {
    pub(super) fn new(active: Arc<ActiveExecution>) -> Self {
        Self { active }
    }

    /// Returns true if the program runs elsewhere, so that a close waits.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.active.remote().is_some()
    }

    pub(super) fn active(&self) -> &ActiveExecution {
        &self.active
    }

    /// Writes bytes to the program, waits until its pipe has taken them, and returns how many it
    /// has taken: all, unless the program reads no more or ends, which is not an error.
    ///
    /// # Errors
    /// [`ExecutionError::AlreadyEnded`] if the execution has ended,
    /// [`ExecutionError::StdinNotPiped`] if it reads something else,
    /// [`ExecutionError::StdinClosed`] after [`close`](Self::close).
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped future may have written none, some or all of its bytes, and the
    /// rest may still be written. A future that is kept without being polled blocks later writes.
    pub async fn write(&self, bytes: impl Into<Bytes>) -> Result<usize> {
        self.refuse_ended()?;
        if let Some(remote) = self.active.remote() {
            return remote.write_stdin(bytes.into()).await;
        }
        let written = waker::catching(self.active.stdin.write(bytes.into())).await;
        written.map_err(|error| self.unavailable(error))
    }

    /// Closes the input: the program reads what was written before, and then the end.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub async fn close(&self) -> Result<()> {
        self.refuse_ended()?;
        if let Some(remote) = self.active.remote() {
            return remote.close_stdin().await;
        }
        self.active.stdin.close().map_err(|error| self.unavailable(error))
    }

    fn refuse_ended(&self) -> Result<()> {
        let (id, status) = (self.active.info().id, status(&self.active));
        if status.is_terminal() { Err(ExecutionError::AlreadyEnded { id, status }) } else { Ok(()) }
    }

    fn unavailable(&self, error: StdinUnavailable) -> ExecutionError {
        let id = self.active.info().id;
        match error {
            StdinUnavailable::NotPiped => ExecutionError::StdinNotPiped(id),
            StdinUnavailable::Closed => ExecutionError::StdinClosed(id),
        }
    }
}

fn status(active: &ActiveExecution) -> ExecutionStatus {
    // The state of an execution becomes terminal a moment after its waiters were woken.
    active.record().map_or_else(|| active.status(), Record::status)
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, status) = (self.id(), status(&self.active));
        f.debug_struct("Execution")
            .field("id", &id)
            .field("status", &status)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ExecutionStdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.active.info().id;
        f.debug_struct("ExecutionStdin").field("id", &id).finish_non_exhaustive()
    }
}
