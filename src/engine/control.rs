//! Control of what runs: cancel, signal, pause, resume, and the end of the engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use execution_engine_process::Signal;
use futures_util::future::join_all;
use uuid::Uuid;

use super::{ExecutionEngine, history};
use crate::error::{ExecutionError, Result};
use crate::execution::{ActiveExecution, ControlRefusal};
use crate::prepare;
use crate::store::ActiveEntries;
use crate::types::{CancelReport, ControlAction, ExecutionStatus, ShutdownReport};
use crate::waker;

impl ExecutionEngine {
    /// Stops an execution: its process tree gets SIGTERM, and SIGKILL after the grace.
    ///
    /// Returns at once. From then on the ending is [`Ending::Cancelled`](crate::Ending::Cancelled),
    /// whatever the program does. Wait for the execution to know that the tree has exited. One in
    /// the queue has left it when this returns, and is never started.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::AlreadyEnded`] if another
    /// ending came first.
    pub async fn cancel(&self, id: Uuid) -> Result<()> {
        cancel(&*self.active(id).await?, None).await
    }

    /// Like [`cancel`](Self::cancel), with this grace between the stop signal and the final signal in
    /// place of its own. What was cancelled before and is being stopped has no longer than this from
    /// now on: without any grace SIGKILL is sent at once, and no other signal before it.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::builder().stop_grace(Duration::from_secs(3600)).build()?;
    /// let stubborn = ExecutionRequest::shell("trap '' TERM; echo ready; while :; do sleep 1; done");
    /// let execution = engine.start(stubborn).await?;
    /// let mut chunks = execution.chunks().await?;
    /// while let Some(record) = chunks.next().await {
    ///     // From now on it ignores SIGTERM.
    ///     if matches!(record.content, ChunkContent::Output { .. }) { break; }
    /// }
    /// engine.cancel(execution.id()).await?;
    /// engine.cancel_within(execution.id(), Duration::ZERO).await?;
    /// assert_eq!(execution.wait().await?.ending, Ending::Cancelled);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::AlreadyEnded`] if another
    /// ending came first.
    pub async fn cancel_within(&self, id: Uuid, grace: Duration) -> Result<()> {
        cancel(&*self.active(id).await?, Some(grace)).await
    }

    /// Cancels all that is queued or running, and leaves the engine open, for instance for a cleanup.
    /// Returns at once, with the ids of what it has cancelled.
    ///
    /// Whatever was accepted before the call is cancelled, as by [`cancel`](Self::cancel) or
    /// [`cancel_plan`](Self::cancel_plan): steps of plans that run [always](crate::StepOptions::always)
    /// go on, until it is called again. What is accepted after the call has returned is not touched.
    /// What is accepted meanwhile is either cancelled as a whole, and named, or not touched.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let id = engine.execute(ExecutionRequest::exec("sleep", ["60"])).await?;
    /// assert_eq!(engine.cancel_all().await.executions, [id]);
    /// let cleanup = engine.run(ExecutionRequest::shell("echo cleaned")).await?;
    /// assert!(cleanup.success);
    /// assert_eq!(engine.wait_for_completion(id).await?.ending, Ending::Cancelled);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// The future does all its work when it is first polled and never waits. With a
    /// [backend](crate::EngineBuilder::backend) it waits for the answers of that; each cancel is carried
    /// out even if the future is dropped.
    pub async fn cancel_all(&self) -> CancelReport {
        let ActiveEntries { executions, plans } = self.core.shared.registry.active();
        let executions = waiting_first(executions);
        // What has ended meanwhile was not cancelled.
        let plans = plans.iter().filter(|plan| plan.cancel().is_ok());
        let plans = plans.map(|plan| plan.info().id).collect();
        let (elsewhere, here): (Vec<_>, Vec<_>) =
            executions.iter().partition(|active| active.remote().is_some());
        let here = here.into_iter().filter(|active| active.cancel().is_ok());
        let mut executions: Vec<_> = here.map(|active| active.info().id).collect();
        let cancels = elsewhere
            .into_iter()
            .map(async |active| cancel(active, None).await.is_ok().then_some(active.info().id));
        executions.extend(join_all(cancels).await.into_iter().flatten());
        CancelReport { plans, executions }
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
    /// with this grace between the stop signal and the final signal, and waits for their ends. What
    /// waits in the queue is never started.
    ///
    /// What runs elsewhere, with a [backend](crate::EngineBuilder::backend), is left alone and goes on.
    /// Who waits for it here gets [`Detached`](ExecutionError::Detached), subscriptions to it end, and
    /// another engine with that backend finds it by its id.
    ///
    /// Results remain available. Calling it again waits for what is left. A [history](crate::History)
    /// has all endings when this returns, unless it finishes nothing for 30 s.
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
        if self.core.check_process().is_err() {
            return ShutdownReport {
                ended: Vec::new(),
                survivors: Vec::new(),
                took: Duration::ZERO,
            };
        }
        let ActiveEntries { executions, plans } = self.core.shared.registry.close();
        let executions = waiting_first(executions);
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
        if let Some(history) = &self.core.shared.history {
            history::flush(self, history).await;
        }
        ShutdownReport { ended, survivors, took: begun.elapsed() }
    }

    /// Waits until the engine has nothing to do: no execution is queued or runs, no plan is carried
    /// out, and the handlers have received all events. For the end of a program that wants to have
    /// seen everything, also after a [`shutdown`](Self::shutdown), which does not wait for handlers.
    ///
    /// What is accepted meanwhile is waited for, too, so this may take for ever where others go on
    /// submitting. A handler that finishes no call for twice the
    /// [stall limit](crate::EngineBuilder::handler_stall_limit) is not waited for.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// for line in ["sleep 0.1", "echo hello"] {
    ///     engine.execute(ExecutionRequest::shell(line)).await?;
    /// }
    /// engine.wait_until_idle().await;
    /// assert_eq!(engine.running_count().await, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Waiting changes nothing, so the future can be dropped at any point.
    pub async fn wait_until_idle(&self) {
        if self.core.check_process().is_err() {
            return;
        }
        let pool = &self.core.handler_pool;
        waker::catching(async {
            loop {
                let changed = pool.activity.changed();
                if pool.activity.has_publishers() {
                    changed.await;
                    continue;
                }
                if !self.core.handlers.read().have_more() {
                    return;
                }
                // A handler that is stuck tells nothing.
                let later = Instant::now().checked_add(pool.stall_limit);
                tokio::select! {
                    () = changed => {}
                    _over = self.core.shared.runtime.timer(later) => {}
                }
            }
        })
        .await;
    }

    async fn control(&self, id: Uuid, action: ControlAction) -> Result<u32> {
        control(&*self.active(id).await?, action).await
    }
}

/// Returns those first that wait in the queue: the end of one that is stopped before them would hand
/// them its permit, and they would start.
pub(super) fn waiting_first(
    mut executions: Vec<Arc<ActiveExecution>>,
) -> Vec<Arc<ActiveExecution>> {
    executions.sort_by_cached_key(|active| active.status() != ExecutionStatus::Pending);
    executions
}

/// Refuses to control what has ended, for which nobody need be asked.
fn refuse_ended(active: &ActiveExecution) -> Result<()> {
    let id = active.info().id;
    match active.record() {
        Some(record) => Err(ExecutionError::AlreadyEnded { id, status: record.status() }),
        None => Ok(()),
    }
}

/// Cancels an execution: at once, or where it runs.
pub(super) async fn cancel(active: &ActiveExecution, grace: Option<Duration>) -> Result<()> {
    let id = active.info().id;
    if let Some(remote) = active.remote() {
        refuse_ended(active)?;
        return remote.cancel(grace).await;
    }
    let cancelled = match grace {
        Some(grace) => active.cancel_within(grace),
        None => active.cancel(),
    };
    cancelled.map_err(|ending| ExecutionError::AlreadyEnded { id, status: ending.status() })
}

pub(super) async fn control(active: &ActiveExecution, action: ControlAction) -> Result<u32> {
    let id = active.info().id;
    if let Some(remote) = active.remote() {
        refuse_ended(active)?;
        return remote.control(action).await;
    }
    active.control(action).await.map_err(|refusal| match refusal {
        ControlRefusal::Ended(status) => ExecutionError::AlreadyEnded { id, status },
        ControlRefusal::NotRunning(reason) => {
            ExecutionError::Control { id, reason: reason.to_string() }
        }
        ControlRefusal::System(error) => ExecutionError::Control { id, reason: error.to_string() },
    })
}
