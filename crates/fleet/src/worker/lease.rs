//! Announces a worker, and knows until when it may run anything.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::{Core, WorkerError};
use crate::cluster::ClusterError;
use crate::lease::Lease;
use crate::pause::pause;

/// Clocks of a worker.
pub trait Clock: Send + Sync + 'static {
    /// Returns the time since the machine was started, with the time that it was suspended.
    fn since_boot(&self) -> Duration;

    /// Returns milliseconds since 1970-01-01 UTC. For people and for `start_by`: it orders nothing.
    fn unix_ms(&self) -> u64;
}

/// Ends what a worker runs when its lease is over, and the worker itself, also if that is stopped.
pub trait LeaseGuard: Send + Sync + 'static {
    /// Moves the moment at which everything is ended, as time since the machine was started.
    fn extend(&self, until: Duration);
}

/// The lease, as the tasks of the worker see it.
pub(super) struct HeldLease {
    guard: Arc<dyn LeaseGuard>,
    clock: Arc<dyn Clock>,
    lease: watch::Sender<Lease>,
}

impl HeldLease {
    pub(super) fn new(guard: Arc<dyn LeaseGuard>, clock: Arc<dyn Clock>, lease: Lease) -> Self {
        Self { guard, clock, lease: watch::Sender::new(lease) }
    }

    /// Takes that the servers stored an announcement that was sent at this moment.
    fn stored(&self, sent: Duration) {
        self.lease.send_modify(|lease| {
            // One that is over stays so; the worker ends because of it.
            let _over = lease.stored(sent, self.clock.since_boot());
        });
        let deadline = self.lease.borrow().deadline();
        deadline.filter(|_| self.is_held()).into_iter().for_each(|until| self.guard.extend(until));
    }

    /// Returns `true` if the worker may claim and run.
    pub(super) fn is_held(&self) -> bool {
        self.lease.borrow().is_held(self.clock.since_boot())
    }

    /// Waits until the lease is over. Cancel safe.
    pub(super) async fn over(&self) {
        let mut leases = self.lease.subscribe();
        loop {
            let deadline = leases.borrow_and_update().deadline();
            let rest = deadline.map(|deadline| deadline.saturating_sub(self.clock.since_boot()));
            tokio::select! {
                biased;
                _ = leases.changed() => {}
                () = pause(rest.unwrap_or_default()), if rest.is_some() => {}
            }
            if self.lease.borrow().is_over(self.clock.since_boot()) {
                return;
            }
        }
    }
}

impl Core {
    /// Announces the worker until that was stored for the first time.
    pub(super) async fn first_announcement(&self) -> Result<(), WorkerError> {
        while !self.lease.is_held() {
            match self.announce().await {
                Ok(()) => {}
                Err(error @ ClusterError::Refused(_)) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "the worker could not be announced; trying again");
                    pause(self.options.times.lease.every).await;
                }
            }
        }
        Ok(())
    }

    /// Announces the worker for as long as this is polled.
    pub(super) async fn keep_announcing(self: Arc<Self>) {
        loop {
            pause(self.options.times.lease.every).await;
            if let Err(error) = self.announce().await {
                tracing::warn!(%error, worker = self.options.id, "the lease was not renewed");
            }
        }
    }

    async fn announce(&self) -> Result<(), ClusterError> {
        let times = &self.options.times.lease;
        // Before the call: the servers may store it at any moment of it.
        let sent = self.clock.since_boot();
        let presence = self.presence();
        let stored = self.cluster.announce(&self.options.id, presence, times.ttl);
        // An answer that comes late renews little; another announcement renews more.
        match timeout(times.lease / 2, stored).await {
            Ok(Ok(())) => {
                self.lease.stored(sent);
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ClusterError::NoAnswer("the announcement took too long".to_owned())),
        }
    }
}
