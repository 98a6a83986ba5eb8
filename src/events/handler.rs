//! The trait for event handlers, and the handlers that come with the library.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use super::records::HandlerRecords;
use crate::types::{EventRecord, ExecutionEvent};

/// Receiver of all events of an engine. Implement it with the `async-trait` crate.
///
/// An execution calls a handler with its events one after the other and in order; several
/// executions call it at the same time. It runs on threads of the engine that exist for handlers
/// alone, inside a tokio context, and may call back into the engine, also to cancel.
///
/// A slow handler slows the child down rather than lose a line. If a call does not return within
/// the [stall limit](crate::EngineBuilder::handler_stall_limit), the handler gets no more lines of
/// that execution, then an [`ExecutionEvent::LinesMissed`] and the terminal event; a call that is
/// suspended at an await by then is dropped there. A handler that panics misses that one event. The
/// time for which a child is held back does not count against its timeout, up to the stall limit in
/// total, and no waiter waits for a handler. A handler with 16 stuck calls gets no new executions.
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
    /// Handles one event. The execution's next event waits until this returns.
    async fn handle_event(&self, event: ExecutionEvent);

    /// Handles one event with its record: sequence, time, and whether a line is unfinished. This is
    /// what the engine calls; by default it calls [`handle_event`](Self::handle_event).
    ///
    /// An [`ExecutionEvent::LinesMissed`] has the sequence of the terminal event that follows it.
    ///
    /// ```
    /// use async_trait::async_trait;
    /// use execution_engine::*;
    ///
    /// struct Printer;
    ///
    /// #[async_trait]
    /// impl EventHandler for Printer {
    ///     async fn handle_record(&self, record: EventRecord) {
    ///         let EventRecord { sequence, timestamp, event, .. } = record;
    ///         if let ExecutionEvent::Stdout { line, .. } = event {
    ///             println!("{sequence} {timestamp} {line}");
    ///         }
    ///     }
    ///
    ///     async fn handle_event(&self, _: ExecutionEvent) {}
    /// }
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// # let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// # engine.add_event_handler(Arc::new(Printer));
    /// # engine.run(ExecutionRequest::shell("echo hello")).await?;
    /// # Ok(()) }
    /// ```
    // Written out as `async_trait` would, so that the default is the future of the other method and not
    // another one around it.
    #[inline]
    fn handle_record<'handler, 'async_trait>(
        &'handler self,
        record: EventRecord,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'async_trait>>
    where
        'handler: 'async_trait,
        Self: 'async_trait,
    {
        self.handle_event(record.event)
    }

    /// Calls [`handle_record`](Self::handle_record) with the next record. It is part of the trait
    /// so that it is compiled for each handler: where only the event is used, no more of the record
    /// is made, which costs a line 15 % otherwise.
    #[doc(hidden)]
    fn handle_next<'handler, 'async_trait>(
        &'handler self,
        records: &mut HandlerRecords,
    ) -> Option<Pin<Box<dyn Future<Output = ()> + Send + 'async_trait>>>
    where
        'handler: 'async_trait,
        Self: 'async_trait,
    {
        Some(self.handle_record(records.next()?))
    }
}

/// Handler that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopEventHandler;

#[async_trait]
impl EventHandler for NoopEventHandler {
    async fn handle_event(&self, _event: ExecutionEvent) {}
}

/// Handler that logs events through `tracing`: lines and status changes at debug level, losses and
/// failures at warn, all else at info.
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
            ExecutionEvent::Retrying { attempt, ending, delay, .. } => {
                tracing::warn!(%id, attempt, %ending, ?delay, "retrying");
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

/// Handler that passes each event on to several handlers, one after the other. They share one
/// queue, so the slowest sets the pace; add them to the engine one by one to give each its own.
#[derive(Clone, Default)]
pub struct MultiEventHandler {
    handlers: Vec<Arc<dyn EventHandler>>,
}

impl MultiEventHandler {
    /// Creates a handler that calls these, in this order.
    pub fn new(handlers: Vec<Arc<dyn EventHandler>>) -> Self {
        Self { handlers }
    }

    /// Adds one more at the end.
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

    async fn handle_record(&self, record: EventRecord) {
        let Some((last, others)) = self.handlers.split_last() else { return };
        for handler in others {
            handler.handle_record(record.clone()).await;
        }
        last.handle_record(record).await;
    }
}
