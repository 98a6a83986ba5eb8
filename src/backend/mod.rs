//! The place where executions run, if that is not this process.
//!
//! [`Backend`] is what such a place implements. What an engine does with one is in `engine/elsewhere.rs`
//! (starts, and executions that others have started) and `execution/follow.rs` (records).

mod record;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::error::{Result, ValidationError};
use crate::time;
use crate::types::{ControlAction, ExecutionOptions, ExecutionRequest};
pub use record::{BackendEvent, BackendExecution, BackendRecord};

/// Place where the executions of an engine run: other machines, or another process. Implement it with
/// the `async-trait` crate, and set it with [`EngineBuilder::backend`](crate::EngineBuilder::backend).
///
/// The engine keeps its ids, subscriptions, handlers, plans, history and queries. It submits each
/// request, then follows the records of its execution, and reports output and events as those of a
/// program of its own. How an execution ended is what the backend says: the engine never decides it.
///
/// Calls are made on the threads of the engine, inside a tokio context; they must not block. Calls for
/// one execution may overlap. A call that was made goes on when the caller of the engine drops its
/// future; [`next`](Self::next) and [`submit`](Self::submit) are dropped when the engine is closed. A
/// call that panics counts as one that failed with
/// [`ExecutionError::Backend`](crate::ExecutionError::Backend).
///
/// Errors that are not named here say that the backend cannot be reached or has failed, and that the
/// same call may work later: [`ExecutionError::backend`](crate::ExecutionError::backend).
///
/// ```
/// use std::sync::Mutex;
///
/// use async_trait::async_trait;
/// use bytes::Bytes;
/// use execution_engine::*;
///
/// /// Answers each request with its command line.
/// #[derive(Default)]
/// struct Parrot(Mutex<HashMap<Uuid, ExecutionRequest>>);
///
/// #[async_trait]
/// impl Backend for Parrot {
///     fn check(&self, _: &ExecutionRequest, options: &ExecutionOptions) -> Result<(), ValidationError> {
///         match options.user {
///             Some(_) => Err(ValidationError::invalid_option("user", "a parrot has none; leave it out")),
///             None => Ok(()),
///         }
///     }
///
///     async fn submit(&self, request: &ExecutionRequest, _: &ExecutionOptions) -> Result<()> {
///         self.0.lock().unwrap().insert(request.id, request.clone());
///         Ok(())
///     }
///
///     async fn next(&self, id: Uuid, after: u64) -> Result<Vec<BackendRecord>> {
///         let request = self.0.lock().unwrap().get(&id).cloned();
///         let request = request.ok_or(ExecutionError::NotFound(id))?;
///         let at = "2026-10-01T12:00:00Z".parse().unwrap();
///         let started = BackendEvent::Started { place: Place::new("parrot", 1, 1), pid: 0, at };
///         let output = BackendEvent::Output {
///             stream: OutputStream::Stdout,
///             bytes: Bytes::from(request.command.to_string()),
///         };
///         let result = ExecutionResult::unobserved(id, at, at, Ending::Exited { code: 0 });
///         let records = [started, output, BackendEvent::Ended(Box::new(result))];
///         let records = (1..).zip(records).map(|(cursor, event)| BackendRecord { cursor, event });
///         Ok(records.skip_while(|record| record.cursor <= after).collect())
///     }
///
///     async fn find(&self, _: Uuid) -> Result<Option<BackendExecution>> {
///         Ok(None)
///     }
///
///     async fn list(&self) -> Result<Vec<BackendExecution>> {
///         Ok(Vec::new())
///     }
///
///     async fn cancel(&self, id: Uuid, _: Option<Duration>) -> Result<()> {
///         Err(ExecutionError::AlreadyEnded { id, status: ExecutionStatus::Completed })
///     }
///
///     async fn control(&self, id: Uuid, _: ControlAction) -> Result<u32> {
///         Err(ExecutionError::control(id, "a parrot cannot be controlled"))
///     }
///
///     async fn write_stdin(&self, id: Uuid, _: Bytes) -> Result<usize> {
///         Err(ExecutionError::StdinNotPiped(id))
///     }
///
///     async fn close_stdin(&self, id: Uuid) -> Result<()> {
///         Err(ExecutionError::StdinNotPiped(id))
///     }
/// }
///
/// # #[tokio::main] async fn main() -> Result<()> {
/// let engine = ExecutionEngine::builder().backend(Arc::new(Parrot::default())).build()?;
/// let result = engine.run(ExecutionRequest::exec("make", ["all"])).await?;
/// assert_eq!((result.stdout.as_str(), result.success), ("make all", true));
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Checks a request as far as it can be told before it is submitted: for instance, that no path is
    /// relative. Never waits. For plans this is asked for all steps before one is submitted.
    ///
    /// The engine has checked by then what no place decides, and that nothing of this process is asked
    /// for: passed descriptors, its terminal, its standard streams.
    ///
    /// # Errors
    /// The field that the place cannot satisfy, and what to do
    /// ([`ValidationError::invalid_option`]).
    fn check(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Result<(), ValidationError>;

    /// Accepts an execution. `Ok` means that it is kept: whatever happens to this process, it is
    /// started, or its ending says why not. The timeout of the request is set: the default of the
    /// engine, if the request had none.
    ///
    /// The same id with the same request again is the same execution: `Ok`, and nothing is run twice.
    ///
    /// # Errors
    /// An error whose [`is_rejection`](crate::ExecutionError::is_rejection) is true says that nothing
    /// was accepted: [`QueueFull`](crate::ExecutionError::QueueFull) (with the limit of the queue), or
    /// [`DuplicateId`](crate::ExecutionError::DuplicateId) for the id of another request. If the answer
    /// was lost it is [`outcome_unknown`](crate::ExecutionError::outcome_unknown). The caller of the
    /// engine gets the error; a step of a plan is submitted again, but for a rejection that is not
    /// [retryable](crate::ExecutionError::is_retryable).
    async fn submit(&self, request: &ExecutionRequest, options: &ExecutionOptions) -> Result<()>;

    /// Cancels an execution, with this grace between the stop signal and the final one; None is that of
    /// the execution. `Ok` means that [`Cancelled`](crate::Ending::Cancelled) is its ending, whatever
    /// its program does. What was cancelled before may have no longer than this grace from now on.
    ///
    /// # Errors
    /// [`AlreadyEnded`](crate::ExecutionError::AlreadyEnded) if another ending came first,
    /// [`NotFound`](crate::ExecutionError::NotFound) for an unknown id.
    async fn cancel(&self, id: Uuid, grace: Option<Duration>) -> Result<()>;

    /// Carries out an action on the processes of an execution, and returns how many it has reached, as
    /// far as that can be told.
    ///
    /// # Errors
    /// [`AlreadyEnded`](crate::ExecutionError::AlreadyEnded),
    /// [`NotFound`](crate::ExecutionError::NotFound), and
    /// [`control`](crate::ExecutionError::control) if there is no process or the action is refused.
    async fn control(&self, id: Uuid, action: ControlAction) -> Result<u32>;

    /// Writes bytes to the program, behind those of earlier calls, and returns how many were taken: all,
    /// unless the program reads no more.
    ///
    /// # Errors
    /// [`AlreadyEnded`](crate::ExecutionError::AlreadyEnded),
    /// [`NotFound`](crate::ExecutionError::NotFound),
    /// [`StdinNotPiped`](crate::ExecutionError::StdinNotPiped), and
    /// [`StdinClosed`](crate::ExecutionError::StdinClosed) after [`close_stdin`](Self::close_stdin).
    async fn write_stdin(&self, id: Uuid, bytes: Bytes) -> Result<usize>;

    /// Closes the input of the program: it reads what was written before, and then the end.
    ///
    /// # Errors
    /// Those of [`write_stdin`](Self::write_stdin).
    async fn close_stdin(&self, id: Uuid) -> Result<()>;

    /// Returns the records of an execution behind a cursor, in order, and at least one: it waits for
    /// that. It may give up waiting after a while and return none. Cursor 0 is before the first record.
    ///
    /// Each record comes once: for all readers, after the same cursor there are the same records. The last
    /// one is [`Ended`](BackendEvent::Ended).
    ///
    /// # Errors
    /// [`NotFound`](crate::ExecutionError::NotFound) if the backend does not know the execution, which is
    /// followed no longer then, without an ending. After any other error this is asked again, after a
    /// pause; it never ends an execution. A backend that has given up finding an ending says so by
    /// [`Ending::Unknown`](crate::Ending::Unknown).
    ///
    /// # Cancel safety
    /// Must be cancel safe: dropped, it has taken nothing.
    async fn next(&self, id: Uuid, after: u64) -> Result<Vec<BackendRecord>>;

    /// Returns an execution by its id, of any submitter; None if it is not known. It sees all
    /// that was accepted before the call.
    ///
    /// # Errors
    /// None but that of a backend that has failed.
    async fn find(&self, id: Uuid) -> Result<Option<BackendExecution>>;

    /// Returns all executions that are known, of all submitters, in the order of acceptance as
    /// far as that can be told.
    ///
    /// # Errors
    /// None but that of a backend that has failed.
    async fn list(&self) -> Result<Vec<BackendExecution>>;
}

/// Pauses between two calls of a backend that fails: growing, with a part of each by chance, so that
/// many executions do not ask at the same moment.
#[derive(Debug)]
pub(crate) struct Pauses {
    longest_ms: u64,
}

impl Pauses {
    const FIRST_MS: u64 = 50;
    const LAST_MS: u64 = 5_000;

    pub(crate) fn new() -> Self {
        Self { longest_ms: Self::FIRST_MS }
    }

    /// Waits for the next pause. Cancel safe.
    pub(crate) async fn next(&mut self) {
        let half = self.longest_ms / 2;
        let pause = Duration::from_millis(half + fastrand::u64(0..=half));
        self.longest_ms = (self.longest_ms * 2).min(Self::LAST_MS);
        time::sleep_until(Instant::now().checked_add(pause)).await;
    }
}
