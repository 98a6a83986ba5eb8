//! The engine: its settings, starting executions, and their ends.

use std::sync::Arc;
use std::time::Duration;

use execution_engine_process::PassedDescriptors;
use uuid::Uuid;

use super::{Execution, now_or_wait, wait, wait_for};
use crate::config::ExecutionConfig;
use crate::engine;
use crate::error::Result;
use crate::events::EventHandler;
use crate::types::{ExecutionOptions, ExecutionRequest, ExecutionResult, ExecutionStatus};

/// An engine whose methods block: [`crate::ExecutionEngine`] for programs without an async runtime.
///
/// Its methods have the names and meanings of those there, so what each one does, and its errors, are
/// described there. One that waits, for an execution or for a
/// [backend](crate::EngineBuilder::backend), also returns
/// [`OnEngineThread`](crate::ExecutionError::OnEngineThread) where it [must not be
/// called](crate::blocking#where-it-may-be-called); the others may be called anywhere.
///
/// Clones share one engine, also with the engine that it was made from. When the last one is dropped,
/// what still runs is stopped.
///
/// ```
/// use execution_engine::*;
/// # fn main() -> Result<()> {
/// let engine = ExecutionEngine::builder().stop_grace(Duration::from_millis(500)).build()?;
/// let engine = blocking::ExecutionEngine::from(engine);
/// let result = engine.run(ExecutionRequest::shell("echo hello; exit 3"))?;
/// assert_eq!((result.stdout.as_str(), result.exit_code), ("hello\n", 3));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ExecutionEngine {
    engine: engine::ExecutionEngine,
}

impl From<engine::ExecutionEngine> for ExecutionEngine {
    fn from(engine: engine::ExecutionEngine) -> Self {
        Self { engine }
    }
}

impl From<ExecutionEngine> for engine::ExecutionEngine {
    fn from(engine: ExecutionEngine) -> Self {
        engine.engine
    }
}

/// Settings.
impl ExecutionEngine {
    /// Creates an engine with this configuration; see [`crate::ExecutionEngine::new`]. For other
    /// settings, convert what [`crate::ExecutionEngine::builder`] makes.
    ///
    /// # Errors
    /// As there.
    pub fn new(config: ExecutionConfig) -> Result<Self> {
        engine::ExecutionEngine::new(config).map(Self::from)
    }

    /// Returns the engine with its async methods.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// async fn greet(engine: &ExecutionEngine) -> Result<ExecutionResult> {
    ///     engine.run(ExecutionRequest::shell("echo hello")).await
    /// }
    ///
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let result = greet(engine.as_async()).await?;
    /// // The same executions.
    /// assert_eq!(engine.get_result(result.id)?, Some(result));
    /// # Ok(()) }
    /// ```
    pub fn as_async(&self) -> &engine::ExecutionEngine {
        &self.engine
    }

    pub(super) fn engine(&self) -> &engine::ExecutionEngine {
        &self.engine
    }

    /// Returns the value of a future that waits only if there is a backend to wait for.
    pub(super) fn told<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        now_or_wait(self.engine.has_backend(), future)
    }

    /// Returns the configuration, like [`crate::ExecutionEngine::config`].
    pub fn config(&self) -> &ExecutionConfig {
        self.engine.config()
    }

    /// Adds a handler, like [`crate::ExecutionEngine::add_event_handler`]. To look at events without
    /// an async handler, iterate over [`subscribe_all`](Self::subscribe_all) on a thread.
    pub fn add_event_handler(&self, handler: Arc<dyn EventHandler>) {
        self.engine.add_event_handler(handler);
    }

    /// Starts the task that forgets old executions, like
    /// [`crate::ExecutionEngine::start_cleanup_task`].
    pub fn start_cleanup_task(&self) {
        self.engine.start_cleanup_task();
    }
}

/// Starting executions, and their ends.
impl ExecutionEngine {
    /// Starts an execution and returns its id at once, like [`crate::ExecutionEngine::execute`].
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let id = engine.execute(ExecutionRequest::shell("exit 3"))?;
    /// assert_eq!(engine.wait_for_completion(id)?.exit_code, 3);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn execute(&self, request: ExecutionRequest) -> Result<Uuid> {
        self.told(self.engine.execute(request))
    }

    /// Like [`execute`](Self::execute), with options for this one execution.
    ///
    /// # Errors
    /// Those of [`execute`](Self::execute).
    pub fn execute_with(
        &self,
        request: ExecutionRequest,
        options: ExecutionOptions,
    ) -> Result<Uuid> {
        self.told(self.engine.execute_with(request, options))
    }

    /// Starts an execution and returns a handle to it at once, like
    /// [`crate::ExecutionEngine::start`].
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let execution = engine.start(ExecutionRequest::exec("sleep", ["60"]))?;
    /// assert_eq!(execution.wait_timeout(Duration::from_millis(50))?, None);
    /// execution.cancel()?;
    /// assert_eq!(execution.wait()?.ending, Ending::Cancelled);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`execute`](Self::execute).
    pub fn start(&self, request: ExecutionRequest) -> Result<Execution> {
        self.told(self.engine.start(request)).map(Execution::from)
    }

    /// Like [`start`](Self::start), with options for this one execution.
    ///
    /// # Errors
    /// Those of [`execute`](Self::execute).
    pub fn start_with(
        &self,
        request: ExecutionRequest,
        options: ExecutionOptions,
    ) -> Result<Execution> {
        self.told(self.engine.start_with(request, options)).map(Execution::from)
    }

    /// Like [`start_with`](Self::start_with), with descriptors of this process for the program, like
    /// [`crate::ExecutionEngine::start_passing`]. Unix only.
    ///
    /// # Errors
    /// Those of [`execute`](Self::execute).
    pub fn start_passing(
        &self,
        request: ExecutionRequest,
        options: ExecutionOptions,
        passed: PassedDescriptors,
    ) -> Result<Execution> {
        self.told(self.engine.start_passing(request, options, passed)).map(Execution::from)
    }

    /// Starts an execution and waits for its end, like [`crate::ExecutionEngine::run`].
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let sort = ExecutionRequest::program("sort").timeout(Duration::from_secs(10));
    /// let options = ExecutionOptions::default().stdin(StdinSource::bytes("b\na\n"));
    /// assert_eq!(engine.run_with(sort, options)?.into_result()?.stdout, "a\nb\n");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn run(&self, request: ExecutionRequest) -> Result<ExecutionResult> {
        wait(self.engine.run(request))
    }

    /// Like [`run`](Self::run), with options for this one execution.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn run_with(
        &self,
        request: ExecutionRequest,
        options: ExecutionOptions,
    ) -> Result<ExecutionResult> {
        wait(self.engine.run_with(request, options))
    }

    /// Waits for an execution to end, like [`crate::ExecutionEngine::wait_for_completion`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_for_completion(&self, id: Uuid) -> Result<ExecutionResult> {
        wait(self.engine.wait_for_completion(id))
    }

    /// Waits for an execution to end, for no longer than this. Returns `None` if it has not ended by
    /// then; it goes on running.
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let id = engine.execute(ExecutionRequest::exec("sleep", ["60"]))?;
    /// assert!(engine.wait_for_completion_timeout(id, Duration::from_millis(50))?.is_none());
    /// assert_eq!(engine.get_status(id)?, ExecutionStatus::Running);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`wait_for_completion`](Self::wait_for_completion).
    pub fn wait_for_completion_timeout(
        &self,
        id: Uuid,
        timeout: Duration,
    ) -> Result<Option<ExecutionResult>> {
        wait_for(self.engine.wait_for_completion(id), timeout)
    }

    /// Returns the status, like [`crate::ExecutionEngine::get_status`].
    ///
    /// # Errors
    /// As there.
    pub fn get_status(&self, id: Uuid) -> Result<ExecutionStatus> {
        self.told(self.engine.get_status(id))
    }

    /// Returns the result, or `None` while the execution runs, like
    /// [`crate::ExecutionEngine::get_result`].
    ///
    /// # Errors
    /// As there.
    pub fn get_result(&self, id: Uuid) -> Result<Option<ExecutionResult>> {
        self.told(self.engine.get_result(id))
    }
}
