//! Calls that control an execution.

use std::sync::Arc;

use execution_engine::Signal;
use uuid::Uuid;

use super::Service;
use super::errors::{internal, unknown};
use super::rerun;
use crate::error::ServiceError;
use crate::view::{ExecutionView, InputEnd, NewInput, Rerun, StopMode, Submitted};

impl Service {
    /// Submits the request of an execution again, as a new one. Values of variables are not kept, so they are given
    /// again. Executions that it followed, and input that was given as bytes, are left out.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution), [`MissingEnv`](crate::ErrorCode::MissingEnv), and those
    /// of [`submit`](Self::submit).
    pub async fn rerun(
        &self,
        of: Uuid,
        rerun: Rerun,
        key: Option<&str>,
        owner: u32,
    ) -> Result<Submitted, ServiceError> {
        let stored = self.inner().store.get(of).await?.ok_or_else(|| unknown(of))?;
        self.submit(rerun::again(stored, rerun)?, key, owner).await
    }

    /// Stops an execution. One in the queue ends at once, without a start. For one that runs this
    /// returns when its keeper has the request; [`wait`](Self::wait) waits for the end. Firm after polite
    /// cuts the grace short.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution),
    /// [`AlreadyEnded`](crate::ErrorCode::AlreadyEnded), [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn stop_execution(
        &self,
        id: Uuid,
        mode: StopMode,
    ) -> Result<ExecutionView, ServiceError> {
        self.inner().stop(id, mode).await
    }

    /// Sends a signal to all processes of an execution that runs, once, and returns their number.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution), [`AlreadyEnded`](crate::ErrorCode::AlreadyEnded),
    /// [`NotStarted`](crate::ErrorCode::NotStarted) for one in the queue,
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest) for a number that is no signal,
    /// [`ControlFailed`](crate::ErrorCode::ControlFailed), [`Stopping`](crate::ErrorCode::Stopping);
    /// [`KeeperUnavailable`](crate::ErrorCode::KeeperUnavailable) if it is not known whether it was sent.
    pub async fn signal(&self, id: Uuid, signal: Signal) -> Result<u32, ServiceError> {
        let inner = Arc::clone(self.inner());
        self.to_its_end(async move { inner.signal(id, signal).await }).await
    }

    /// Pauses an execution. One in the queue is held there, also by the next service; all processes of one that runs are
    /// frozen, and its timeouts do not run meanwhile. What is paused already stays so.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution), [`AlreadyEnded`](crate::ErrorCode::AlreadyEnded),
    /// [`ControlFailed`](crate::ErrorCode::ControlFailed), [`KeeperOutdated`](crate::ErrorCode::KeeperOutdated),
    /// [`StoreFull`](crate::ErrorCode::StoreFull) for one in the queue, [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn pause(&self, id: Uuid) -> Result<ExecutionView, ServiceError> {
        self.set_paused(id, true).await
    }

    /// Lets an execution go on that is paused. One that is not goes on anyway.
    ///
    /// # Errors
    /// Those of [`pause`](Self::pause).
    pub async fn resume(&self, id: Uuid) -> Result<ExecutionView, ServiceError> {
        self.set_paused(id, false).await
    }

    async fn set_paused(&self, id: Uuid, paused: bool) -> Result<ExecutionView, ServiceError> {
        let inner = Arc::clone(self.inner());
        self.to_its_end(async move { inner.set_paused(id, paused).await }).await
    }

    /// Does something in a task, so that what is done is also noted, whatever becomes of the caller.
    pub(super) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let task = self.inner().tasks.spawn(work);
        task.await.unwrap_or_else(|error| Err(internal(error)))
    }

    /// Sets whether an execution is pinned: retention keeps it, and it cannot be removed.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution), [`StoreFull`](crate::ErrorCode::StoreFull),
    /// [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn pin(&self, id: Uuid, pinned: bool) -> Result<ExecutionView, ServiceError> {
        self.inner().pin(id, pinned).await
    }

    /// Removes an execution that has ended, with its output.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution), [`NotEnded`](crate::ErrorCode::NotEnded),
    /// [`Pinned`](crate::ErrorCode::Pinned), [`StoreFull`](crate::ErrorCode::StoreFull).
    pub async fn remove(&self, id: Uuid) -> Result<(), ServiceError> {
        self.inner().remove(id).await
    }

    /// Returns the end of the input that was written to a program whose
    /// [`stdin`](execution_engine::ExecutionOptions::stdin) is piped.
    ///
    /// # Errors
    /// Those of [`write_input`](Self::write_input), but for `InputClosed` and `InputMoved`.
    pub async fn input_end(&self, id: Uuid) -> Result<InputEnd, ServiceError> {
        self.inner().input_end(id).await
    }

    /// Writes to a program whose [`stdin`](execution_engine::ExecutionOptions::stdin) is piped, at the program's pace,
    /// and returns the place behind it in the whole input. At most 64 KiB wait for a program then.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution), [`AlreadyEnded`](crate::ErrorCode::AlreadyEnded),
    /// [`NotStarted`](crate::ErrorCode::NotStarted), [`NoInput`](crate::ErrorCode::NoInput) if it is not piped,
    /// [`InputClosed`](crate::ErrorCode::InputClosed), [`InputMoved`](crate::ErrorCode::InputMoved) if the whole input
    /// does not end at the place that was named, [`KeeperOutdated`](crate::ErrorCode::KeeperOutdated),
    /// [`Stopping`](crate::ErrorCode::Stopping).
    ///
    /// # Cancel safety
    /// A dropped future may have written none, some or all of it. The same writer may write it again at the same place.
    pub async fn write_input(&self, id: Uuid, new: NewInput) -> Result<u64, ServiceError> {
        self.inner().write_input(id, new).await
    }
}
