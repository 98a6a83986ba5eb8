//! Reading of all journals of an engine, one record after the other, as its mailbox names them.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use chrono::Utc;
use uuid::Uuid;

use super::broadcast::{Broadcaster, Mailbox, Message, Update};
use super::records::RecordSource;
use crate::output::{Journal, JournalCursor, JournalItem, JournalOwner, View};
use crate::types::ExecutionEvent;

/// Access to the journals of executions that are active or remembered.
pub(crate) trait JournalLookup: Send + Sync {
    fn journal(&self, id: Uuid) -> Option<Arc<Journal>>;

    /// Returns `true` if this journal is not complete yet.
    fn is_alive(&self, owner: JournalOwner) -> bool;
}

/// Reader of the journals of all executions.
pub(super) struct AllExecutionsReader {
    broadcaster: Arc<Broadcaster>,
    mailbox: Arc<Mailbox>,
    journals: Arc<dyn JournalLookup>,
    view: View,
    /// The executions that have been begun, without those that were read to their last record.
    /// Their journals are held: an execution may be forgotten before its last record is read.
    followed: HashMap<JournalOwner, (Arc<Journal>, JournalCursor)>,
    /// The execution that is being read, and up to where.
    current: Option<(JournalOwner, u64)>,
}

impl AllExecutionsReader {
    pub(super) fn new(
        broadcaster: Arc<Broadcaster>,
        journals: Arc<dyn JournalLookup>,
        view: View,
    ) -> Self {
        let mailbox = broadcaster.open();
        Self { broadcaster, mailbox, journals, view, followed: HashMap::new(), current: None }
    }

    pub(super) fn poll_item(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(RecordSource, JournalItem)>> {
        loop {
            if let Some((owner, to)) = self.current {
                if let Some(found) = self.read(owner, to) {
                    return Poll::Ready(Some(found));
                }
                self.current = None;
            }
            match ready!(self.mailbox.poll_take(cx)) {
                None => return Poll::Ready(None),
                Some(Message::Update(owner, update)) => {
                    // One that was forgotten in between is missed, which is counted once: at its
                    // end.
                    if !self.turn_to(owner, update) && update.is_last {
                        return Poll::Ready(Some((RecordSource::default(), missed(1))));
                    }
                }
                Some(Message::Missed(count)) => {
                    let Self { followed, journals, mailbox, .. } = self;
                    // The last update of those that have ended and are not in the mailbox is lost.
                    followed.retain(|owner, _| journals.is_alive(*owner) || mailbox.has(*owner));
                    return Poll::Ready(Some((RecordSource::default(), missed(count))));
                }
            }
        }
    }

    /// Makes this execution the current one. Returns `false` if it has been forgotten.
    fn turn_to(&mut self, owner: JournalOwner, update: Update) -> bool {
        if !self.followed.contains_key(&owner) {
            let journal = self.journals.journal(owner.id);
            // The id may belong to another execution by now.
            let Some(journal) = journal.filter(|journal| journal.owner() == owner) else {
                return false;
            };
            let cursor = journal.reader(self.view, update.from);
            self.followed.insert(owner, (journal, cursor));
        }
        self.current = Some((owner, update.to));
        true
    }

    fn read(&mut self, owner: JournalOwner, to: u64) -> Option<(RecordSource, JournalItem)> {
        let (journal, cursor) = self.followed.get_mut(&owner)?;
        let item = journal.next(cursor, to)?;
        let source = RecordSource::of(journal);
        if matches!(&item, JournalItem::Event { event, .. } if event.is_terminal()) {
            self.followed.remove(&owner);
        }
        Some((source, item))
    }
}

/// Creates the event that says how many executions were forgotten before they were read.
fn missed(count: u64) -> JournalItem {
    let event = ExecutionEvent::ExecutionsMissed { count };
    JournalItem::Event { sequence: 0, at: Utc::now(), event, receipt: None }
}

impl Drop for AllExecutionsReader {
    fn drop(&mut self) {
        self.broadcaster.close_one(&self.mailbox);
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
    fn an_execution_that_is_forgotten_while_it_ends_is_missed_once() {
        let broadcaster = Arc::new(Broadcaster::default());
        let journals = Arc::new(Forgetful);
        let mut reader = AllExecutionsReader::new(Arc::clone(&broadcaster), journals, View::Lines);
        let mut next = || reader.poll_item(&mut Context::from_waker(Waker::noop()));
        let owner = JournalOwner { id: Uuid::new_v4(), ..JournalOwner::default() };
        for to in 1..3 {
            broadcaster.send(owner, Update { from: to - 1, to, is_last: false });
            assert!(next().is_pending());
        }
        broadcaster.send(owner, Update { from: 2, to: 3, is_last: true });
        let Poll::Ready(Some((_, JournalItem::Event { event, .. }))) = next() else {
            panic!("nothing is reported")
        };
        assert_eq!(event, ExecutionEvent::ExecutionsMissed { count: 1 });
        assert!(next().is_pending());
    }
}
