//! Publication of one execution's events: into its journal, then to the handlers and subscriptions
//! that wait for something new in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use super::EventHandler;
use super::activity::ActivityGuard;
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
    _active: ActivityGuard,
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

    /// Returns `true` if a handler has not received all that was published. One that finishes no call
    /// does not count.
    pub(crate) fn have_more(&self) -> bool {
        self.0.iter().any(|handler| handler.has_more())
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
        let (sent_to, _active) = (AtomicU64::new(0), pool.activity.begin());
        Publisher { journal, queues, broadcaster, sent_to, _active }
    }
}

impl Publisher {
    /// Publishes an event. Nothing may follow a terminal one.
    pub(crate) fn event(&self, at: DateTime<Utc>, event: impl Into<EventPayload>) {
        self.append(at, event);
        self.wake_after_append();
    }

    /// Publishes an event without waking anyone: for a caller that holds a lock.
    pub(crate) fn append(&self, at: DateTime<Utc>, event: impl Into<EventPayload>) {
        self.journal.append_event(at, event);
        self.send_update();
    }

    /// Wakes the readers after [`append`](Self::append).
    pub(crate) fn wake_after_append(&self) {
        self.journal.wake();
        self.wake_readers();
    }

    /// Wakes all readers but those that the journal has woken, because it has something new.
    pub(crate) fn wake_readers(&self) {
        self.send_update();
        self.queues.iter().for_each(HandlerQueue::wake);
        self.broadcaster.wake();
    }

    fn send_update(&self) {
        let (to, is_last) = self.journal.reach();
        // Another thread may be ahead, and has sent this then.
        let from = self.sent_to.fetch_max(to, Ordering::AcqRel);
        if from < to {
            self.broadcaster.send(self.journal.owner(), Update { from, to, is_last });
        }
    }

    /// Returns `true` if every handler can take more output.
    pub(crate) fn has_room(&self) -> bool {
        self.queues.iter().all(|queue| queue.has_room())
    }

    /// Waits until every handler can take more output, or is cut off.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn wait_for_room(&self) {
        for queue in self.queues.iter().filter(|queue| !queue.has_room()) {
            queue.wait_for_room().await;
        }
    }

    /// Returns how many lines the handlers have missed so far.
    pub(crate) fn missed(&self) -> u64 {
        self.queues.iter().map(|queue| queue.missed()).sum()
    }
}
