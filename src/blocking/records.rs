//! Subscriptions as iterators.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use futures_core::FusedStream;
use uuid::Uuid;

use super::{wait, wait_for};
use crate::events::{ChunkSubscription, Subscription};
#[cfg(feature = "plans")]
use crate::plan::PlanSubscription;
#[cfg(feature = "plans")]
use crate::types::PlanStep;

/// The records of one execution, or of all.
pub type Events = Records<Subscription>;
/// The output of one execution as it was read, and its events.
pub type Chunks = Records<ChunkSubscription>;
/// The records of a plan and of its executions.
#[cfg(feature = "plans")]
pub type PlanEvents = Records<PlanSubscription>;

/// Iterator over the records of a subscription. `next` blocks until there is another one, and returns
/// `None` after the last.
///
/// Like every subscription it replays what was published before, never slows an execution down, and
/// counts what it has missed. Dropping it ends it, and stops nothing.
///
/// ```
/// use execution_engine::*;
/// # fn main() -> Result<()> {
/// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
/// let execution = engine.start(ExecutionRequest::shell("echo one; echo two"))?;
/// let mut lines = Vec::new();
/// for record in execution.events()? {
///     if let ExecutionEvent::Stdout { line, .. } = record.event {
///         lines.push(line);
///     }
/// }
/// assert_eq!(lines, ["one", "two"]);
/// # Ok(()) }
/// ```
///
/// # Panics
/// On a thread that runs executions, see [the module](crate::blocking#where-it-may-be-called).
#[must_use = "it does nothing unless it is asked for the next record"]
pub struct Records<S>(pub(super) S);

impl<S: FusedStream + Unpin> Records<S> {
    /// Waits for the next record, for no longer than this.
    ///
    /// ```
    /// use std::sync::mpsc::RecvTimeoutError;
    ///
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let execution = engine.start(ExecutionRequest::exec("sleep", ["0.2"]))?;
    /// let mut events = execution.events()?;
    /// loop {
    ///     match events.next_timeout(Duration::from_millis(20)) {
    ///         Ok(record) => println!("{:?}", record.event),
    ///         Err(RecvTimeoutError::Timeout) => println!("nothing new"), // look at other things
    ///         Err(RecvTimeoutError::Disconnected) => break,
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Timeout`](RecvTimeoutError::Timeout) if there is none by then, and
    /// [`Disconnected`](RecvTimeoutError::Disconnected) after the last.
    ///
    /// # Panics
    /// On a thread that runs executions.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<S::Item, RecvTimeoutError> {
        let next = wait_for(async { Ok(self.record().await) }, timeout);
        match next.unwrap_or_else(|refused| panic!("{refused}")) {
            Some(record) => record.ok_or(RecvTimeoutError::Disconnected),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    async fn record(&mut self) -> Option<S::Item> {
        poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx)).await
    }
}

impl<S: FusedStream + Unpin> Iterator for Records<S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        let next = wait(async { Ok(self.record().await) });
        next.unwrap_or_else(|refused| panic!("{refused}"))
    }
}

#[cfg(feature = "plans")]
impl Records<PlanSubscription> {
    /// Returns the step that an execution is, like [`PlanSubscription::step`].
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let plan = ExecutionPlan::builder().step("greet", ExecutionRequest::shell("echo hi"));
    /// let id = engine.execute_plan(plan.build()?)?;
    /// let mut records = engine.subscribe_plan(id)?;
    /// while let Some(record) = records.next() {
    ///     if let ExecutionEvent::Stdout { execution_id, line } = record.event {
    ///         let step = records.step(execution_id).unwrap();
    ///         assert_eq!((step.name.as_deref(), line.as_str()), (Some("greet"), "hi"));
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn step(&self, execution_id: Uuid) -> Option<&PlanStep> {
        self.0.step(execution_id)
    }
}

impl<S> Records<S> {
    /// Returns the subscription, to await its records.
    pub fn into_inner(self) -> S {
        self.0
    }
}

impl<S: fmt::Debug> fmt::Debug for Records<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Records").field(&self.0).finish()
    }
}
