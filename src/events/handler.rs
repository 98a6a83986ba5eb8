use std::sync::Arc;

use async_trait::async_trait;

use crate::types::ExecutionEvent;

/// Something that wants to know what happens. Implement it with the `async-trait` crate.
///
/// Each execution calls a handler with its events one after the other and in order; several
/// executions call it at the same time. It runs on threads of the engine that exist for handlers
/// alone, inside a tokio context, and may call back into the engine, also to cancel.
///
/// A slow handler slows the child down rather than lose a line. One that finishes nothing for the
/// [stall limit](crate::EngineBuilder::handler_stall_limit) gets no more lines of that execution,
/// then an [`ExecutionEvent::LinesMissed`] and the terminal event; a call that is merely waiting by
/// then is dropped at its await. A handler that panics misses that one event. Neither changes an
/// outcome or delays a waiter.
///
/// ```
/// use async_trait::async_trait;
/// use execution_engine::*;
///
/// struct Printer;
///
/// #[async_trait]
/// impl EventHandler for Printer {
///     async fn handle_event(&self, event: ExecutionEvent) {
///         if let ExecutionEvent::Stdout { line, .. } = event {
///             println!("{line}");
///         }
///     }
/// }
///
/// # #[tokio::main] async fn main() -> Result<()> {
/// let engine = ExecutionEngine::new(ExecutionConfig::default())?
///     .with_event_handler(Arc::new(Printer));
/// engine.run(ExecutionRequest::shell("echo hello")).await?;
/// # Ok(()) }
/// ```
#[async_trait]
pub trait EventHandler: Send + Sync + 'static {
    /// Called for each event.
    async fn handle_event(&self, event: ExecutionEvent);
}

/// A handler that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopEventHandler;

#[async_trait]
impl EventHandler for NoopEventHandler {
    async fn handle_event(&self, _event: ExecutionEvent) {}
}

/// A handler that writes events through `tracing`: lines at debug level, all else at info, and
/// what did not go well at warn.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoggingEventHandler;

#[async_trait]
impl EventHandler for LoggingEventHandler {
    async fn handle_event(&self, event: ExecutionEvent) {
        let id = event.execution_id();
        match event {
            ExecutionEvent::Started { command, pid, .. } => {
                tracing::info!(%id, pid, command, "started");
            }
            ExecutionEvent::Stdout { line, .. } => tracing::debug!(%id, "out | {line}"),
            ExecutionEvent::Stderr { line, .. } => tracing::debug!(%id, "err | {line}"),
            ExecutionEvent::StatusChanged { from, to, .. } => {
                tracing::debug!(%id, %from, %to, "status changed");
            }
            ExecutionEvent::LinesMissed { count, .. } => tracing::warn!(%id, count, "lines missed"),
            ExecutionEvent::OutputMissed { bytes, .. } => {
                tracing::warn!(%id, bytes, "output missed");
            }
            ExecutionEvent::ExecutionsMissed { count } => {
                tracing::warn!(count, "executions missed");
            }
            ExecutionEvent::Retrying { attempt, ending, pause, .. } => {
                tracing::warn!(%id, attempt, %ending, ?pause, "retrying");
            }
            ExecutionEvent::Progress { completed, total, step, status, .. } => {
                tracing::info!(%id, completed, total, %step, %status, "progress");
            }
            ExecutionEvent::PlanEnded { status, duration, .. } => {
                tracing::info!(%id, %status, ?duration, "plan ended");
            }
            ExecutionEvent::Completed { success: true, duration, .. } => {
                tracing::info!(%id, ?duration, "completed");
            }
            ExecutionEvent::Completed { exit_code, duration, .. } => {
                tracing::warn!(%id, exit_code, ?duration, "completed without success");
            }
            ExecutionEvent::Failed { error, .. } => tracing::warn!(%id, error, "failed"),
            ExecutionEvent::Cancelled { duration, .. } => {
                tracing::info!(%id, ?duration, "cancelled");
            }
            ExecutionEvent::Timeout { timeout_ms, .. } => {
                tracing::warn!(%id, timeout_ms, "timed out");
            }
        }
    }
}

/// Passes each event on to several handlers, one after the other. They share one queue then; add
/// them to the engine one by one to give each its own.
#[derive(Clone, Default)]
pub struct MultiEventHandler {
    handlers: Vec<Arc<dyn EventHandler>>,
}

impl MultiEventHandler {
    /// With these handlers, called in this order.
    pub fn new(handlers: Vec<Arc<dyn EventHandler>>) -> Self {
        Self { handlers }
    }

    /// With one more at the end.
    #[must_use]
    pub fn with(mut self, handler: Arc<dyn EventHandler>) -> Self {
        self.handlers.push(handler);
        self
    }
}

impl std::fmt::Debug for MultiEventHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MultiEventHandler({} handlers)", self.handlers.len())
    }
}

#[async_trait]
impl EventHandler for MultiEventHandler {
    async fn handle_event(&self, event: ExecutionEvent) {
        let Some((last, others)) = self.handlers.split_last() else { return };
        for handler in others {
            handler.handle_event(event.clone()).await;
        }
        last.handle_event(event).await;
    }
}
