//! The service without HTTP.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use execution_engine::OutputStream;
use uuid::Uuid;

use crate::config::Config;
use crate::error::{ErrorCode, ServiceError};
use crate::state_dir::StateDir;
use crate::view::{
    Event, ExecutionView, NewExecution, Page, Query, ServiceStatus, StopMode, Submitted,
};

/// How a keeper is started: a program, and its arguments before `--dir DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperProgram {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
}

/// What a [`Service`] is made from.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Where its state is.
    pub state_dir: StateDir,
    /// Its settings.
    pub config: Config,
    /// How it starts keepers.
    pub keeper: KeeperProgram,
}

/// The service without HTTP. Clones are handles of the same service.
///
/// All methods may be called from any task and are cancel safe: what was accepted stays accepted when
/// the future is dropped.
#[derive(Debug, Clone)]
pub struct Service {
    status: ServiceStatus,
}

impl Service {
    /// Opens the state directory, takes its lock, and goes on with what an earlier service has left.
    ///
    /// # Errors
    /// [`ErrorCode::StateDir`], [`ErrorCode::AlreadyRunning`], [`ErrorCode::NewerSchema`],
    /// [`ErrorCode::ForeignDatabase`].
    pub async fn open(options: ServiceOptions) -> Result<Self, ServiceError> {
        let _ = options;
        Err(ServiceError::new(ErrorCode::Stopping, "the service is ending"))
    }

    /// Accepts an execution. When this returns it is durable. The same key, or the same id, with the
    /// same body again returns the same execution.
    ///
    /// `owner` is the user id of the caller.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`], [`ErrorCode::UnknownAfter`], [`ErrorCode::KeyReused`],
    /// [`ErrorCode::IdReused`], [`ErrorCode::StoreFull`], [`ErrorCode::Stopping`],
    /// [`ErrorCode::KeeperUnavailable`].
    pub async fn submit(
        &self,
        new: NewExecution,
        key: Option<&str>,
        owner: u32,
    ) -> Result<Submitted, ServiceError> {
        let _ = (new, key, owner);
        Err(ServiceError::new(ErrorCode::Stopping, "the service is ending"))
    }

    /// Finds an execution by its id, by the beginning of it, or as `@last`, the newest.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownExecution`], [`ErrorCode::AmbiguousId`].
    pub async fn resolve(&self, text: &str) -> Result<Uuid, ServiceError> {
        Err(ServiceError::new(ErrorCode::UnknownExecution, text))
    }

    /// Returns an execution.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownExecution`].
    pub async fn get(&self, id: Uuid) -> Result<ExecutionView, ServiceError> {
        Err(ServiceError::new(ErrorCode::UnknownExecution, id.to_string()))
    }

    /// Returns a page of executions, newest first.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] for a cursor that no page has returned.
    pub async fn list(&self, query: Query) -> Result<Page, ServiceError> {
        let _ = query;
        Ok(Page::default())
    }

    /// Stops an execution. One in the queue ends at once, without a start. For one that runs this
    /// returns when the keeper has the request; [`wait`](Self::wait) waits for the end.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownExecution`], [`ErrorCode::AlreadyEnded`].
    pub async fn stop_execution(
        &self,
        id: Uuid,
        mode: StopMode,
    ) -> Result<ExecutionView, ServiceError> {
        let _ = mode;
        self.get(id).await
    }

    /// Removes an execution that has ended, with its output.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownExecution`], [`ErrorCode::NotEnded`].
    pub async fn remove(&self, id: Uuid) -> Result<(), ServiceError> {
        self.get(id).await.map(drop)
    }

    /// Waits until an execution has ended, or for a time, and returns it as it is then.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownExecution`], [`ErrorCode::Stopping`].
    pub async fn wait(
        &self,
        id: Uuid,
        timeout: Option<Duration>,
    ) -> Result<ExecutionView, ServiceError> {
        let _ = timeout;
        self.get(id).await
    }

    /// Returns the events of an execution behind a cursor (0 is the beginning), live until the last.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownExecution`]; [`ErrorCode::InvalidRequest`] for a cursor that no event has.
    pub async fn events(&self, id: Uuid, after: u64) -> Result<Events, ServiceError> {
        let _ = after;
        Err(ServiceError::new(ErrorCode::UnknownExecution, id.to_string()))
    }

    /// Returns a reader of the output that there is now: of one stream, or of both in the order in
    /// which it was read.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownExecution`], [`ErrorCode::OutputGone`].
    pub async fn output(
        &self,
        id: Uuid,
        stream: Option<OutputStream>,
    ) -> Result<Output, ServiceError> {
        let _ = stream;
        Err(ServiceError::new(ErrorCode::UnknownExecution, id.to_string()))
    }

    /// Returns the state of the service.
    pub async fn status(&self) -> ServiceStatus {
        self.status.clone()
    }

    /// Ends the service and leaves the keepers with all that runs. Executions that are being accepted
    /// are accepted first; all other calls return [`ErrorCode::Stopping`].
    pub async fn close(&self) {}
}

/// Events of one execution, from [`Service::events`].
#[derive(Debug)]
pub struct Events {
    cursor: u64,
}

impl Events {
    /// Returns the next event, or None after the last one. Cancel safe.
    ///
    /// # Errors
    /// [`ErrorCode::OutputGone`], [`ErrorCode::Stopping`], [`ErrorCode::Internal`] for a journal that is
    /// damaged.
    pub async fn next(&mut self) -> Option<Result<Event, ServiceError>> {
        None
    }

    /// Returns the cursor of the last event that was returned.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Returns `true` if the last event was returned, or lies at the cursor that it was made with.
    pub fn is_at_end(&self) -> bool {
        self.cursor == 0
    }
}

/// Output of one execution as it was when [`Service::output`] was called.
#[derive(Debug)]
pub struct Output {
    len: u64,
    complete: bool,
    cursor: u64,
}

impl Output {
    /// Returns the number of bytes.
    #[expect(clippy::len_without_is_empty, reason = "a length in bytes, not of a collection")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns `true` if the execution has ended, so that nothing will be added.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns the cursor that this output reaches to: [`Service::events`] from there has exactly what
    /// is not in it.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Reads bytes from an offset: at most `max`, at least one unless the offset is at the end.
    ///
    /// # Errors
    /// [`ErrorCode::OutputGone`], [`ErrorCode::Internal`].
    pub async fn read(&mut self, from: u64, max: usize) -> Result<Bytes, ServiceError> {
        let _ = (from, max);
        Ok(Bytes::new())
    }
}
