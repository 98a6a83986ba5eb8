//! Subscriptions: streams of records that replay what was published before and then follow live.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use tokio::task::coop;

use super::all_executions::{AllExecutionsReader, JournalLookup};
use super::broadcast::Broadcaster;
use super::records::RecordSource;
use crate::output::{Journal, JournalCursor, JournalItem, JournalLines, View};
use crate::types::{ChunkContent, ChunkRecord, EventRecord};

/// Makes a subscription a stream of what its `poll_record` returns; `has_ended` is its end.
macro_rules! record_stream {
    ($subscription:ty, $record:ty) => {
        impl $subscription {
            /// Waits for the next record. Returns `None` after the last.
            ///
            /// # Cancel safety
            /// Cancel safe: a record is either returned or still there for the next call.
            pub async fn next(&mut self) -> Option<$record> {
                poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
            }
        }

        impl Stream for $subscription {
            type Item = $record;

            fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<$record>> {
                // A long replay is always ready. tokio's budget makes it pending now and then, or a
                // loop over it would keep its thread from all other tasks.
                let budget = ready!(coop::poll_proceed(cx));
                let next = ready!(self.poll_record(cx));
                budget.made_progress();
                self.has_ended = next.is_none();
                Poll::Ready(next)
            }
        }

        impl FusedStream for $subscription {
            fn is_terminated(&self) -> bool {
                self.has_ended
            }
        }
    };
}
pub(crate) use record_stream;

/// The records of one execution, or of all: see [`subscribe`](crate::ExecutionEngine::subscribe)
/// and [`subscribe_all`](crate::ExecutionEngine::subscribe_all).
///
/// It is a [`Stream`], and has a [`next`](Self::next) of its own, so that no further crate is
/// needed. It may be polled on any runtime. It never slows an execution down: if it is slower than
/// the output, it gets an [`OutputMissed`](crate::ExecutionEvent::OutputMissed) with the exact number of bytes that it
/// has not seen. Dropping it ends it.
#[must_use = "it does nothing unless it is asked for the next record"]
pub struct Subscription {
    source: SubscriptionSource,
    /// The rest of the lines that were taken from the journal last.
    lines: Option<(RecordSource, JournalLines)>,
    has_ended: bool,
}

/// The output of one execution as it was read, and its events: see
/// [`subscribe_chunks`](crate::ExecutionEngine::subscribe_chunks). Otherwise like [`Subscription`].
#[must_use = "it does nothing unless it is asked for the next record"]
pub struct ChunkSubscription {
    reader: JournalReader,
    has_ended: bool,
}

enum SubscriptionSource {
    One(Box<JournalReader>),
    All(Box<AllExecutionsReader>),
}

/// Reader of one journal.
struct JournalReader {
    journal: Arc<Journal>,
    cursor: JournalCursor,
    /// The reader's number, under which the journal keeps its waker.
    number: u64,
}

impl Subscription {
    pub(crate) fn to(journal: Arc<Journal>, view: View, after: u64) -> Self {
        let reader = JournalReader::new(journal, view, after);
        Self::from(SubscriptionSource::One(Box::new(reader)))
    }

    pub(crate) fn to_all(
        broadcaster: Arc<Broadcaster>,
        journals: Arc<dyn JournalLookup>,
        view: View,
    ) -> Self {
        let reader = AllExecutionsReader::new(broadcaster, journals, view);
        Self::from(SubscriptionSource::All(Box::new(reader)))
    }

    fn from(source: SubscriptionSource) -> Self {
        Self { source, lines: None, has_ended: false }
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Option<EventRecord>> {
        loop {
            if let Some((source, lines)) = &mut self.lines
                && let Some(record) = source.line(lines)
            {
                return Poll::Ready(Some(record));
            }
            let next = match &mut self.source {
                SubscriptionSource::One(reader) => reader.poll_item(cx),
                SubscriptionSource::All(reader) => reader.poll_item(cx),
            };
            match ready!(next) {
                None => return Poll::Ready(None),
                Some((source, JournalItem::Lines(lines))) => self.lines = Some((source, lines)),
                Some((source, item)) => {
                    if let Some(record) = source.event(item) {
                        return Poll::Ready(Some(record));
                    }
                }
            }
        }
    }
}

impl ChunkSubscription {
    pub(crate) fn to(journal: Arc<Journal>, after: u64) -> Self {
        Self { reader: JournalReader::new(journal, View::Chunks, after), has_ended: false }
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChunkRecord>> {
        loop {
            let next = ready!(self.reader.poll_item(cx));
            let Some((source, item)) = next else { return Poll::Ready(None) };
            let record = match item {
                JournalItem::Chunk { sequence, at, stream, bytes } => {
                    let execution_id = self.reader.journal.id();
                    let content = ChunkContent::Output { stream, bytes };
                    Some(ChunkRecord { sequence, timestamp: at, execution_id, content })
                }
                item => source.event(item).map(ChunkRecord::from),
            };
            if record.is_some() {
                return Poll::Ready(record);
            }
        }
    }
}

impl JournalReader {
    fn new(journal: Arc<Journal>, view: View, after: u64) -> Self {
        let cursor = journal.reader(view, after);
        let number = journal.enter();
        Self { journal, cursor, number }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<(RecordSource, JournalItem)>> {
        let item = ready!(self.journal.poll_next(&mut self.cursor, self.number, cx));
        Poll::Ready(item.map(|item| (RecordSource::of(&self.journal), item)))
    }
}

impl Drop for JournalReader {
    fn drop(&mut self) {
        self.journal.leave(self.number);
    }
}

record_stream!(Subscription, EventRecord);
record_stream!(ChunkSubscription, ChunkRecord);

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Subscription");
        match &self.source {
            SubscriptionSource::One(reader) => debug.field("execution_id", &reader.journal.id()),
            SubscriptionSource::All(_) => debug.field("executions", &"all"),
        };
        debug.finish_non_exhaustive()
    }
}

impl fmt::Debug for ChunkSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.reader.journal.id();
        f.debug_struct("ChunkSubscription").field("execution_id", &id).finish_non_exhaustive()
    }
}
