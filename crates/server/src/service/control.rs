//! Stopping, signalling, waiting for, and removing executions.

use std::sync::Arc;
use std::time::Duration;

use execution_engine::{Ending, Signal};
use uuid::Uuid;

use super::active::{Active, Phase};
use super::errors::{already_ended, not_ended, not_started, stopping, unknown};
use super::inner::Inner;
use super::link::Link;
use crate::error::ServiceError;
use crate::view::{ExecutionView, StopMode};

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
            let phase = live.borrow_and_update().phase.clone();
            match phase {
                Phase::Queued if self.leave_queue(&active) => {
                    self.end_unstarted(&active, Ending::Cancelled).await;
                    return self.get(id).await;
                }
                Phase::Running(link) => {
                    self.unless_closing(link.stop(id, mode)).await?;
                    return self.get(id).await;
                }
                Phase::Ended => return Err(already_ended(id)),
                Phase::Refused => return Err(unknown(id)),
                // It is about to be stored, or told to its keeper, or refused because of another one.
                Phase::Accepting | Phase::Queued | Phase::Dispatched(_) => {
                    let _ = self.unless_closing(live.changed()).await?;
                }
            }
        }
    }

    /// Sends a signal to an execution; see [`Service::signal`](super::Service::signal).
    pub(crate) async fn signal(&self, id: Uuid, signal: Signal) -> Result<u32, ServiceError> {
        if !signal.is_valid() {
            let text = format!("{} is no signal of this system", signal.number());
            return Err(ServiceError::invalid("signal", text)
                .fix("use a name such as terminate, or a number from 1 to 64"));
        }
        let link = self.running(id).await?;
        self.unless_closing(link.signal(id, signal)).await?
    }

    /// Returns the keeper of an execution, once it has it. One in the queue has none.
    async fn running(&self, id: Uuid) -> Result<Arc<Link>, ServiceError> {
        let active = self.unfinished(id).await?;
        let mut live = active.subscribe();
        loop {
            let phase = live.borrow_and_update().phase.clone();
            match phase {
                Phase::Running(link) => return Ok(link),
                Phase::Queued => return Err(not_started(id)),
                Phase::Ended => return Err(already_ended(id)),
                Phase::Refused => return Err(unknown(id)),
                Phase::Accepting | Phase::Dispatched(_) => {
                    let _ = self.unless_closing(live.changed()).await?;
                }
            }
        }
    }

    /// Returns an execution that has not ended.
    async fn unfinished(&self, id: Uuid) -> Result<Arc<Active>, ServiceError> {
        match self.find(id) {
            Some(active) => Ok(active),
            None if self.store.get(id).await?.is_some() => Err(already_ended(id)),
            None => Err(unknown(id)),
        }
    }

    /// Takes an execution out of the queue. Returns `false` if it is not in it any more.
    fn leave_queue(&self, active: &Active) -> bool {
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
