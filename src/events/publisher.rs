//! What one execution tells: its journal, and whom to wake when there is something new in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use super::EventHandler;
use super::broadcast::{Broadcaster, Update};
use super::handler_pool::{HandlerPool, RegisteredHandler};
use super::handler_queue::HandlerQueue;
use crate::output::{Journal, View};
use crate::types::{ContainmentReceipt, ExecutionEvent, ExecutionStatus};

/// The journal of one execution and those who wait for something new in it: a queue for each handler
/// that was there when it started, and those who watch all executions. Who watches this one alone is
/// woken by the journal itself.
pub(crate) struct Publisher {
    journal: Arc<Journal>,
    queues: Box<[Arc<HandlerQueue>]>,
    hub: Arc<Broadcaster>,
    /// How far those who watch all executions have been told.
    told: AtomicU64,
}

/// The handlers of an engine.
#[derive(Clone, Default)]
pub(crate) struct HandlerSet(Arc<[Arc<RegisteredHandler>]>);

impl HandlerSet {
    /// With one more.
    pub(crate) fn with(&self, handler: Arc<dyn EventHandler>) -> Self {
        let all = self.0.iter().cloned();
        Self(all.chain(std::iter::once(Arc::new(RegisteredHandler::new(handler)))).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn publisher(
        &self,
        journal: Arc<Journal>,
        lens: View,
        stage: &Arc<HandlerPool>,
        hub: Arc<Broadcaster>,
    ) -> Publisher {
        let queue = |actor: &Arc<RegisteredHandler>| {
            HandlerQueue::new(Arc::clone(&journal), lens, Arc::clone(actor), Arc::clone(stage))
        };
        let queues = self.0.iter().map(queue).collect();
        Publisher { journal, queues, hub, told: AtomicU64::new(0) }
    }
}

impl Publisher {
    pub(crate) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    pub(crate) fn started(&self, pid: u32) {
        self.journal.started(pid);
        self.tell();
    }

    pub(crate) fn status(&self, at: DateTime<Utc>, from: ExecutionStatus, to: ExecutionStatus) {
        self.journal.status(at, from, to);
        self.tell();
    }

    pub(crate) fn event(&self, at: DateTime<Utc>, event: ExecutionEvent) {
        self.journal.event(at, event);
        self.tell();
    }

    pub(crate) fn last(
        &self,
        at: DateTime<Utc>,
        event: ExecutionEvent,
        receipt: ContainmentReceipt,
    ) {
        self.journal.last(at, event, receipt);
        self.tell();
    }

    /// There is something new in the journal.
    pub(crate) fn tell(&self) {
        let (to, is_last) = self.journal.reach();
        let from = self.told.swap(to, Ordering::AcqRel);
        self.queues.iter().for_each(HandlerQueue::wake);
        self.hub.ring(self.journal.owner(), Update { from, to, is_last });
    }

    /// Waits until every handler can take more. Cancel safe.
    pub(crate) async fn room(&self) {
        for queue in self.queues.iter().filter(|queue| !queue.has_room()) {
            // On the heap, because it is rare and every execution holds what waiting takes.
            Box::pin(queue.room()).await;
        }
    }

    /// How many lines handlers have missed so far.
    pub(crate) fn missed(&self) -> u64 {
        self.queues.iter().map(|queue| queue.missed()).sum()
    }
}
