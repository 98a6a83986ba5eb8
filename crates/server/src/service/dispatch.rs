//! How an execution goes from the queue to a keeper: stored first, told after it.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use execution_engine::{Ending, ExecutionOptions, ExecutionRequest, SkipReason};
use execution_engine_store::StoreError;
use uuid::Uuid;

use super::active::{Active, Phase};
use super::errors::stopping;
use super::inner::{Inner, RETRY, pause};
use super::keepers::reason_of;
use super::link::{Link, Told};
use crate::error::ServiceError;
use crate::faults;

/// Longest pause before executions are handed out again that could not be.
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// How many executions go to a keeper in one commit.
const BATCH: usize = 64;

impl Inner {
    /// Hands executions out as slots become free, until the service ends.
    pub(crate) async fn run_pump(self: Arc<Self>) {
        while !self.closing.is_cancelled() {
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.pump.notified() => {}
            }
            let mut delay = RETRY;
            // What was wrong is looked at again, although no execution waits any more: it is shown until it is right.
            while (self.has_next() || self.trouble().is_some()) && !self.closing.is_cancelled() {
                let Err(error) = self.dispatch_some().await else {
                    self.set_trouble(None);
                    delay = RETRY;
                    continue;
                };
                if error != stopping() {
                    self.stay_queued(error);
                }
                tokio::select! {
                    () = self.closing.cancelled() => return,
                    _ = async { pause(delay).await; self.store.writable().await } => {}
                }
                delay = (delay * 2).min(LONGEST_RETRY);
            }
        }
    }

    /// Says why executions stay in the queue, where they are shown and once in the log.
    pub(crate) fn stay_queued(&self, error: ServiceError) {
        let text = error.to_string();
        if self.set_trouble(Some(error)) {
            tracing::warn!(error = text, "executions stay in the queue; trying again");
        }
    }

    fn has_next(&self) -> bool {
        self.state.lock().queue.has_next()
    }

    /// Hands out the first of the queue. What cannot be stored goes back to its place.
    async fn dispatch_some(self: &Arc<Self>) -> Result<(), ServiceError> {
        let link = self.unless_closing(self.keepers.for_new_work(self)).await??;
        let picked: Vec<_> = {
            let mut state = self.state.lock();
            std::iter::from_fn(|| state.queue.pop()).take(BATCH).collect()
        };
        if picked.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = picked.iter().map(|(_, id)| *id).collect();
        let dispatched = match self.store.dispatch(ids.clone(), link.name()).await {
            Ok(dispatched) => dispatched,
            Err(error) => {
                let mut state = self.state.lock();
                for (place, id) in picked {
                    state.queue.put_back(place, id);
                }
                drop(state);
                ids.iter().filter_map(|id| self.find(*id)).for_each(|active| active.touch());
                return Err(error.into());
            }
        };
        for id in ids {
            match self.find(id) {
                Some(active) if dispatched.contains(&id) => {
                    active.set_phase(Phase::Dispatched(Arc::clone(&link)));
                    self.spawn_telling(active, Arc::clone(&link), None);
                }
                // Its row has ended, which only another program can have done.
                _ => {
                    tracing::error!(%id, "an execution in the queue is not queued in the store");
                    self.free_slot(id);
                }
            }
        }
        Ok(())
    }

    /// Tells a keeper to start an execution, again and again until it knows it or has died.
    pub(crate) fn spawn_telling(
        self: &Arc<Self>,
        active: Arc<Active>,
        link: Arc<Link>,
        work: Option<(ExecutionRequest, ExecutionOptions)>,
    ) {
        if !active.begin_telling() {
            // A task of this service does it, and goes on when the keeper is back.
            return;
        }
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            let Some(work) = inner.work_of(&active, work).await else { return };
            faults::at("dispatch_before_told");
            tokio::select! {
                told = link.start(work) => inner.told(&active, &link, told).await,
                () = inner.closing.cancelled() => {}
            }
        });
    }

    /// Returns what a keeper is told of an execution. None if it cannot be told, because the values of its
    /// environment cannot be read any more: it has ended then.
    async fn work_of(
        self: &Arc<Self>,
        active: &Arc<Active>,
        work: Option<(ExecutionRequest, ExecutionOptions)>,
    ) -> Option<(ExecutionRequest, ExecutionOptions)> {
        if work.is_some() {
            return work;
        }
        let read = || async {
            match self.store.whole(active.id).await {
                Err(error @ StoreError::OtherKey { .. }) => Ok(Err(error)),
                other => Ok(Ok(other?)),
            }
        };
        match self.until_stored(read).await? {
            Ok(work) => Some(work),
            Err(error) => {
                let ending = Ending::SpawnFailed { reason: error.to_string(), os_error: None };
                self.end_unstarted(active, ending).await;
                None
            }
        }
    }

    async fn told(self: &Arc<Self>, active: &Arc<Active>, link: &Arc<Link>, told: Told) {
        let noted = match told {
            Told::Started => {
                faults::at("dispatch_after_told");
                active.set_running();
                // Both ride on the next commit; after a crash before it, the keeper's list says the same.
                let started = self.store.started(active.id, Utc::now());
                started.and_then(|()| self.store.erase_env(active.id))
            }
            Told::Refused => {
                active.set_running();
                self.store.erase_env(active.id)
            }
            Told::Leaving => {
                let reason = SkipReason::EngineClosed;
                self.end_unstarted(active, Ending::NotRun { reason }).await;
                Ok(())
            }
            Told::Dead => {
                self.end_lost(Arc::clone(active), link, &reason_of(link)).await;
                Ok(())
            }
        };
        if let Err(error) = noted {
            tracing::debug!(%error, "a start is noted later");
        }
    }
}
