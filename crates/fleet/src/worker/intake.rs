//! Takes tickets from the queues while there are free slots.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::{Core, Intake, Phase};
use crate::cluster::{ClusterError, Delivery, Settle};
use crate::pause::pause;
use crate::place::QueueName;
use crate::turns::Turns;

/// How long a request waits for a ticket where there are fewer free slots than queues.
const SHORT_WAIT: Duration = Duration::from_millis(200);

/// Pause after a request that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Pause after a request that the servers refuse, which is for as long as the rights of the worker are the same.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);

/// What came of a request that waited at a queue.
struct Waited {
    queue: QueueName,
    /// The slot for the ticket; none if the queue was left alone.
    slot: Option<OwnedSemaphorePermit>,
    got: Result<Vec<Delivery>, ClusterError>,
}

/// Queues that have a request or are left alone for a while, so that they are not asked now.
#[derive(Default)]
struct Waits<'a> {
    all: FuturesUnordered<BoxFuture<'a, Waited>>,
    queues: BTreeSet<QueueName>,
    /// Whether a refusal was told.
    is_told: bool,
}

impl<'a> Waits<'a> {
    fn push(&mut self, queue: QueueName, wait: impl Future<Output = Waited> + Send + 'a) {
        self.queues.insert(queue);
        self.all.push(Box::pin(wait));
    }

    /// Leaves a queue alone for a while, because the servers refuse its tickets.
    fn refused(&mut self, core: &'a Core, queue: QueueName, error: &ClusterError) {
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(
                %error, pool = queue.pool, tenant = queue.tenant,
                "the servers refuse tickets; asking again every 30 s, check the rights of the worker"
            );
        }
        self.push(queue.clone(), async move {
            tokio::select! {
                () = pause(AFTER_REFUSAL) => {}
                () = core.reached(Phase::Draining) => {}
            }
            Waited { queue, slot: None, got: Ok(Vec::new()) }
        });
    }
}

impl Core {
    /// Takes tickets until the worker is draining, then waits until what they are about is over.
    ///
    /// The queues are asked in turns until none has a ticket. Then a request waits at each, as far as
    /// there are slots. Such a request is never dropped: a ticket that is on its way would stay
    /// with a worker that does not know of it.
    pub(super) async fn take_tickets(self: &Arc<Self>, intake: &Intake) {
        let mut work = JoinSet::new();
        let mut waits = Waits::default();
        let mut turns = Turns::new(intake.queues.iter().cloned());
        loop {
            while work.try_join_next().is_some() {}
            let all_waited_for = waits.queues.len() == intake.queues.len();
            let slot = tokio::select! {
                biased;
                () = self.reached(Phase::Draining) => break,
                Some(Waited { queue, slot, got }) = waits.all.next() => {
                    match got {
                        Err(error) => waits.refused(self, queue, &error),
                        Ok(got) => {
                            waits.queues.remove(&queue);
                            turns.answered_by(&queue, got.len());
                            self.start_all(&mut work, got, slot).await;
                        }
                    }
                    continue;
                }
                slot = Arc::clone(&intake.slots).acquire_owned(), if !all_waited_for => slot,
            };
            // The semaphore is never closed.
            let Ok(slot) = slot else { break };
            if !turns.is_idle() {
                self.ask_next(intake, &mut turns, &mut waits, &mut work, slot).await;
            } else if let Some(queue) = turns.longest_empty(|queue| waits.queues.contains(queue)) {
                let others = intake.queues.len() - waits.queues.len() - 1;
                let is_scarce = intake.slots.available_permits() < others;
                let wait = if is_scarce { SHORT_WAIT } else { self.options.times.fetch_wait };
                waits.push(queue.clone(), self.wait(queue.clone(), slot, wait));
            }
        }
        while let Some(waited) = waits.all.next().await {
            self.start_all(&mut work, waited.got.unwrap_or_default(), None).await;
        }
        while work.join_next().await.is_some() {}
    }

    /// Asks the queue whose turn it is, without waiting.
    async fn ask_next<'a>(
        self: &'a Arc<Self>,
        intake: &Intake,
        turns: &mut Turns,
        waits: &mut Waits<'a>,
        work: &mut JoinSet<()>,
        slot: OwnedSemaphorePermit,
    ) {
        let Some(turn) = turns.next() else { return };
        if waits.queues.contains(turn.queue) {
            // It is asked already.
            return turns.answered(0);
        }
        let mut slots = vec![slot];
        while slots.len() < turn.most
            && let Ok(slot) = Arc::clone(&intake.slots).try_acquire_owned()
        {
            slots.push(slot);
        }
        match self.cluster.fetch(turn.queue, slots.len(), Duration::ZERO).await {
            Ok(got) => {
                turns.answered(got.len());
                self.start_all(work, got, slots).await;
            }
            Err(error @ ClusterError::Refused(_)) => {
                waits.refused(self, turn.queue.clone(), &error);
                turns.answered(0);
            }
            Err(error) => {
                tracing::warn!(%error, "no tickets could be fetched; trying again");
                turns.answered(0);
                pause(AFTER_FAILURE).await;
            }
        }
    }

    /// Waits at a queue for one ticket.
    async fn wait(&self, queue: QueueName, slot: OwnedSemaphorePermit, wait: Duration) -> Waited {
        let got = match self.cluster.fetch(&queue, 1, wait).await {
            Err(error) if !matches!(error, ClusterError::Refused(_)) => {
                tracing::warn!(%error, "no ticket could be fetched; trying again");
                pause(AFTER_FAILURE).await;
                Ok(Vec::new())
            }
            got => got,
        };
        Waited { queue, slot: Some(slot), got }
    }

    /// Starts what has a slot, and gives the other tickets back.
    async fn start_all(
        self: &Arc<Self>,
        work: &mut JoinSet<()>,
        got: Vec<Delivery>,
        slots: impl IntoIterator<Item = OwnedSemaphorePermit>,
    ) {
        let mut slots = slots.into_iter();
        for delivery in got {
            match slots.next() {
                Some(slot) => {
                    let core = Arc::clone(self);
                    work.spawn(async move {
                        core.attend(delivery).await;
                        drop(slot);
                    });
                }
                None => self.give_back(&delivery, Settle::Again).await,
            }
        }
    }

    /// Settles a delivery, as far as the servers can be reached: else the ticket comes again by itself.
    pub(super) async fn give_back(&self, delivery: &Delivery, how: Settle) {
        if let Err(error) =
            self.cluster.settle(&delivery.place.queue.tenant, &delivery.handle, how).await
        {
            tracing::debug!(%error, id = %delivery.place.id, "a ticket was not settled");
        }
    }
}
