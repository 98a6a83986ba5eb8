//! Reading output page by page.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::ExecutionEngine;
use crate::error::Result;
use crate::output::Journal;
use crate::runtime::EngineRuntime;
use crate::types::{OutputPage, OutputQuery};
use crate::waker;

impl ExecutionEngine {
    /// Reads output from a cursor on, at most so many bytes: for callers without a connection, such
    /// as an HTTP handler or the tool of an agent. The page has the cursor of the next one, so no
    /// byte comes twice and none is lost.
    ///
    /// Works while the execution is queued, runs, and as long as it is remembered; then with the
    /// output that is [kept](crate::ExecutionConfig::max_output_size_bytes), the last part of
    /// [`KeepHeadAndTail`](crate::OversizedOutputStrategy::KeepHeadAndTail) included. What is no
    /// longer in memory is counted in its place
    /// ([`OutputPart::Missed`](crate::OutputPart::Missed)); an overflow file is not read.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let id = engine.execute(ExecutionRequest::shell("echo one; sleep 0.1; echo two")).await?;
    /// let mut cursor = OutputCursor::default();
    /// let mut shown = String::new();
    /// loop {
    ///     let query = OutputQuery::after(cursor).wait(Duration::from_secs(10));
    ///     let page = engine.read_output(id, query).await?;
    ///     shown.push_str(&page.text());
    ///     cursor = page.next;
    ///     if page.ended {
    ///         break;
    ///     }
    /// }
    /// assert_eq!(shown, "one\ntwo\n");
    /// # Ok(()) }
    /// ```
    ///
    /// Both streams come in the order in which they were read. In very many small pieces of both of
    /// which that order is no longer held, stdout comes first. A character that has only begun is
    /// left to the next page.
    ///
    /// # Errors
    /// [`NotFound`](crate::ExecutionError::NotFound) for an unknown id.
    ///
    /// # Cancel safety
    /// Reading changes nothing, so the future can be dropped at any point.
    pub async fn read_output(&self, id: Uuid, query: OutputQuery) -> Result<OutputPage> {
        let journal = match self.journal(id).await {
            Ok(journal) => journal,
            // All of it is there, so there is nothing to wait for.
            Err(unknown) => return self.past_page(id, &query, unknown).await,
        };
        let wait_over = timer(&query, &self.core.shared.runtime);
        Ok(read(&journal, &query, wait_over).await)
    }
}

/// Starts the wait of a query, if it has one. On a thread of the engine, because the caller may have
/// no timer.
pub(super) fn timer(query: &OutputQuery, runtime: &EngineRuntime) -> Option<oneshot::Receiver<()>> {
    let until = Instant::now().checked_add(Duration::from_millis(query.wait_ms));
    (query.wait_ms > 0).then(|| runtime.timer(until))
}

/// Returns a page once there is something to tell, the execution has ended, or the wait is over;
/// without a wait at once.
pub(super) async fn read(
    journal: &Journal,
    query: &OutputQuery,
    wait_over: Option<oneshot::Receiver<()>>,
) -> OutputPage {
    let Some(wait_over) = wait_over else { return journal.page(query) };
    let reader = PageReader { journal, number: journal.enter() };
    waker::catching(async move {
        let mut wait_over = pin!(wait_over);
        poll_fn(|cx| match journal.poll_page(query, reader.number, cx) {
            Poll::Pending => wait_over.as_mut().poll(cx).map(|_over| journal.page(query)),
            page => page,
        })
        .await
    })
    .await
}

/// A caller that waits for a page, until it is dropped.
struct PageReader<'a> {
    journal: &'a Journal,
    number: u64,
}

impl Drop for PageReader<'_> {
    fn drop(&mut self) {
        self.journal.leave(self.number);
    }
}
