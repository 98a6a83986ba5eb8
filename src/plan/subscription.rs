//! Subscription to a plan: its own events and the records of its executions, as one stream.

use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FusedStream, SelectAll, Stream, StreamExt as _};
use tokio::task::coop;

use crate::events::{JournalLookup, Subscription, record_stream};
use crate::output::View;
use crate::types::{EventRecord, ExecutionEvent};

/// The records of a plan and of its executions: see
/// [`subscribe_plan`](crate::ExecutionEngine::subscribe_plan).
///
/// Sequence numbers count the records of one id: the plan's, or that of one of its executions.
/// Otherwise like [`Subscription`].
#[must_use = "it does nothing unless it is asked for the next record"]
pub struct PlanSubscription {
    own: Subscription,
    /// One subscription for each step that has been started.
    steps: SelectAll<Subscription>,
    known: HashSet<usize>,
    journals: Arc<dyn JournalLookup>,
    view: View,
    /// The last record, held back until the executions have ended.
    last: Option<EventRecord>,
    has_ended: bool,
}

impl PlanSubscription {
    pub(crate) fn new(own: Subscription, journals: Arc<dyn JournalLookup>, view: View) -> Self {
        let (steps, known) = (SelectAll::new(), HashSet::new());
        Self { own, steps, known, journals, view, last: None, has_ended: false }
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Option<EventRecord>> {
        loop {
            if let Poll::Ready(Some(record)) = self.steps.poll_next_unpin(cx) {
                return Poll::Ready(Some(record));
            }
            if self.last.is_some() {
                return if self.steps.is_empty() {
                    Poll::Ready(self.last.take())
                } else {
                    Poll::Pending
                };
            }
            let Some(record) = ready!(self.own.poll_next_unpin(cx)) else {
                return Poll::Ready(None);
            };
            match &record.event {
                ExecutionEvent::Progress { step, execution_id, .. } => {
                    let is_new = self.known.insert(step.index);
                    // A step that never ran has no journal, nor has an execution that was
                    // forgotten.
                    if is_new && let Some(journal) = self.journals.journal(*execution_id) {
                        self.steps.push(Subscription::to(journal, self.view, 0));
                    }
                    return Poll::Ready(Some(record));
                }
                ExecutionEvent::PlanEnded { .. } => self.last = Some(record),
                _ => return Poll::Ready(Some(record)),
            }
        }
    }
}

record_stream!(PlanSubscription, EventRecord);

impl fmt::Debug for PlanSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanSubscription").field("plan", &self.own).finish_non_exhaustive()
    }
}
