//! Stopping, signalling, pausing, waiting for, pinning and removing executions.

use std::sync::Arc;
use std::time::Duration;

use execution_engine::{Ending, Signal};
use tokio::sync::watch;
use uuid::Uuid;

use super::active::{Active, Live, Phase};
use super::errors::{already_ended, not_ended, not_started, stopping, unknown};
use super::inner::{Inner, RETRY, pause};
use super::link::Link;
use crate::error::{ErrorCode, ServiceError};
use crate::view::{ExecutionView, StopMode};

/// Where an execution is that has not ended.
pub(super) enum Place {
    /// It waits.
    Queue,
    /// This keeper has it.
    Keeper(Arc<Link>),
}

impl Inner {
    /// Stops an execution; see [`Service::stop_execution`](super::Service::stop_execution).
    pub(crate) async fn stop(
        self: &Arc<Self>,
        id: Uuid,
        mode: StopMode,
    ) -> Result<ExecutionView, ServiceError> {
        let active = self.unfinished(id).await?;
        let mut live = active.subscribe();
        loop {
            match self.place(id, &mut live).await? {
                Place::Queue if self.leave_queue(&active) => {
                    self.end_unstarted(&active, Ending::Cancelled).await;
                    return self.get(id).await;
                }
                // It has just got a slot.
                Place::Queue => drop(self.unless_closing(live.changed()).await?),
                Place::Keeper(link) => {
                    self.unless_closing(link.stop(id, mode)).await?;
                    // A stop ends a pause. If this is not stored, its ending is.
                    self.spawn_noting_pause(&active, false);
                    return self.get(id).await;
                }
            }
        }
    }

    /// Sends a signal to an execution; see [`Service::signal`](super::Service::signal).
    pub(crate) async fn signal(
        self: &Arc<Self>,
        id: Uuid,
        signal: Signal,
    ) -> Result<u32, ServiceError> {
        if !signal.is_valid() {
            let text = format!("{} is no signal of this system", signal.number());
            return Err(ServiceError::invalid("signal", text)
                .fix("use a name such as terminate, or a number from 1 to 64"));
        }
        let active = self.unfinished(id).await?;
        // It ends a pause; no other signal changes what is noted, so none has to wait.
        let _alone = match signal {
            Signal::Continue => Some(active.control.lock().await),
            _ => None,
        };
        let Place::Keeper(link) = self.place(id, &mut active.subscribe()).await? else {
            return Err(not_started(id));
        };
        // Until it can be sent, the end of the service refuses it. Later than that it may be done: a client that is
        // told that the service is ending sends it again.
        self.unless_closing(link.until_here()).await?;
        let sent = self.unless_closing(link.signal(id, signal)).await;
        let processes = sent.map_err(|ending| link.outcome_unknown(&ending))??;
        if signal == Signal::Continue {
            self.note_paused(&active, false).await;
        }
        Ok(processes)
    }

    /// Pauses an execution, or lets it go on; see [`Service::pause`](super::Service::pause).
    pub(crate) async fn set_paused(
        self: &Arc<Self>,
        id: Uuid,
        paused: bool,
    ) -> Result<ExecutionView, ServiceError> {
        let active = self.unfinished(id).await?;
        let _alone = active.control.lock().await;
        let mut live = active.subscribe();
        loop {
            match self.place(id, &mut live).await? {
                Place::Queue if self.hold(&active, paused).await? => break,
                // It has just got a slot.
                Place::Queue => drop(self.unless_closing(live.changed()).await?),
                Place::Keeper(link) => {
                    self.unless_closing(link.set_paused(id, paused)).await??;
                    self.note_paused(&active, paused).await;
                    break;
                }
            }
        }
        self.get(id).await
    }

    /// Holds an execution in the queue, or lets it go. Returns `false` if it is not in the queue any more.
    async fn hold(&self, active: &Active, held: bool) -> Result<bool, ServiceError> {
        // Held before that is stored, and let go after it: what is stored as held does not start.
        if held && !self.state.lock().queue.hold(active.id) {
            return Ok(false);
        }
        let stored = self.store_paused(active, held).await;
        if stored.is_ok() {
            active.set_paused(held);
        }
        if active.is_paused() {
            return stored.map(|()| true);
        }
        let waits = self.state.lock().queue.let_go(active.id);
        self.pump.notify_one();
        stored.map(|()| waits)
    }

    /// Notes what a keeper has done, and stores it now or when that is possible. The caller holds `active.control`.
    async fn note_paused(self: &Arc<Self>, active: &Arc<Active>, paused: bool) {
        // It is so, whether or not it can be stored.
        active.set_paused(paused);
        let Err(error) = self.store_paused(active, paused).await else { return };
        tracing::warn!(%error, id = %active.id, "whether it is paused is stored later");
        let (inner, active) = (Arc::clone(self), Arc::clone(active));
        self.tasks.spawn(async move {
            // What the next service finds out from the keeper is stored by that one.
            if let Ok(Err(error)) = inner.unless_closing(inner.store_paused_later(&active)).await {
                tracing::warn!(%error, id = %active.id, "whether it is paused is not stored");
            }
        });
    }

    /// Stores whether an execution is paused when the store can be written.
    async fn store_paused_later(&self, active: &Active) -> Result<(), ServiceError> {
        loop {
            self.store.writable().await?;
            // What was done last counts.
            let alone = active.control.lock().await;
            match self.store_paused(active, active.is_paused()).await {
                Err(error) if error.code == ErrorCode::StoreFull => {}
                stored => return stored,
            }
            drop(alone);
            pause(RETRY).await;
        }
    }

    /// Stores whether an execution is paused, unless that is stored.
    async fn store_paused(&self, active: &Active, paused: bool) -> Result<(), ServiceError> {
        if active.is_stored_paused() != paused {
            self.store.set_paused(active.id, paused).await?;
            active.set_stored_paused(paused);
        }
        Ok(())
    }

    /// Notes whether an execution is paused, as its keeper says. Does nothing while another task controls it, which
    /// notes what comes of that.
    pub(crate) fn spawn_noting_pause(self: &Arc<Self>, active: &Arc<Active>, paused: bool) {
        if active.is_paused() == paused {
            return;
        }
        let Ok(alone) = Arc::clone(&active.control).try_lock_owned() else { return };
        let (inner, active) = (Arc::clone(self), Arc::clone(active));
        self.tasks.spawn(async move {
            inner.note_paused(&active, paused).await;
            drop(alone);
        });
    }

    /// Waits until it is decided where an execution is that has not ended.
    pub(super) async fn place(
        &self,
        id: Uuid,
        live: &mut watch::Receiver<Live>,
    ) -> Result<Place, ServiceError> {
        loop {
            let phase = live.borrow_and_update().phase.clone();
            match phase {
                Phase::Queued => return Ok(Place::Queue),
                Phase::Running(link) => return Ok(Place::Keeper(link)),
                Phase::Ended => return Err(already_ended(id)),
                Phase::Refused => return Err(unknown(id)),
                // It is about to be stored, or told to its keeper, or refused because of another one.
                Phase::Accepting | Phase::Dispatched(_) => {
                    let _ = self.unless_closing(live.changed()).await?;
                }
            }
        }
    }

    /// Returns an execution that has not ended.
    pub(super) async fn unfinished(&self, id: Uuid) -> Result<Arc<Active>, ServiceError> {
        match self.find(id) {
            Some(active) => Ok(active),
            None if self.store.get(id).await?.is_some() => Err(already_ended(id)),
            None => Err(unknown(id)),
        }
    }

    /// Takes an execution out of the queue. Returns `false` if it is not in it any more.
    pub(super) fn leave_queue(&self, active: &Active) -> bool {
        self.state.lock().queue.remove(active.id)
    }

    /// Waits for an execution; see [`Service::wait`](super::Service::wait).
    pub(crate) async fn wait(
        &self,
        id: Uuid,
        timeout: Option<Duration>,
    ) -> Result<ExecutionView, ServiceError> {
        if let Some(active) = self.find(id) {
            let mut live = active.subscribe();
            let ended = async {
                // It cannot fail: `active` holds the sender.
                let _ = live.wait_for(|live| live.phase.is_final()).await;
            };
            match timeout {
                // Whether it is over is seen from what is returned.
                Some(timeout) => {
                    drop(self.unless_closing(tokio::time::timeout(timeout, ended)).await?);
                }
                None => self.unless_closing(ended).await?,
            }
        }
        self.get(id).await
    }

    /// Sets whether retention keeps an execution; see [`Service::pin`](super::Service::pin).
    pub(crate) async fn pin(&self, id: Uuid, pinned: bool) -> Result<ExecutionView, ServiceError> {
        self.store.pin(id, pinned).await?;
        self.get(id).await
    }

    /// Removes an execution; see [`Service::remove`](super::Service::remove).
    pub(crate) async fn remove(&self, id: Uuid) -> Result<(), ServiceError> {
        if self.find(id).is_some() {
            return Err(not_ended(id));
        }
        Ok(self.store.remove(id).await?)
    }

    /// Waits for something, but not longer than the service lives.
    pub(crate) async fn unless_closing<T>(
        &self,
        call: impl Future<Output = T>,
    ) -> Result<T, ServiceError> {
        tokio::select! {
            biased;
            value = call => Ok(value),
            () = self.closing.cancelled() => Err(stopping()),
        }
    }
}
