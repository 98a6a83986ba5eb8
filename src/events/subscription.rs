//! Watching executions: a stream of records that first tells what was published already.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use chrono::Utc;
use tokio::task::coop;
use uuid::Uuid;

use super::broadcast::{Broadcaster, Mailbox, Message, Update};
use super::handler_queue::line_event;
use crate::output::{Journal, JournalCursor, JournalItem, JournalLines, JournalOwner, View};
use crate::types::{ChunkContent, ChunkRecord, EventRecord, ExecutionEvent};

/// Finds the journal of an execution that is alive or remembered.
pub(crate) trait JournalLookup: Send + Sync {
    fn journal(&self, id: Uuid) -> Option<Arc<Journal>>;

    /// Whether more will come in this journal.
    fn is_alive(&self, owner: JournalOwner) -> bool;
}

/// The records of one execution, or of all: see [`subscribe`](crate::ExecutionEngine::subscribe) and
/// [`subscribe_all`](crate::ExecutionEngine::subscribe_all).
///
/// It is a [`Stream`](futures_core::Stream), and has a [`next`](Self::next) of its own for those who
/// need no more. It may be polled on any runtime. It never holds an execution back: one that is
/// slower than the output gets an [`ExecutionEvent::OutputMissed`] with the exact number of bytes
/// that it was not told; the number is about right where it takes up among pieces that were told
/// unfinished, more than are held. Dropping it ends it.
#[must_use = "it does nothing unless it is asked for the next record"]
pub struct Subscription {
    source: SubscriptionSource,
    /// The lines that were taken from the journal last.
    lines: Option<(Uuid, JournalLines)>,
}

/// The output of one execution as it was read, and its events: see
/// [`subscribe_chunks`](crate::ExecutionEngine::subscribe_chunks). As [`Subscription`] otherwise.
#[must_use = "it does nothing unless it is asked for the next record"]
pub struct ChunkSubscription {
    reader: JournalReader,
}

enum SubscriptionSource {
    One(Box<JournalReader>),
    All(Box<AllExecutionsReader>),
}

/// Follows one journal.
struct JournalReader {
    journal: Arc<Journal>,
    cursor: JournalCursor,
    number: u64,
}

/// Follows the journals of all executions.
struct AllExecutionsReader {
    hub: Arc<Broadcaster>,
    inbox: Arc<Mailbox>,
    journals: Arc<dyn JournalLookup>,
    lens: View,
    /// Those whose last record has not been told.
    followed: HashMap<JournalOwner, FollowedJournal>,
    /// The execution that is being read, and up to where.
    current: Option<(JournalOwner, u64)>,
}

/// A journal that has been begun. It is held, so that its end can be told as it was held.
struct FollowedJournal {
    journal: Arc<Journal>,
    cursor: JournalCursor,
}

impl Subscription {
    pub(crate) fn to(journal: Arc<Journal>, lens: View, after: u64) -> Self {
        Self {
            source: SubscriptionSource::One(Box::new(JournalReader::new(journal, lens, after))),
            lines: None,
        }
    }

    pub(crate) fn to_all(
        hub: Arc<Broadcaster>,
        journals: Arc<dyn JournalLookup>,
        lens: View,
    ) -> Self {
        let inbox = hub.open();
        let followed = HashMap::new();
        let dashboard = AllExecutionsReader { hub, inbox, journals, lens, followed, current: None };
        Self { source: SubscriptionSource::All(Box::new(dashboard)), lines: None }
    }

    /// The next record; None after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<EventRecord> {
        poll_fn(|cx| self.poll_record(cx)).await
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Option<EventRecord>> {
        let turn = ready!(coop::poll_proceed(cx));
        self.poll_next_record(cx).map(|record| {
            turn.made_progress();
            record
        })
    }

    fn poll_next_record(&mut self, cx: &mut Context<'_>) -> Poll<Option<EventRecord>> {
        loop {
            if let Some((execution_id, lines)) = &mut self.lines
                && let Some((sequence, line)) = lines.next()
            {
                return Poll::Ready(Some(EventRecord {
                    sequence,
                    timestamp: lines.at,
                    execution_id: *execution_id,
                    partial: line.is_partial,
                    event: line_event(*execution_id, lines.stream(), line.text),
                    containment: None,
                }));
            }
            let next = match &mut self.source {
                SubscriptionSource::One(reader) => reader.poll_piece(cx),
                SubscriptionSource::All(dashboard) => dashboard.poll_piece(cx),
            };
            let Some((execution_id, piece)) = ready!(next) else { return Poll::Ready(None) };
            match piece {
                JournalItem::Lines(lines) => self.lines = Some((execution_id, lines)),
                piece => {
                    if let Some(record) = record(execution_id, piece) {
                        return Poll::Ready(Some(record));
                    }
                }
            }
        }
    }
}

impl ChunkSubscription {
    pub(crate) fn to(journal: Arc<Journal>, after: u64) -> Self {
        Self { reader: JournalReader::new(journal, View::Chunks, after) }
    }

    /// The next record; None after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<ChunkRecord> {
        poll_fn(|cx| self.poll_record(cx)).await
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChunkRecord>> {
        let turn = ready!(coop::poll_proceed(cx));
        self.poll_next_record(cx).map(|record| {
            turn.made_progress();
            record
        })
    }

    fn poll_next_record(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChunkRecord>> {
        loop {
            let next = ready!(self.reader.poll_piece(cx));
            let Some((execution_id, piece)) = next else { return Poll::Ready(None) };
            let record = match piece {
                JournalItem::Chunk { sequence, at, stream, bytes } => {
                    let content = ChunkContent::Output { stream, bytes };
                    Some(ChunkRecord { sequence, timestamp: at, execution_id, content })
                }
                piece => record(execution_id, piece).map(ChunkRecord::from),
            };
            if record.is_some() {
                return Poll::Ready(record);
            }
        }
    }
}

/// A piece that is one record by itself.
fn record(execution_id: Uuid, piece: JournalItem) -> Option<EventRecord> {
    let (sequence, timestamp, event, containment) = match piece {
        JournalItem::Event { sequence, at, event, receipt } => (sequence, at, event, receipt),
        JournalItem::Missed { sequence, at, bytes } => {
            (sequence, at, ExecutionEvent::OutputMissed { execution_id, bytes }, None)
        }
        JournalItem::Lines(_) | JournalItem::Chunk { .. } => return None,
    };
    Some(EventRecord { sequence, timestamp, execution_id, partial: false, event, containment })
}

impl JournalReader {
    fn new(journal: Arc<Journal>, lens: View, after: u64) -> Self {
        let cursor = journal.reader(lens, after);
        let number = journal.enter();
        Self { journal, cursor, number }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Uuid, JournalItem)>> {
        let piece = ready!(self.journal.poll_next(&mut self.cursor, self.number, cx));
        Poll::Ready(piece.map(|piece| (self.journal.id(), piece)))
    }
}

impl Drop for JournalReader {
    fn drop(&mut self) {
        self.journal.leave(self.number);
    }
}

impl AllExecutionsReader {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Uuid, JournalItem)>> {
        loop {
            if let Some((owner, to)) = self.current {
                if let Some(piece) = self.read(owner, to) {
                    return Poll::Ready(Some((owner.id, piece)));
                }
                self.current = None;
            }
            let Some(mail) = ready!(self.inbox.poll_take(cx)) else { return Poll::Ready(None) };
            match mail {
                Message::Update(owner, news) => {
                    // One that is forgotten before it was told to its end is missed at its end.
                    if !self.turn_to(owner, news) && news.is_last {
                        return Poll::Ready(Some((Uuid::nil(), missed(1))));
                    }
                }
                Message::Missed(count) => {
                    let Self { followed, journals, inbox, .. } = self;
                    // Of those that have ended and are not in it the end was missed.
                    followed.retain(|owner, _| journals.is_alive(*owner) || inbox.has(*owner));
                    return Poll::Ready(Some((Uuid::nil(), missed(count))));
                }
            }
        }
    }

    /// False if the execution has been forgotten meanwhile.
    fn turn_to(&mut self, owner: JournalOwner, news: Update) -> bool {
        if !self.followed.contains_key(&owner) {
            let journal = self.journals.journal(owner.id);
            // The id may have gone to another execution.
            let Some(journal) = journal.filter(|journal| journal.owner() == owner) else {
                return false;
            };
            let cursor = journal.reader(self.lens, news.from);
            self.followed.insert(owner, FollowedJournal { journal, cursor });
        }
        self.current = Some((owner, news.to));
        true
    }

    fn read(&mut self, owner: JournalOwner, to: u64) -> Option<JournalItem> {
        let FollowedJournal { journal, cursor } = self.followed.get_mut(&owner)?;
        let piece = journal.next(cursor, to)?;
        if matches!(&piece, JournalItem::Event { event, .. } if event.is_terminal()) {
            self.followed.remove(&owner);
        }
        Some(piece)
    }
}

/// Executions of which nothing more is told, because they are not remembered any more.
fn missed(count: u64) -> JournalItem {
    let event = ExecutionEvent::ExecutionsMissed { count };
    JournalItem::Event { sequence: 0, at: Utc::now(), event, receipt: None }
}

impl Drop for AllExecutionsReader {
    fn drop(&mut self) {
        self.hub.close_one(&self.inbox);
    }
}

impl futures_core::Stream for Subscription {
    type Item = EventRecord;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EventRecord>> {
        self.poll_record(cx)
    }
}

impl futures_core::Stream for ChunkSubscription {
    type Item = ChunkRecord;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ChunkRecord>> {
        self.poll_record(cx)
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Subscription");
        match &self.source {
            SubscriptionSource::One(reader) => debug.field("execution_id", &reader.journal.id()),
            SubscriptionSource::All(_) => debug.field("executions", &"all"),
        };
        debug.finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ChunkSubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.reader.journal.id();
        f.debug_struct("ChunkSubscription").field("execution_id", &id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Remembers nothing.
    struct Forgetful;

    impl JournalLookup for Forgetful {
        fn journal(&self, _: Uuid) -> Option<Arc<Journal>> {
            None
        }

        fn is_alive(&self, _: JournalOwner) -> bool {
            false
        }
    }

    #[test]
    fn one_that_is_forgotten_while_it_ends_is_missed_once() {
        let hub = Arc::new(Broadcaster::default());
        let mut records = Subscription::to_all(Arc::clone(&hub), Arc::new(Forgetful), View::Lines);
        let mut next = || records.poll_record(&mut Context::from_waker(Waker::noop()));
        let owner = JournalOwner { id: Uuid::new_v4(), ..JournalOwner::default() };
        for to in 1..3 {
            hub.ring(owner, Update { from: to - 1, to, is_last: false });
            assert!(next().is_pending());
        }
        hub.ring(owner, Update { from: 2, to: 3, is_last: true });
        let Poll::Ready(Some(record)) = next() else { panic!("nothing is told") };
        assert_eq!(record.event, ExecutionEvent::ExecutionsMissed { count: 1 });
        assert!(next().is_pending());
    }
}
