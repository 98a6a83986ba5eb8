//! The engine's methods for those who watch.

use std::sync::Arc;

use uuid::Uuid;

use super::ExecutionEngine;
use super::core::EngineCore;
use crate::error::{ExecutionError, Result};
use crate::events::{ChunkSubscription, JournalLookup, Subscription};
use crate::output::Journal;

impl ExecutionEngine {
    /// Watches an execution: a stream of its records. It begins with what the execution has already
    /// published, as far as that is held, goes on live, and ends after the terminal record; of an
    /// execution that has ended it replays what there is.
    ///
    /// Held is the output that is kept, and of a running execution the
    /// [last bytes beyond](crate::EngineBuilder::replay_window). Any number of subscriptions may watch, and
    /// none slows the program down: one that falls behind is told
    /// [how many bytes it missed](crate::ExecutionEvent::OutputMissed). With
    /// [`stream_output`](crate::ExecutionConfig::stream_output) off there are no lines in it.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let id = engine.execute(ExecutionRequest::shell("echo one; echo two")).await?;
    /// let mut records = engine.subscribe(id).await?;
    /// let mut lines = Vec::new();
    /// while let Some(record) = records.next().await {
    ///     if let ExecutionEvent::Stdout { line, .. } = record.event {
    ///         lines.push(line);
    ///     }
    /// }
    /// assert_eq!(lines, ["one", "two"]);
    /// # Ok(()) }
    /// ```
    pub async fn subscribe(&self, id: Uuid) -> Result<Subscription> {
        self.subscribe_from(id, 0).await
    }

    /// The same, taken up behind a record: only those with a sequence above `after` come. A line that
    /// was unfinished there comes as a whole. A place that has not been reached yet is the present:
    /// `u64::MAX` tells only what comes from now on.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub async fn subscribe_from(&self, id: Uuid, after: u64) -> Result<Subscription> {
        Ok(Subscription::to(self.journal(id)?, self.core.lens(), after))
    }

    /// Watches an execution with its output as it was read, in chunks of up to 64 KiB that are cut
    /// anywhere: for terminal views. Otherwise as [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let id = engine.execute(ExecutionRequest::shell("printf 'no end of line'")).await?;
    /// let mut chunks = engine.subscribe_chunks(id).await?;
    /// let mut screen = Vec::new();
    /// while let Some(record) = chunks.next().await {
    ///     if let ChunkContent::Output { bytes, .. } = record.content {
    ///         screen.extend_from_slice(&bytes);
    ///     }
    /// }
    /// assert_eq!(screen, b"no end of line");
    /// # Ok(()) }
    /// ```
    pub async fn subscribe_chunks(&self, id: Uuid) -> Result<ChunkSubscription> {
        self.subscribe_chunks_from(id, 0).await
    }

    /// The same, taken up behind a record of a [`Subscription`] or a [`ChunkSubscription`].
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub async fn subscribe_chunks_from(&self, id: Uuid, after: u64) -> Result<ChunkSubscription> {
        Ok(ChunkSubscription::to(self.journal(id)?, after))
    }

    /// Watches all executions and plans from now on, those that run and those that will: for
    /// dashboards. Ends when the engine is gone and its executions have ended.
    ///
    /// The records of one execution come in order. One that is so slow that executions are forgotten
    /// before it has been told of them gets an [`ExecutionsMissed`](crate::ExecutionEvent::ExecutionsMissed) with their number.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let mut records = engine.subscribe_all().await;
    /// let id = engine.execute(ExecutionRequest::shell("echo hello")).await?;
    /// let first = records.next().await.unwrap();
    /// assert!(matches!(first.event, ExecutionEvent::Started { execution_id, .. } if execution_id == id));
    /// # Ok(()) }
    /// ```
    pub async fn subscribe_all(&self) -> Subscription {
        let hub = Arc::clone(&self.core.shared.hub);
        Subscription::to_all(hub, self.core.journals(), self.core.lens())
    }

    fn journal(&self, id: Uuid) -> Result<Arc<Journal>> {
        self.core.shared.registry.journal_of_execution(id).ok_or(ExecutionError::NotFound(id))
    }
}

impl EngineCore {
    /// Returns the journals of executions and plans. They do not keep alive what executions share, so
    /// that watchers learn of the engine's end.
    pub(super) fn journals(&self) -> Arc<dyn JournalLookup> {
        Arc::clone(&self.shared.registry) as _
    }
}
