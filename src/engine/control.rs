//! Control of what runs: cancel, signal, pause, resume, and the end of the engine.

use std::time::{Duration, Instant};

use execution_engine_process::Signal;
use uuid::Uuid;

use super::ExecutionEngine;
use crate::error::{ExecutionError, Result};
use crate::execution::{ActiveExecution, ControlAction, ControlRefusal};
use crate::prepare;
use crate::store::ActiveEntries;
use crate::types::{Ending, ShutdownReport};

impl ExecutionEngine {
    /// Stops an execution: its process tree gets SIGTERM, and SIGKILL after the grace.
    ///
    /// Returns at once. From then on the ending is [`Ending::Cancelled`], whatever the program
    /// does. Wait for the execution to know that the tree has exited.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::AlreadyEnded`] if another
    /// ending came first.
    pub async fn cancel(&self, id: Uuid) -> Result<()> {
        cancel(&*self.active(id)?)
    }

    /// Sends a signal to every process of an execution and returns how many received it. What they
    /// do with it is up to them; to end an execution, [`cancel`](Self::cancel) it.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let id = engine.execute(ExecutionRequest::exec("sleep", ["60"])).await?;
    /// assert_eq!(engine.signal(id, Signal::Interrupt).await?, 1);
    /// let result = engine.wait_for_completion(id).await?;
    /// assert_eq!(result.error.as_deref(), Some("killed by SIGINT"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::AlreadyEnded`] if it has
    /// ended or is being stopped, [`ValidationError`](crate::ValidationError) for a signal that
    /// does not exist, and [`ExecutionError::Control`] if the system refuses, or if there is no
    /// process because the execution is queued or waits for its next attempt.
    ///
    /// # Cancel safety
    /// Once polled, the signal is sent even if the future is dropped.
    pub async fn signal(&self, id: Uuid, signal: Signal) -> Result<u32> {
        prepare::signal("signal", Some(signal))?;
        self.control(id, ControlAction::Signal(signal)).await
    }

    /// Suspends the whole process tree of an execution. Its timeout does not run meanwhile, but for
    /// no longer than the [longest pause](crate::EngineBuilder::max_pause). Pausing a paused
    /// execution changes nothing.
    ///
    /// # Errors
    /// Those of [`signal`](Self::signal).
    ///
    /// # Cancel safety
    /// Once polled, the execution is paused even if the future is dropped.
    pub async fn pause(&self, id: Uuid) -> Result<()> {
        self.control(id, ControlAction::Pause).await.map(drop)
    }

    /// Resumes a paused execution. Resuming one that is not paused changes nothing.
    ///
    /// # Errors
    /// Those of [`signal`](Self::signal).
    ///
    /// # Cancel safety
    /// Once polled, the execution is resumed even if the future is dropped.
    pub async fn resume(&self, id: Uuid) -> Result<()> {
        self.control(id, ControlAction::Resume).await.map(drop)
    }

    /// Ends the engine: refuses new executions and plans from now on, stops those that run, each
    /// with this grace between the stop signal and the final signal, and waits for their ends.
    ///
    /// Results remain available. Calling it again waits for what is left.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// engine.execute(ExecutionRequest::exec("sleep", ["60"])).await?;
    /// let report = engine.shutdown(Duration::from_secs(1)).await;
    /// assert_eq!((report.ended.len(), report.survivors.len()), (1, 0));
    /// let refused = engine.execute(ExecutionRequest::shell("ls")).await;
    /// assert_eq!(refused, Err(ExecutionError::ShuttingDown));
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Once polled, the executions are stopped even if the future is dropped.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let begun = Instant::now();
        let ActiveEntries { executions, plans } = self.core.shared.registry.close();
        // All are stopped before one is waited for, so that their graces run at the same time.
        executions.iter().for_each(|active| active.shut_down(grace));
        let mut ended = Vec::with_capacity(executions.len());
        let mut survivors = Vec::new();
        for active in executions {
            if let Some(record) = active.ended().await {
                ended.push(record.summary());
                survivors.extend_from_slice(record.survivors());
            }
        }
        for plan in plans {
            plan.ended().await;
        }
        ShutdownReport { ended, survivors, took: begun.elapsed() }
    }

    async fn control(&self, id: Uuid, action: ControlAction) -> Result<u32> {
        control(&*self.active(id)?, action).await
    }
}

pub(super) fn cancel(active: &ActiveExecution) -> Result<()> {
    let id = active.info().id;
    let decided = active.decide(Ending::Cancelled);
    decided.map_err(|ending| ExecutionError::AlreadyEnded { id, status: ending.status() })
}

pub(super) async fn control(active: &ActiveExecution, action: ControlAction) -> Result<u32> {
    let id = active.info().id;
    active.control(action).await.map_err(|refusal| match refusal {
        ControlRefusal::Ended(status) => ExecutionError::AlreadyEnded { id, status },
        ControlRefusal::NotRunning(reason) => {
            ExecutionError::Control { id, reason: reason.to_string() }
        }
        ControlRefusal::System(error) => ExecutionError::Control { id, reason: error.to_string() },
    })
}
