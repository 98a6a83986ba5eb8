//! From "it has ended" to "all clients know": the ending is stored, then told, then the keeper forgets.

use std::sync::Arc;

use chrono::Utc;
use execution_engine::{Ending, ExecutionResult, SkipReason};
use execution_engine_store::{EndedExecution, OutputPlace};
use uuid::Uuid;

use super::active::{Active, Phase};
use super::errors::internal;
use super::inner::{Inner, RETRY, pause};
use super::journals::{self, Closed, ToldEnd};
use super::link::Link;
use super::queue::Released;
use crate::error::{ErrorCode, ServiceError};
use crate::faults;

impl Inner {
    /// Stores the ending of an execution whose keeper says that it has ended. Does nothing if another
    /// task is at it.
    pub(crate) fn spawn_ending(self: &Arc<Self>, active: Arc<Active>, link: Arc<Link>) {
        if !active.begin_ending() {
            return;
        }
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            let outcome = inner.until_stored(|| inner.closed_ending(&active, &link)).await;
            match outcome {
                Some(Some(ended)) => inner.store_ending(&active, ended, Some(&link)).await,
                // The journal lacks its last record because the disk was full. The keeper tells again.
                Some(None) => active.give_up_ending(),
                None => {}
            }
        });
    }

    /// Stores the ending of an execution whose keeper has died.
    pub(crate) async fn end_lost(
        self: &Arc<Self>,
        active: Arc<Active>,
        link: &Arc<Link>,
        reason: &str,
    ) {
        while !active.begin_ending() {
            // A task has begun it while the keeper lived. It goes on, or gives up.
            let mut live = active.subscribe();
            let done = live.wait_for(|live| live.phase.is_final() || !active.is_ending()).await;
            if done.is_err() || active.live().phase.is_final() {
                return;
            }
        }
        if active.live().phase.is_final() {
            return;
        }
        let lost = || self.lost_ending(&active, link, reason);
        if let Some(ended) = self.until_stored(lost).await {
            self.store_ending(&active, ended, Some(link)).await;
        }
    }

    /// Ends an execution that waits, or would wait, in the queue. It has been taken out already.
    pub(crate) async fn end_unstarted(self: &Arc<Self>, active: &Arc<Active>, ending: Ending) {
        if !active.begin_ending() {
            return;
        }
        let result = journals::never_ran(active.id, ending, Utc::now());
        match journals::without_journal(&result) {
            Ok(ended) => self.store_ending(active, ended, None).await,
            Err(error) => tracing::error!(%error, id = %active.id, "an ending could not be made"),
        }
    }

    /// Ends those that wait for an execution that did not succeed, and lets the others run.
    pub(crate) fn release(self: &Arc<Self>, of: Uuid, released: Released) {
        for id in released.refused {
            let Some(active) = self.find(id) else { continue };
            let inner = Arc::clone(self);
            self.tasks.spawn(async move {
                let reason = SkipReason::AfterFailed { execution: of };
                inner.end_unstarted(&active, Ending::NotRun { reason }).await;
            });
        }
        if !released.ready.is_empty() {
            self.pump.notify_one();
        }
    }

    /// Reads the ending that the keeper has written. None if its record is not there yet.
    async fn closed_ending(
        &self,
        active: &Arc<Active>,
        link: &Link,
    ) -> Result<Option<EndedExecution>, ServiceError> {
        let (id, path) = (active.id, link.journal(active.id));
        let _permit = self.endings.acquire().await;
        let closed = blocking({
            let path = path.clone();
            move || journals::closed(id, &path)
        });
        match closed.await? {
            Closed::Whole(ended) => Ok(Some(*ended)),
            Closed::Open(_) => Ok(None),
            Closed::Missing => {
                let reason = format!("its journal {} has gone", path.display());
                self.without_journal(id, &reason).await.map(Some)
            }
        }
    }

    /// Reads or makes the ending of an execution whose keeper has died.
    async fn lost_ending(
        &self,
        active: &Arc<Active>,
        link: &Link,
        reason: &str,
    ) -> Result<EndedExecution, ServiceError> {
        let (id, path) = (active.id, link.journal(active.id));
        let end = match active.told_end() {
            Some(end) => end,
            None => {
                let (started_at, attempts) = self.progress_of(id).await?;
                ToldEnd { result: lost(id, started_at, attempts, reason), missed: None }
            }
        };
        blocking(move || {
            if let Closed::Open(recovered) = journals::closed(id, &path)? {
                journals::append_end(&path, &recovered, &end)?;
            }
            match journals::closed(id, &path)? {
                Closed::Whole(ended) => Ok(*ended),
                Closed::Missing => journals::without_journal(&end.result),
                Closed::Open(_) => {
                    Err(internal(format!("the journal {} has no end", path.display())))
                }
            }
        })
        .await
    }

    async fn without_journal(
        &self,
        id: Uuid,
        reason: &str,
    ) -> Result<EndedExecution, ServiceError> {
        let (started_at, attempts) = self.progress_of(id).await?;
        journals::without_journal(&lost(id, started_at, attempts, reason))
    }

    /// Returns when an execution was started, as far as it is stored, and how often.
    async fn progress_of(&self, id: Uuid) -> Result<(chrono::DateTime<Utc>, u32), ServiceError> {
        let stored = self.store.get(id).await?;
        let started_at =
            stored.as_ref().and_then(|stored| stored.started_at.or(Some(stored.created_at)));
        Ok((started_at.unwrap_or_else(Utc::now), stored.map_or(1, |stored| stored.attempts.max(1))))
    }

    /// Stores an ending, tells it, and lets the keeper forget the execution.
    async fn store_ending(
        self: &Arc<Self>,
        active: &Arc<Active>,
        ended: EndedExecution,
        link: Option<&Arc<Link>>,
    ) {
        let (success, id) = (ended.ending.is_success(), active.id);
        let is_large = matches!(ended.output, OutputPlace::Journal { .. });
        faults::at("ended_before_commit");
        let stored =
            self.until_stored(|| async { Ok(self.store.ended(ended.clone()).await?) }).await;
        if stored.is_none() {
            return;
        }
        faults::at("ended_after_commit");
        self.publish_ending(active, success);
        let Some(link) = link else { return };
        if !is_large || self.archive(id).await {
            link.forget(id).await;
        }
    }

    /// Takes an execution that has ended out of memory, and tells all who wait for it.
    fn publish_ending(self: &Arc<Self>, active: &Arc<Active>, success: bool) {
        let released = {
            let mut state = self.state.lock();
            state.active.remove(&active.id);
            state.queue.give_back(active.id);
            state.queue.ended(active.id, success)
        };
        active.set_phase(Phase::Ended);
        self.release(active.id, released);
        self.pump.notify_one();
    }

    /// Compresses the journal of an execution that has ended. Returns `false` if the journal is needed
    /// further on.
    pub(crate) async fn archive(&self, id: Uuid) -> bool {
        let _permit = self.archives.acquire().await;
        faults::at("before_archive");
        let archived = self.until_stored(|| async {
            match self.store.archive(id).await {
                Err(error) if error.is_unwritable() => Err(error.into()),
                other => Ok(other),
            }
        });
        match archived.await {
            Some(Ok(_)) => {
                faults::at("after_archive");
                true
            }
            // The next start of the service tries again.
            Some(Err(error)) => {
                tracing::error!(%error, %id, "the output stays in its journal");
                false
            }
            None => false,
        }
    }

    /// Repeats what the store could not do because it cannot be written, until it could. Other errors are
    /// repeated, too, after a while: what has ended is told, however long that takes. None if the service
    /// ends first.
    pub(crate) async fn until_stored<T, F>(&self, mut attempt: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, ServiceError>>,
    {
        loop {
            let error = match attempt().await {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            if self.closing.is_cancelled() || error.code == ErrorCode::Stopping {
                return None;
            }
            let again = async {
                if error.code != ErrorCode::StoreFull {
                    tracing::error!(%error, "the store or a journal failed; trying again");
                }
                pause(RETRY).await;
                // It fails for a store that is closed; then the next attempt does, too.
                let _ = self.store.writable().await;
            };
            tokio::select! {
                () = self.closing.cancelled() => return None,
                () = again => {}
            }
        }
    }
}

/// Returns the result of an execution whose keeper has died.
fn lost(
    id: Uuid,
    started_at: chrono::DateTime<Utc>,
    attempts: u32,
    reason: &str,
) -> ExecutionResult {
    let now = Utc::now();
    // The clock may have been set back meanwhile.
    let mut result = ExecutionResult::lost(id, started_at.min(now), now, reason);
    result.attempts = attempts;
    result
}

/// Calls a function that blocks.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    tokio::task::spawn_blocking(call).await.unwrap_or_else(|error| Err(internal(error)))
}
