//! Watching a plan: what it tells of itself, and what its executions tell.

use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::stream::{SelectAll, Stream, StreamExt as _};

use crate::events::{JournalLookup, Subscription};
use crate::output::View;
use crate::types::{EventRecord, ExecutionEvent};

/// The records of a plan and of its executions: see
/// [`subscribe_plan`](crate::ExecutionEngine::subscribe_plan).
///
/// It is a [`Stream`](futures_core::Stream), and has a [`next`](Self::next) of its own. Sequence
/// numbers count for the records of one id: the plan's, or that of one of its executions. Otherwise
/// as [`Subscription`].
#[must_use = "it does nothing unless it is asked for the next record"]
pub struct PlanSubscription {
    own: Subscription,
    /// Those of the steps that have been started.
    steps: SelectAll<Subscription>,
    known: HashSet<usize>,
    journals: Arc<dyn JournalLookup>,
    lens: View,
    /// The end of the plan, until its executions have told everything.
    end: Option<EventRecord>,
}

impl PlanSubscription {
    pub(crate) fn new(own: Subscription, journals: Arc<dyn JournalLookup>, lens: View) -> Self {
        let (steps, known) = (SelectAll::new(), HashSet::new());
        Self { own, steps, known, journals, lens, end: None }
    }

    /// The next record; None after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<EventRecord> {
        poll_fn(|cx| self.poll_record(cx)).await
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Option<EventRecord>> {
        loop {
            if let Poll::Ready(Some(record)) = self.steps.poll_next_unpin(cx) {
                return Poll::Ready(Some(record));
            }
            if self.end.is_some() {
                return if self.steps.is_empty() {
                    Poll::Ready(self.end.take())
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
                    // One that never ran has none, and of one that is forgotten nothing is known.
                    if is_new && let Some(journal) = self.journals.journal(*execution_id) {
                        self.steps.push(Subscription::to(journal, self.lens, 0));
                    }
                    return Poll::Ready(Some(record));
                }
                ExecutionEvent::PlanEnded { .. } => self.end = Some(record),
                _ => return Poll::Ready(Some(record)),
            }
        }
    }
}

impl Stream for PlanSubscription {
    type Item = EventRecord;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EventRecord>> {
        self.poll_record(cx)
    }
}

impl fmt::Debug for PlanSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanSubscription").field("plan", &self.own).finish_non_exhaustive()
    }
}
