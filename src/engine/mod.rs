//! The engine: it wires the rooms together and holds no logic of its own.

mod builder;
mod cleanup;
mod core;
mod plans;
mod stdin;
mod subscribe;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use execution_engine_process::Signal;
use uuid::Uuid;

pub use builder::EngineBuilder;
use core::EngineCore;

use crate::config::ExecutionConfig;
use crate::error::{ExecutionError, Result};
use crate::events::EventHandler;
use crate::execution::{ActiveExecution, ControlAction};
use crate::output::{ExecutionLogs, text};
use crate::prepare;
use crate::store::{ActiveEntries, ExecutionEntry, Origin, RemovalError, RetentionPolicy};
use crate::types::{
    Ending, ExecutionOptions, ExecutionRequest, ExecutionResult, ExecutionStatus, ExecutionSummary,
    OutputStream, ShutdownReport,
};

/// Runs commands and remembers how they ended.
///
/// An engine is a handle: clones share one engine. When the last one is dropped, what still runs
/// is stopped: politely first, with SIGKILL after at most 400 ms. Dropping never blocks, and is
/// allowed inside async code.
///
/// Its methods may be called from any thread and any async runtime, of tokio or not; executions do
/// not run on the caller's. Every async method is cancel safe.
///
/// ```
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
/// let id = engine.execute(ExecutionRequest::shell("echo one; echo two >&2")).await?;
/// let result = engine.wait_for_completion(id).await?;
/// assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("one\n", "two\n"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ExecutionEngine {
    core: Arc<EngineCore>,
    /// Apart from the core, which background tasks hold, too.
    _alive: Arc<EngineAlive>,
}

/// Dropped with the last handle of an engine.
struct EngineAlive(Arc<EngineCore>);

impl Drop for EngineAlive {
    fn drop(&mut self) {
        // One that has just ended by itself keeps its own ending.
        self.0.shared.registry.close().executions.iter().for_each(|live| live.abandon());
        self.0.cleanup.stop();
    }
}

impl ExecutionEngine {
    /// An engine with this configuration and the defaults of the [builder](Self::builder).
    ///
    /// Needs no async runtime. Threads are started with the first execution.
    ///
    /// # Errors
    /// [`ValidationError::InvalidConfig`](crate::ValidationError::InvalidConfig) names the field that makes no sense.
    pub fn new(config: ExecutionConfig) -> Result<Self> {
        Self::builder().config(config).build()
    }

    /// For settings beyond the configuration.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Adds a handler, which is told of every execution that starts from now on, whichever clone
    /// starts it.
    #[must_use]
    pub fn with_event_handler(self, handler: Arc<dyn EventHandler>) -> Self {
        let mut audience = self.core.audience.write().unwrap_or_else(PoisonError::into_inner);
        *audience = audience.with(handler);
        drop(audience);
        self
    }

    /// The configuration this engine was made with, its `log_dir` as an absolute path.
    pub fn config(&self) -> &ExecutionConfig {
        &self.core.config
    }

    /// Starts an execution and returns its id at once, without waiting for its end.
    ///
    /// The future does all its work when it is first polled and never waits: dropped before that,
    /// it has done nothing; afterwards the execution has started.
    ///
    /// # Errors
    /// [`Validation`](ExecutionError::Validation), [`DuplicateId`](ExecutionError::DuplicateId),
    /// [`ConcurrencyLimitReached`](ExecutionError::ConcurrencyLimitReached) (or
    /// [`QueueFull`](ExecutionError::QueueFull), as the
    /// [admission](EngineBuilder::admission) says), and
    /// [`Log`](ExecutionError::Log) say that the request was refused; it leaves nothing behind then.
    /// A valid request whose program cannot be started has an execution that ends with
    /// [`Ending::SpawnFailed`].
    pub async fn execute(&self, request: ExecutionRequest) -> Result<Uuid> {
        self.execute_with(request, ExecutionOptions::default()).await
    }

    /// The same with options for this one execution.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn execute_with(
        &self,
        request: ExecutionRequest,
        options: ExecutionOptions,
    ) -> Result<Uuid> {
        let live = self.core.start(request, &options, Origin::Caller)?;
        Ok(live.info().id)
    }

    /// Executes and waits. Dropping the future does not stop the execution; keep the id of the
    /// request to [`cancel`](Self::cancel) it.
    ///
    /// # Errors
    /// As [`execute`](Self::execute). Whatever the program does is no error of this call; use
    /// [`into_result`](ExecutionResult::into_result) to make it one.
    pub async fn run(&self, request: ExecutionRequest) -> Result<ExecutionResult> {
        let id = request.id;
        let options = ExecutionOptions::default();
        let live = self.core.start(request, &options, Origin::Caller)?;
        // Not by its id, which retention may have forgotten by then.
        let record = live.ended().await.ok_or(ExecutionError::NotFound(id))?;
        Ok(record.result())
    }

    /// Waits for an execution to end, woken by that ending itself.
    ///
    /// Any number of waiters may wait for the same execution, before or after its end.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id. A timeout, a cancel or a failed start are
    /// results, not errors.
    pub async fn wait_for_completion(&self, id: Uuid) -> Result<ExecutionResult> {
        let record = match self.entry(id)? {
            ExecutionEntry::Active(live) => {
                live.ended().await.ok_or(ExecutionError::NotFound(id))?
            }
            ExecutionEntry::Ended(record) => record,
        };
        Ok(record.result())
    }

    /// Where an execution stands. Never waits.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id.
    pub async fn get_status(&self, id: Uuid) -> Result<ExecutionStatus> {
        Ok(match self.entry(id)? {
            ExecutionEntry::Active(live) => live.status(),
            ExecutionEntry::Ended(record) => record.status(),
        })
    }

    /// The result, or None while it runs. Never waits.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id.
    pub async fn get_result(&self, id: Uuid) -> Result<Option<ExecutionResult>> {
        Ok(match self.entry(id)? {
            ExecutionEntry::Active(_) => None,
            ExecutionEntry::Ended(record) => Some(record.result()),
        })
    }

    /// Stops an execution: its process tree gets SIGTERM, and SIGKILL after the grace.
    ///
    /// Returns at once. From then on the ending is [`Ending::Cancelled`], whatever the program does;
    /// wait for it to know that the tree is gone.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::AlreadyEnded`] if another
    /// ending has come first.
    pub async fn cancel(&self, id: Uuid) -> Result<()> {
        let ended = match self.entry(id)? {
            ExecutionEntry::Active(live) => match live.decide(Ending::Cancelled) {
                Ok(()) => return Ok(()),
                Err(ending) => ending.status(),
            },
            ExecutionEntry::Ended(record) => record.status(),
        };
        Err(ExecutionError::AlreadyEnded { id, status: ended })
    }

    /// Sends a signal to every process of an execution, and says how many got it. It is up to them
    /// what they make of it: to end an execution, [`cancel`](Self::cancel) it.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::AlreadyEnded`] if it has
    /// ended or is being stopped, [`ValidationError`](crate::ValidationError) for a signal that
    /// does not exist, and [`ExecutionError::Control`] if the system refuses, or if there is no process
    /// to signal because it waits in the queue or for its next attempt.
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
    pub async fn signal(&self, id: Uuid, signal: Signal) -> Result<u32> {
        prepare::signal("signal", Some(signal))?;
        self.control(id, ControlAction::Signal(signal)).await
    }

    /// Lets the whole process tree of an execution stand still. Its timeout does not run meanwhile,
    /// but for no longer than the [longest pause](EngineBuilder::max_pause). Pausing what is
    /// paused changes nothing.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub async fn pause(&self, id: Uuid) -> Result<()> {
        self.control(id, ControlAction::Pause).await.map(drop)
    }

    /// Lets a paused execution go on. Resuming what is not paused changes nothing.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub async fn resume(&self, id: Uuid) -> Result<()> {
        self.control(id, ControlAction::Resume).await.map(drop)
    }

    /// Ends the engine: refuses new executions from now on, stops those that run, each with this
    /// grace between the polite signal and the final one, waits for their ends and tells of them.
    ///
    /// Results remain and can be asked for. Calling it again waits for what is left. Cancel safe:
    /// dropped half-way, the executions are being stopped all the same.
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
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let begun = Instant::now();
        let ActiveEntries { executions, plans } = self.core.shared.registry.close();
        executions.iter().for_each(|active| active.shut_down(grace));
        let mut ended = Vec::with_capacity(executions.len());
        let mut survivors = Vec::new();
        for live in executions {
            if let Some(record) = live.ended().await {
                ended.push(record.summary());
                survivors.extend_from_slice(record.survivors());
            }
        }
        for plan in plans {
            plan.ended().await;
        }
        ShutdownReport { ended, survivors, took: begun.elapsed() }
    }

    /// All executions that are running or remembered, oldest first; then those that wait in the queue, oldest
    /// first. Copies no output.
    pub async fn list_executions(&self) -> Vec<ExecutionSummary> {
        let entries = self.core.shared.registry.executions();
        let mut all: Vec<_> = entries
            .into_iter()
            .map(|entry| match entry {
                ExecutionEntry::Active(live) => (live.queued_since(), live.summary()),
                ExecutionEntry::Ended(record) => (None, record.summary()),
            })
            .collect();
        // None of those that wait has been started, so that would not tell them apart.
        all.sort_by_key(|(waits_since, summary)| (*waits_since, summary.started_at));
        all.into_iter().map(|(_, summary)| summary).collect()
    }

    /// How many executions are alive, that is, hold a permit.
    pub async fn running_count(&self) -> usize {
        self.core.shared.registry.permits().taken()
    }

    /// How many executions are running or remembered.
    pub async fn total_count(&self) -> usize {
        self.core.shared.registry.execution_count()
    }

    /// How many more executions may be started now.
    pub fn available_permits(&self) -> usize {
        self.core.shared.registry.permits().available()
    }

    /// Where an execution stands in the [queue](crate::Admission::Queue), the first being 1; None
    /// if it does not wait. One before it may be overtaken if its
    /// [group](EngineBuilder::group) is full.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id.
    pub async fn queue_position(&self, id: Uuid) -> Result<Option<usize>> {
        Ok(match self.entry(id)? {
            ExecutionEntry::Active(live) => live
                .queue_slot()
                .and_then(|place| self.core.shared.registry.permits().position(place)),
            ExecutionEntry::Ended(_) => None,
        })
    }

    /// How many executions wait for their permit.
    pub async fn waiting_count(&self) -> usize {
        self.core.shared.registry.permits().waiting()
    }

    /// The log of an execution as far as it is written: the readable one of `log_dir`, else what
    /// went to `output_log_path`. Bytes that are not UTF-8 are shown as U+FFFD.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::NoLog`] if none was asked
    /// for, [`ExecutionError::Log`] if it cannot be read, as a FIFO or a device.
    pub async fn read_logs(&self, id: Uuid) -> Result<String> {
        let path = self.get_log_path(id).await?.ok_or(ExecutionError::NoLog(id))?;
        let file = path.clone();
        let read = self.core.driver.blocking(move || ExecutionLogs::read(&file)).await;
        match read.and_then(|read| read) {
            Ok(bytes) => Ok(text(&bytes)),
            Err(error) => Err(ExecutionError::Log { path, source: error.into() }),
        }
    }

    /// Where the log of an execution is; None if none was asked for.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id.
    pub async fn get_log_path(&self, id: Uuid) -> Result<Option<PathBuf>> {
        let entry = self.entry(id)?;
        let raw_log = match &entry {
            ExecutionEntry::Active(live) => live.info().raw_log(),
            ExecutionEntry::Ended(record) => record.info().raw_log(),
        };
        let own_log =
            self.core.config.log_dir.as_deref().map(|dir| ExecutionLogs::own_path(dir, id));
        Ok(own_log.or_else(|| raw_log.map(Path::to_path_buf)))
    }

    /// Forgets ended executions by the configured age and count, and says how many; ended plans, too.
    /// What runs is never touched.
    pub async fn cleanup_old_executions(&self) -> usize {
        let retention = RetentionPolicy::of(&self.core.config);
        let evicted = self.core.shared.registry.evict(Instant::now(), retention);
        self.core.shared.forget(&evicted.executions);
        evicted.executions.len()
    }

    /// Forgets one ended execution, and its overflow files with it.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::StillRunning`] for one that
    /// has not ended.
    pub async fn remove_execution(&self, id: Uuid) -> Result<()> {
        let removed = self.core.shared.registry.remove(id).map_err(|error| match error {
            RemovalError::Unknown => ExecutionError::NotFound(id),
            RemovalError::StillActive => ExecutionError::StillRunning(id),
        });
        removed.map(|record| self.core.shared.forget(&[record]))
    }

    /// Takes an overflow file: moves it to `to`, where nothing may be yet, and removes it no more. How
    /// many bytes it has.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::StillRunning`] for one that
    /// has not ended, [`ExecutionError::NoOverflow`] if there is no such file or it was taken, and
    /// [`ExecutionError::Overflow`] if it could not be moved; it is still there then.
    pub async fn take_overflow(
        &self,
        id: Uuid,
        stream: OutputStream,
        to: impl Into<PathBuf>,
    ) -> Result<u64> {
        let ExecutionEntry::Ended(record) = self.entry(id)? else {
            return Err(ExecutionError::StillRunning(id));
        };
        let path = to.into();
        let target = path.clone();
        let take = move || match record.captured(stream).overflow() {
            Some(file) => file.take(&target),
            None => Ok(None),
        };
        match self.core.driver.blocking(take).await.and_then(|taken| taken) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(ExecutionError::NoOverflow { id, stream }),
            Err(error) => Err(ExecutionError::Overflow { path, source: error.into() }),
        }
    }

    /// Starts the task that forgets ended executions as they grow too old, on the engine's own
    /// threads. It ends with the engine. Calling it again changes nothing; with
    /// [`enable_auto_cleanup`](ExecutionConfig::enable_auto_cleanup) off it does nothing.
    ///
    /// ```
    /// use execution_engine::*;
    /// let engine = Arc::new(ExecutionEngine::new(ExecutionConfig::default()).unwrap());
    /// engine.clone().start_cleanup_task();
    /// ```
    pub fn start_cleanup_task(self: Arc<Self>) {
        if !self.core.config.enable_auto_cleanup {
            return;
        }
        match self.core.driver.ready() {
            Ok(()) => self.core.cleanup.start(&self.core),
            Err(error) => tracing::error!(%error, "the cleanup task could not be started"),
        }
    }

    async fn control(&self, id: Uuid, action: ControlAction) -> Result<u32> {
        let status = match self.entry(id)? {
            ExecutionEntry::Ended(record) => record.status(),
            ExecutionEntry::Active(live) => {
                let refused =
                    |reason: &str| Err(ExecutionError::Control { id, reason: reason.to_string() });
                if let Some(lull) = live.not_running_reason() {
                    return refused(lull);
                }
                match (live.control(action).await, live.not_running_reason()) {
                    (Some(done), _) => return done.or_else(|error| refused(&error.to_string())),
                    (None, Some(lull)) => return refused(lull),
                    (None, None) => match live.decision() {
                        Some(ending) => ending.status(),
                        None => return refused("the attempt that ran has just ended"),
                    },
                }
            }
        };
        Err(ExecutionError::AlreadyEnded { id, status })
    }

    fn entry(&self, id: Uuid) -> Result<ExecutionEntry<ActiveExecution>> {
        self.core.shared.registry.get(id).ok_or(ExecutionError::NotFound(id))
    }
}

impl fmt::Debug for ExecutionEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutionEngine")
            .field("config", &self.core.config)
            .field("containment", &self.core.shared.containment.level())
            .finish_non_exhaustive()
    }
}
