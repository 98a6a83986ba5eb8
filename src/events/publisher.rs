//! Publication of one execution's events: into its journal, then to the handlers and subscriptions
//! that wait for something new in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use super::EventHandler;
use super::broadcast::{Broadcaster, Update};
use super::handler_pool::{HandlerPool, RegisteredHandler};
use super::handler_queue::HandlerQueue;
use crate::output::{EventPayload, Journal, View};

/// Journal of one execution, with the readers to wake: a queue for each handler that the engine had
/// when the execution started, and the subscriptions to all executions. The journal itself wakes
/// those that watch this execution alone.
pub(crate) struct Publisher {
    pub(crate) journal: Arc<Journal>,
    queues: Box<[Arc<HandlerQueue>]>,
    broadcaster: Arc<Broadcaster>,
    /// Up to where the broadcaster has sent updates.
    sent_to: AtomicU64,
}

/// Handlers of an engine.
#[derive(Clone, Default)]
pub(crate) struct HandlerSet(Arc<[Arc<RegisteredHandler>]>);

impl HandlerSet {
    /// Returns these handlers and one more.
    pub(crate) fn with(&self, handler: Arc<dyn EventHandler>) -> Self {
        let all = self.0.iter().cloned();
        Self(all.chain(std::iter::once(Arc::new(RegisteredHandler::new(handler)))).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Creates the publisher of an execution, with a queue for each handler.
    pub(crate) fn publisher(
        &self,
        journal: Arc<Journal>,
        view: View,
        pool: &Arc<HandlerPool>,
        broadcaster: Arc<Broadcaster>,
    ) -> Publisher {
        let queue = |handler: &Arc<RegisteredHandler>| {
            HandlerQueue::new(Arc::clone(&journal), view, Arc::clone(handler), Arc::clone(pool))
        };
        let queues = self.0.iter().map(queue).collect();
        Publisher { journal, queues, broadcaster, sent_to: AtomicU64::new(0) }
    }
}

impl Publisher {
    /// Publishes an event. Nothing may follow a terminal one.
    pub(crate) fn event(&self, at: DateTime<Utc>, event: impl Into<EventPayload>) {
        self.journal.event(at, event);
        self.wake_readers();
    }

    /// Wakes the readers, because the journal has something new.
    pub(crate) fn wake_readers(&self) {
        let (to, is_last) = self.journal.reach();
        let from = self.sent_to.swap(to, Ordering::AcqRel);
        self.queues.iter().for_each(HandlerQueue::wake);
        self.broadcaster.send(self.journal.owner(), Update { from, to, is_last });
    }

    /// Waits until every handler can take more output, or is cut off.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn wait_for_room(&self) {
        for queue in self.queues.iter().filter(|queue| !queue.has_room()) {
            // Boxed, because it is rare and would make the future of every execution larger.
            Box::pin(queue.wait_for_room()).await;
        }
    }

    /// Returns how many lines the handlers have missed so far.
    pub(crate) fn missed(&self) -> u64 {
        self.queues.iter().map(|queue| queue.missed()).sum()
    }
}
