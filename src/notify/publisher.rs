//! What one execution tells: its events to every handler, in order.

use std::sync::Arc;

use uuid::Uuid;

use super::EventHandler;
use super::queue::Queue;
use super::stage::{Actor, Stage};
use crate::model::ExecutionEvent;
use crate::output::LineBatch;

/// The queues of one execution, one for each handler that was there when it started.
#[derive(Clone)]
pub(crate) struct Publisher {
    queues: Box<[Arc<Queue>]>,
}

/// The handlers of an engine.
#[derive(Clone, Default)]
pub(crate) struct Audience(Arc<[Arc<Actor>]>);

impl Audience {
    /// With one more.
    pub(crate) fn with(&self, handler: Arc<dyn EventHandler>) -> Self {
        let all = self.0.iter().cloned();
        Self(all.chain(std::iter::once(Arc::new(Actor::new(handler)))).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn publisher(&self, execution_id: Uuid, stage: &Arc<Stage>) -> Publisher {
        let queue =
            |actor: &Arc<Actor>| Queue::new(execution_id, Arc::clone(actor), Arc::clone(stage));
        Publisher { queues: self.0.iter().map(queue).collect() }
    }
}

impl Publisher {
    pub(crate) fn has_audience(&self) -> bool {
        !self.queues.is_empty()
    }

    pub(crate) fn event(&self, event: ExecutionEvent) {
        let Some((last, others)) = self.queues.split_last() else { return };
        others.iter().for_each(|queue| queue.event(event.clone()));
        last.event(event);
    }

    pub(crate) fn lines(&self, batch: LineBatch) {
        let Some((last, others)) = self.queues.split_last() else { return };
        others.iter().for_each(|queue| queue.lines(batch.clone()));
        last.lines(batch);
    }

    /// Waits until every handler can take more. Cancel safe.
    pub(crate) async fn room(&self) {
        for queue in &self.queues {
            queue.room().await;
        }
    }

    /// How many lines handlers have missed so far.
    pub(crate) fn missed(&self) -> u64 {
        self.queues.iter().map(|queue| queue.missed()).sum()
    }
}
