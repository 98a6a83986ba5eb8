//! Starting executions, and asking what became of them.

use execution_engine_process::PassedDescriptors;
use uuid::Uuid;

use super::{Execution, ExecutionEngine};
use crate::error::{ExecutionError, Result};
use crate::store::{ExecutionEntry, Origin};
use crate::types::{ExecutionOptions, ExecutionRequest, ExecutionResult, ExecutionStatus};

impl ExecutionEngine {
    /// Starts an execution and returns its id at once, without waiting for its end.
    ///
    /// # Errors
    /// [`Validation`](ExecutionError::Validation), [`DuplicateId`](ExecutionError::DuplicateId),
    /// [`ConcurrencyLimitReached`](ExecutionError::ConcurrencyLimitReached) (or
    /// [`QueueFull`](ExecutionError::QueueFull), depending on the
    /// [admission](crate::EngineBuilder::admission)),
    /// [`ShuttingDown`](ExecutionError::ShuttingDown) and [`Log`](ExecutionError::Log) say that the
    /// request was refused; it leaves nothing behind then. A valid request whose program cannot be
    /// started is accepted, and its execution ends with
    /// [`Ending::SpawnFailed`](crate::Ending::SpawnFailed).
    ///
    /// With a [backend](crate::EngineBuilder::backend) its errors come here, too. After
    /// [`OutcomeUnknown`](ExecutionError::OutcomeUnknown) the request may have been accepted; asking for
    /// the status by its id tells.
    ///
    /// # Cancel safety
    /// The future does all its work when it is first polled and never waits. Dropped before that,
    /// it has done nothing. With a [backend](crate::EngineBuilder::backend) it waits for the answer of
    /// that; once polled, the request is submitted even if the future is dropped.
    pub async fn execute(&self, request: ExecutionRequest) -> Result<Uuid> {
        self.execute_with(request, ExecutionOptions::default()).await
    }

    /// Like [`execute`](Self::execute), with options for this one execution.
    ///
    /// # Errors
    /// Those of [`execute`](Self::execute).
    pub async fn execute_with(
        &self,
        request: ExecutionRequest,
        options: ExecutionOptions,
    ) -> Result<Uuid> {
        Ok(self.start_with(request, options).await?.id())
    }

    /// Starts an execution and returns a handle to it at once, without waiting for its end.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let execution = engine.start(ExecutionRequest::shell("echo hello; exit 3")).await?;
    /// let result = execution.wait().await?;
    /// assert_eq!((result.stdout.as_str(), result.exit_code), ("hello\n", 3));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    /// Like [`execute`](Self::execute).
    pub async fn start(&self, request: ExecutionRequest) -> Result<Execution> {
        self.start_with(request, ExecutionOptions::default()).await
    }

    /// Like [`start`](Self::start), with options for this one execution.
    ///
    /// # Errors
    /// Those of [`execute`](Self::execute).
    pub async fn start_with(
        &self,
        request: ExecutionRequest,
        options: ExecutionOptions,
    ) -> Result<Execution> {
        self.start_passing(request, options, PassedDescriptors::new()).await
    }

    /// Like [`start_with`](Self::start_with), with descriptors of this process that the program
    /// gets beside its standard streams. Unix only.
    ///
    /// This process keeps them until the execution has ended, because another attempt gets them,
    /// too. So a pipe whose writing end is passed on ends for its reader when the execution does.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[cfg(unix)] #[tokio::main] async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// let passed = PassedDescriptors::new().pass(3, file)?;
    /// let request = ExecutionRequest::shell("cat <&3");
    /// let execution = engine.start_passing(request, ExecutionOptions::default(), passed).await?;
    /// assert!(execution.wait().await?.stdout.contains("[package]"));
    /// # Ok(()) }
    /// # #[cfg(not(unix))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// Those of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    /// Like [`execute`](Self::execute).
    pub async fn start_passing(
        &self,
        request: ExecutionRequest,
        options: ExecutionOptions,
        passed: PassedDescriptors,
    ) -> Result<Execution> {
        if let Some(backend) = self.core.backend.clone() {
            // Boxed, because most engines have none, and it would make this future larger.
            return Box::pin(self.start_elsewhere(backend, request, options, passed)).await;
        }
        let active = self.core.start(&request, &options, passed, Origin::Caller, |_| ())?;
        Ok(Execution::new(active, self.core.view(), &self.core.shared))
    }

    /// Starts an execution and waits for its end.
    ///
    /// # Errors
    /// Those of [`execute`](Self::execute). Whatever the program does is not an error of this call;
    /// [`into_result`](ExecutionResult::into_result) makes it one.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the execution. Keep the id of the request to
    /// [`cancel`](Self::cancel) it.
    pub async fn run(&self, request: ExecutionRequest) -> Result<ExecutionResult> {
        self.run_with(request, ExecutionOptions::default()).await
    }

    /// Like [`run`](Self::run), with options for this one execution.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let options = ExecutionOptions::default().output(OutputMode::Merged);
    /// let request = ExecutionRequest::shell("echo one; echo two >&2");
    /// let result = engine.run_with(request, options).await?;
    /// assert_eq!(result.stdout, "one\ntwo\n");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    ///
    /// # Cancel safety
    /// Like [`run`](Self::run).
    pub async fn run_with(
        &self,
        request: ExecutionRequest,
        options: ExecutionOptions,
    ) -> Result<ExecutionResult> {
        // Not by its id, which retention may have forgotten by the time it has ended.
        self.start_with(request, options).await?.wait().await
    }

    /// Waits for an execution to end, and returns its result.
    ///
    /// Any number of callers may wait for one execution, before and after its end. They are woken
    /// by the ending itself; nothing polls.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id. A timeout, a cancel or a failed start is a
    /// result, not an error.
    ///
    /// # Cancel safety
    /// Dropping the future stops nothing; waiting can begin anew.
    pub async fn wait_for_completion(&self, id: Uuid) -> Result<ExecutionResult> {
        let record = match self.entry(id).await {
            Ok(ExecutionEntry::Active(active)) => {
                active.ended().await.ok_or_else(|| active.without_record())?
            }
            Ok(ExecutionEntry::Ended(record)) => record,
            Err(unknown) => {
                let result = self.past_result(id, unknown).await?;
                return result.ok_or(ExecutionError::NotFound(id));
            }
        };
        Ok(record.result())
    }

    /// Returns the status of an execution. Never waits, but for a [history](crate::History) that is
    /// asked about what the engine has forgotten.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id.
    pub async fn get_status(&self, id: Uuid) -> Result<ExecutionStatus> {
        Ok(match self.entry(id).await {
            Ok(ExecutionEntry::Active(active)) => active.status(),
            Ok(ExecutionEntry::Ended(record)) => record.status(),
            Err(unknown) => self.past(id, unknown).await?.summary.status,
        })
    }

    /// Returns the result, or `None` while the execution runs. Never waits, but for a
    /// [history](crate::History) that is asked about what the engine has forgotten.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id.
    pub async fn get_result(&self, id: Uuid) -> Result<Option<ExecutionResult>> {
        match self.entry(id).await {
            Ok(ExecutionEntry::Active(_)) => Ok(None),
            Ok(ExecutionEntry::Ended(record)) => Ok(Some(record.result())),
            Err(unknown) => self.past_result(id, unknown).await,
        }
    }
}
