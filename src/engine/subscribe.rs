//! Subscriptions to one execution, and to all of them.

use std::sync::Arc;

use uuid::Uuid;

use super::ExecutionEngine;
use super::core::EngineCore;
use crate::error::Result;
use crate::events::{ChunkSubscription, JournalLookup, Subscription};
use crate::output::Journal;

impl ExecutionEngine {
    /// Subscribes to the records of an execution. The stream begins with what the execution has
    /// already published, as far as that is held, continues live, and ends after the terminal
    /// record. Of an ended execution it replays what is remembered.
    ///
    /// Held is the output that is kept, and of a running execution the
    /// [last bytes beyond](crate::EngineBuilder::replay_window). There may be any number of
    /// subscriptions, and none slows the program down: one that falls behind receives
    /// [how many bytes it missed](crate::ExecutionEvent::OutputMissed). With
    /// [`stream_output`](crate::ExecutionConfig::stream_output) off it contains no lines.
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
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`](crate::ExecutionError::NotFound) for an unknown id.
    pub async fn subscribe(&self, id: Uuid) -> Result<Subscription> {
        self.subscribe_from(id, 0).await
    }

    /// Like [`subscribe`](Self::subscribe), but only with records whose sequence is above `after`.
    /// A line that was unfinished there comes as a whole. A sequence that has not been reached yet
    /// means now: `u64::MAX` yields only what comes from now on.
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub async fn subscribe_from(&self, id: Uuid, after: u64) -> Result<Subscription> {
        Ok(Subscription::to(self.journal(id).await?, self.core.view(), after))
    }

    /// Subscribes to an execution with its output as it was read, in chunks of up to 64 KiB that
    /// are cut anywhere: for terminal views. Otherwise like [`subscribe`](Self::subscribe).
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
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub async fn subscribe_chunks(&self, id: Uuid) -> Result<ChunkSubscription> {
        self.subscribe_chunks_from(id, 0).await
    }

    /// Like [`subscribe_chunks`](Self::subscribe_chunks), from behind a record of a
    /// [`Subscription`] or a [`ChunkSubscription`].
    ///
    /// # Errors
    /// Those of [`subscribe`](Self::subscribe).
    pub async fn subscribe_chunks_from(&self, id: Uuid, after: u64) -> Result<ChunkSubscription> {
        Ok(ChunkSubscription::to(self.journal(id).await?, after))
    }

    /// Subscribes to all executions and plans from now on, those that run and those that will: for
    /// dashboards. Ends when the engine is dropped and its executions have ended.
    ///
    /// The records of one execution come in order. A subscription that is so slow that executions
    /// are forgotten before it has read them receives an
    /// [`ExecutionsMissed`](crate::ExecutionEvent::ExecutionsMissed) with their number.
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
        let broadcaster = Arc::clone(&self.core.shared.broadcaster);
        Subscription::to_all(broadcaster, self.core.journals(), self.core.view())
    }

    pub(super) async fn journal(&self, id: Uuid) -> Result<Arc<Journal>> {
        self.core.check_process()?;
        let registry = &self.core.shared.registry;
        match registry.journal_of_execution(id) {
            Some(journal) => Ok(journal),
            // Not only when it has caught up: it would have lost more of a long output by then.
            None => Ok(self.attach(id, registry.no_execution(id)).await?.journal()),
        }
    }
}

impl EngineCore {
    /// Returns the journals of executions and plans. They do not keep alive what executions share,
    /// so that subscriptions notice the engine's end.
    pub(super) fn journals(&self) -> Arc<dyn JournalLookup> {
        Arc::clone(&self.shared.registry) as _
    }
}
