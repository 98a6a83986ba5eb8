//! The facade: [`ExecutionEngine`] and its methods, one file for each topic. They translate between
//! ids and entries of the registry, and between internal refusals and errors; what happens is
//! decided in the modules below.
//!
//! `core.rs` is what all clones of an engine share, and the start of an execution.

mod builder;
mod cleanup;
mod control;
mod core;
mod elsewhere;
mod handle;
mod history;
#[cfg(feature = "logs")]
mod logs;
mod output;
mod overflow;
#[cfg(feature = "plans")]
mod plans;
mod query;
mod run;
mod settings;
mod stdin;
mod subscribe;

use std::sync::Arc;
use std::{fmt, mem};

use uuid::Uuid;

pub use builder::EngineBuilder;
use core::EngineCore;
pub use handle::{Execution, ExecutionStdin};

use crate::config::ExecutionConfig;
use crate::error::{ExecutionError, Result};
use crate::events::EventHandler;
use crate::execution::ActiveExecution;
use crate::store::ExecutionEntry;

/// Runs commands and remembers how they ended.
///
/// Clones share one engine. When the last one is dropped, what still runs is stopped: with the
/// stop signal first, with SIGKILL after at most 400 ms. Dropping never blocks, and is allowed
/// inside async code. What runs elsewhere, with a [backend](EngineBuilder::backend), goes on.
///
/// Its methods may be called from any thread and any async runtime, tokio or not; executions do not
/// run on the caller's. Methods about executions are async although few of them wait, because an
/// engine will also stand for other machines. Where dropping a future matters, the method has a
/// section about cancel safety; elsewhere nothing is left half-done.
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
    /// Beside the core, because background tasks hold the core, too.
    _alive: Arc<EngineAlive>,
}

/// Dropped with the last clone of an engine.
struct EngineAlive(Arc<EngineCore>);

impl Drop for EngineAlive {
    fn drop(&mut self) {
        if self.0.check_process().is_err() {
            // The executions and the files of this copy are those of the host, which goes on.
            return mem::forget(Arc::clone(&self.0));
        }
        let active = control::waiting_first(self.0.shared.registry.close().executions);
        active.iter().for_each(|active| active.abandon());
        self.0.cleanup.stop();
    }
}

impl ExecutionEngine {
    /// Creates an engine with this configuration and the defaults of the [builder](Self::builder).
    ///
    /// Needs no async runtime. Threads are started with the first execution.
    ///
    /// # Errors
    /// [`ValidationError::InvalidConfig`](crate::ValidationError::InvalidConfig) names the field
    /// that is invalid.
    pub fn new(config: ExecutionConfig) -> Result<Self> {
        Self::builder().config(config).build()
    }

    /// Returns a builder, for settings beyond the configuration.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Returns the configuration this engine was made with, its `log_dir` as an absolute path.
    pub fn config(&self) -> &ExecutionConfig {
        &self.core.config
    }

    /// Adds a handler, which receives the events of every execution that starts from now on,
    /// whichever clone starts it.
    pub fn add_event_handler(&self, handler: Arc<dyn EventHandler>) {
        let mut handlers = self.core.handlers.write();
        *handlers = handlers.with(handler);
    }

    /// Like [`add_event_handler`](Self::add_event_handler), for method chains. It affects all
    /// clones, too.
    #[must_use]
    pub fn with_event_handler(self, handler: Arc<dyn EventHandler>) -> Self {
        self.add_event_handler(handler);
        self
    }

    async fn entry(&self, id: Uuid) -> Result<ExecutionEntry<ActiveExecution>> {
        self.core.check_process()?;
        let registry = &self.core.shared.registry;
        match registry.get(id) {
            Some(ExecutionEntry::Active(active)) if self.has_backend() => {
                Self::settled(active).await
            }
            Some(entry) => Ok(entry),
            None => {
                let unknown = registry.no_execution(id);
                if !self.has_backend() {
                    return Err(unknown);
                }
                Self::settled(self.attach(id, unknown).await?).await
            }
        }
    }

    /// Returns an execution that has not ended.
    async fn active(&self, id: Uuid) -> Result<Arc<ActiveExecution>> {
        match self.entry(id).await? {
            ExecutionEntry::Active(active) => Ok(active),
            ExecutionEntry::Ended(record) => {
                Err(ExecutionError::AlreadyEnded { id, status: record.status() })
            }
        }
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
