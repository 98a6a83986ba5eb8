//! Subscription to a plan: its own events and the records of its executions, as one stream.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FusedStream, SelectAll, Stream, StreamExt as _};
use tokio::task::coop;
use uuid::Uuid;

use crate::events::{Subscription, record_stream};
use crate::output::View;
use crate::store::ActivePlan;
use crate::types::{EventRecord, ExecutionEvent, PlanStep};

/// The records of a plan and of its executions: see
/// [`subscribe_plan`](crate::ExecutionEngine::subscribe_plan).
///
/// Sequence numbers count the records of one id: the plan's, or that of one of its executions. Until
/// it is dropped, it holds what the plan holds of its steps, also when retention has forgotten both.
/// Otherwise like [`Subscription`].
#[must_use = "it does nothing unless it is asked for the next record"]
pub struct PlanSubscription {
    own: Subscription,
    /// One subscription for each step that has been started.
    steps: SelectAll<Subscription>,
    /// The steps that it has told of, by the ids of their executions.
    known: HashMap<Uuid, PlanStep>,
    /// It has the records of all steps, also of those that retention has forgotten.
    plan: Arc<ActivePlan>,
    view: View,
    /// The last record, held back until the executions have ended.
    last: Option<EventRecord>,
    has_ended: bool,
}

impl PlanSubscription {
    pub(crate) fn new(plan: Arc<ActivePlan>, view: View) -> Self {
        let own = Subscription::to(Arc::clone(plan.journal()), view, 0);
        let (steps, known) = (SelectAll::new(), HashMap::new());
        Self { own, steps, known, plan, view, last: None, has_ended: false }
    }

    /// Returns the step that an execution is, if a record has told of it: each record of a step
    /// comes after the first [`Progress`](ExecutionEvent::Progress) of that step.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let plan = ExecutionPlan::builder().step("greet", ExecutionRequest::shell("echo hi"));
    /// let id = engine.execute_plan(plan.build()?).await?;
    /// let mut records = engine.subscribe_plan(id).await?;
    /// while let Some(record) = records.next().await {
    ///     if let ExecutionEvent::Stdout { execution_id, line } = record.event {
    ///         let step = records.step(execution_id).unwrap();
    ///         assert_eq!((step.name.as_deref(), line.as_str()), (Some("greet"), "hi"));
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn step(&self, execution_id: Uuid) -> Option<&PlanStep> {
        self.known.get(&execution_id)
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
                    let is_new = self.known.insert(*execution_id, step.clone()).is_none();
                    // One that never ran has no journal.
                    if is_new && let Some(journal) = self.plan.step_journal(step.index) {
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
