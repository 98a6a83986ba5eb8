//! Watching executions: a stream of records that first tells what was published already.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use chrono::Utc;
use tokio::task::coop;
use uuid::Uuid;

use super::hub::{Hub, Inbox, Mail, News};
use super::queue::line_event;
use crate::model::{ChunkContent, ChunkRecord, EventRecord, ExecutionEvent};
use crate::output::{Cursor, Journal, Lens, Lines, Owner, Piece};

/// Finds the journal of an execution that is alive or remembered.
pub(crate) trait Journals: Send + Sync {
    fn journal(&self, id: Uuid) -> Option<Arc<Journal>>;

    /// Whether more will come in this journal.
    fn is_alive(&self, owner: Owner) -> bool;
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
    source: Source,
    /// The lines that were taken from the journal last.
    lines: Option<(Uuid, Lines)>,
}

/// The output of one execution as it was read, and its events: see
/// [`subscribe_chunks`](crate::ExecutionEngine::subscribe_chunks). As [`Subscription`] otherwise.
#[must_use = "it does nothing unless it is asked for the next record"]
pub struct ChunkSubscription {
    reader: Reader,
}

enum Source {
    One(Box<Reader>),
    All(Box<Dashboard>),
}

/// Follows one journal.
struct Reader {
    journal: Arc<Journal>,
    cursor: Cursor,
    number: u64,
}

/// Follows the journals of all executions.
struct Dashboard {
    hub: Arc<Hub>,
    inbox: Arc<Inbox>,
    journals: Arc<dyn Journals>,
    lens: Lens,
    /// Those whose last record has not been told.
    followed: HashMap<Owner, Followed>,
    /// The execution that is being read, and up to where.
    current: Option<(Owner, u64)>,
}

/// A journal that has been begun. It is held, so that its end can be told as it was held.
struct Followed {
    journal: Arc<Journal>,
    cursor: Cursor,
}

impl Subscription {
    pub(crate) fn to(journal: Arc<Journal>, lens: Lens, after: u64) -> Self {
        Self { source: Source::One(Box::new(Reader::new(journal, lens, after))), lines: None }
    }

    pub(crate) fn to_all(hub: Arc<Hub>, journals: Arc<dyn Journals>, lens: Lens) -> Self {
        let inbox = hub.open();
        let followed = HashMap::new();
        let dashboard = Dashboard { hub, inbox, journals, lens, followed, current: None };
        Self { source: Source::All(Box::new(dashboard)), lines: None }
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
                Source::One(reader) => reader.poll_piece(cx),
                Source::All(dashboard) => dashboard.poll_piece(cx),
            };
            let Some((execution_id, piece)) = ready!(next) else { return Poll::Ready(None) };
            match piece {
                Piece::Lines(lines) => self.lines = Some((execution_id, lines)),
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
        Self { reader: Reader::new(journal, Lens::Chunks, after) }
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
                Piece::Chunk { sequence, at, stream, bytes } => {
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
fn record(execution_id: Uuid, piece: Piece) -> Option<EventRecord> {
    let (sequence, timestamp, event, containment) = match piece {
        Piece::Event { sequence, at, event, receipt } => (sequence, at, event, receipt),
        Piece::Missed { sequence, at, bytes } => {
            (sequence, at, ExecutionEvent::OutputMissed { execution_id, bytes }, None)
        }
        Piece::Lines(_) | Piece::Chunk { .. } => return None,
    };
    Some(EventRecord { sequence, timestamp, execution_id, partial: false, event, containment })
}

impl Reader {
    fn new(journal: Arc<Journal>, lens: Lens, after: u64) -> Self {
        let cursor = journal.reader(lens, after);
        let number = journal.enter();
        Self { journal, cursor, number }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Uuid, Piece)>> {
        let piece = ready!(self.journal.poll_next(&mut self.cursor, self.number, cx));
        Poll::Ready(piece.map(|piece| (self.journal.id(), piece)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.journal.leave(self.number);
    }
}

impl Dashboard {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Uuid, Piece)>> {
        loop {
            if let Some((owner, to)) = self.current {
                if let Some(piece) = self.read(owner, to) {
                    return Poll::Ready(Some((owner.id, piece)));
                }
                self.current = None;
            }
            let Some(mail) = ready!(self.inbox.poll_take(cx)) else { return Poll::Ready(None) };
            match mail {
                Mail::News(owner, news) => {
                    // One that is forgotten before it was told to its end is missed at its end.
                    if !self.turn_to(owner, news) && news.is_last {
                        return Poll::Ready(Some((Uuid::nil(), missed(1))));
                    }
                }
                Mail::Missed(count) => {
                    let Self { followed, journals, inbox, .. } = self;
                    // Of those that have ended and are not in it the end was missed.
                    followed.retain(|owner, _| journals.is_alive(*owner) || inbox.has(*owner));
                    return Poll::Ready(Some((Uuid::nil(), missed(count))));
                }
            }
        }
    }

    /// False if the execution has been forgotten meanwhile.
    fn turn_to(&mut self, owner: Owner, news: News) -> bool {
        if !self.followed.contains_key(&owner) {
            let journal = self.journals.journal(owner.id);
            // The id may have gone to another execution.
            let Some(journal) = journal.filter(|journal| journal.owner() == owner) else {
                return false;
            };
            let cursor = journal.reader(self.lens, news.from);
            self.followed.insert(owner, Followed { journal, cursor });
        }
        self.current = Some((owner, news.to));
        true
    }

    fn read(&mut self, owner: Owner, to: u64) -> Option<Piece> {
        let Followed { journal, cursor } = self.followed.get_mut(&owner)?;
        let piece = journal.next(cursor, to)?;
        if matches!(&piece, Piece::Event { event, .. } if event.is_terminal()) {
            self.followed.remove(&owner);
        }
        Some(piece)
    }
}

/// Executions of which nothing more is told, because they are not remembered any more.
fn missed(count: u64) -> Piece {
    let event = ExecutionEvent::ExecutionsMissed { count };
    Piece::Event { sequence: 0, at: Utc::now(), event, receipt: None }
}

impl Drop for Dashboard {
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
            Source::One(reader) => debug.field("execution_id", &reader.journal.id()),
            Source::All(_) => debug.field("executions", &"all"),
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

    impl Journals for Forgetful {
        fn journal(&self, _: Uuid) -> Option<Arc<Journal>> {
            None
        }

        fn is_alive(&self, _: Owner) -> bool {
            false
        }
    }

    #[test]
    fn one_that_is_forgotten_while_it_ends_is_missed_once() {
        let hub = Arc::new(Hub::default());
        let mut records = Subscription::to_all(Arc::clone(&hub), Arc::new(Forgetful), Lens::Lines);
        let mut next = || records.poll_record(&mut Context::from_waker(Waker::noop()));
        let owner = Owner { id: Uuid::new_v4(), ..Owner::default() };
        for to in 1..3 {
            hub.ring(owner, News { from: to - 1, to, is_last: false });
            assert!(next().is_pending());
        }
        hub.ring(owner, News { from: 2, to: 3, is_last: true });
        let Poll::Ready(Some(record)) = next() else { panic!("nothing is told") };
        assert_eq!(record.event, ExecutionEvent::ExecutionsMissed { count: 1 });
        assert!(next().is_pending());
    }
}
