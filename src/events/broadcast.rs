//! Fan-out to the subscriptions that watch all executions of an engine. Each has a mailbox that
//! names the executions with something new, and from where to where it goes. The records themselves
//! stay in the journals, so a slow watcher costs a bounded number of small entries.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::output::JournalOwner;
use crate::waker;

/// Ended executions that wait in a mailbox; beyond, the oldest is missed. Active executions wait in
/// addition, and the engine bounds their number.
const MAX_ENDED: usize = 4096;

/// Sends updates of all executions to the mailboxes that are open.
#[derive(Debug, Default)]
pub(crate) struct Broadcaster {
    /// Number of mailboxes, so that an update takes no lock while there is none.
    count: AtomicUsize,
    mailboxes: Mutex<Mailboxes>,
}

#[derive(Debug, Default)]
struct Mailboxes {
    open: Vec<Arc<Mailbox>>,
    closed: bool,
}

/// Unread updates of one subscription.
#[derive(Debug, Default)]
pub(super) struct Mailbox(Mutex<MailboxState>);

#[derive(Debug, Default)]
struct MailboxState {
    /// One update per execution, by the order of arrival.
    updates: BTreeMap<u64, (JournalOwner, Update)>,
    /// Where the update of an execution is.
    numbers: HashMap<JournalOwner, u64>,
    /// The numbers of those that have ended.
    ended: BTreeSet<u64>,
    next_number: u64,
    /// Executions that were dropped.
    missed: u64,
    closed: bool,
    waker: Option<Waker>,
}

/// What is new in one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Nothing comes after it.
    pub(super) is_last: bool,
}

/// What a mailbox returns.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Update(JournalOwner, Update),
    /// The number of executions that were dropped.
    Missed(u64),
}

impl Broadcaster {
    /// Opens an empty mailbox.
    pub(super) fn open(&self) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        let mut mailboxes = self.mailboxes.lock();
        if mailboxes.closed {
            mailbox.0.lock().closed = true;
        } else {
            mailboxes.open.push(Arc::clone(&mailbox));
            self.count.store(mailboxes.open.len(), Ordering::Release);
        }
        mailbox
    }

    /// Stops sending to this mailbox.
    pub(super) fn close_one(&self, mailbox: &Arc<Mailbox>) {
        let mut mailboxes = self.mailboxes.lock();
        mailboxes.open.retain(|other| !Arc::ptr_eq(other, mailbox));
        self.count.store(mailboxes.open.len(), Ordering::Release);
    }

    /// Ends all mailboxes, once what they hold is read.
    pub(crate) fn close(&self) {
        let open = {
            let mut mailboxes = self.mailboxes.lock();
            mailboxes.closed = true;
            self.count.store(0, Ordering::Release);
            std::mem::take(&mut mailboxes.open)
        };
        open.iter().for_each(|mailbox| mailbox.change(|state| state.closed = true));
    }

    /// Sends an update of this journal to all mailboxes. Their readers are not woken yet.
    pub(super) fn send(&self, owner: JournalOwner, update: Update) {
        if self.count.load(Ordering::Acquire) > 0 {
            let mailboxes = self.mailboxes.lock();
            mailboxes.open.iter().for_each(|mailbox| mailbox.0.lock().put(owner, update));
        }
    }

    /// Wakes the readers of all mailboxes that have something.
    pub(super) fn wake(&self) {
        if self.count.load(Ordering::Acquire) > 0 {
            let open = self.mailboxes.lock().open.clone();
            open.iter().for_each(|mailbox| mailbox.change(|_| ()));
        }
    }
}

impl Mailbox {
    /// Takes the next message. Ready(None) after the last.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut state = self.0.lock();
        if state.missed > 0 {
            return Poll::Ready(Some(Message::Missed(std::mem::take(&mut state.missed))));
        }
        if let Some((number, (owner, update))) = state.updates.pop_first() {
            state.numbers.remove(&owner);
            state.ended.remove(&number);
            return Poll::Ready(Some(Message::Update(owner, update)));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        let before = state.waker.replace(cx.waker().clone());
        // Without the lock: dropping a waker may drop the task behind it, which is code of the
        // user.
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Returns `true` if an update of this execution waits.
    pub(super) fn has(&self, owner: JournalOwner) -> bool {
        self.0.lock().numbers.contains_key(&owner)
    }

    /// Changes the state, then wakes the reader without the lock if there is something for it.
    fn change(&self, change: impl FnOnce(&mut MailboxState)) {
        let waker = {
            let mut state = self.0.lock();
            change(&mut state);
            let is_empty = state.updates.is_empty() && state.missed == 0 && !state.closed;
            if is_empty { None } else { state.waker.take() }
        };
        if let Some(waker) = waker {
            waker::wake(waker);
        }
    }
}

impl MailboxState {
    /// Adds an update. One that waits for the same execution grows instead.
    fn put(&mut self, owner: JournalOwner, update: Update) {
        let number = match self.numbers.entry(owner) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.next_number += 1;
                *new.insert(self.next_number)
            }
        };
        let (_, known) = self.updates.entry(number).or_insert((owner, update));
        known.from = known.from.min(update.from);
        known.to = known.to.max(update.to);
        known.is_last |= update.is_last;
        if update.is_last && self.ended.insert(number) && self.ended.len() > MAX_ENDED {
            self.miss_oldest();
        }
    }

    /// Drops the oldest execution that has ended. An active one would only come again with its next
    /// update, and be missed again.
    fn miss_oldest(&mut self) {
        let oldest = self.ended.pop_first().and_then(|number| self.updates.remove(&number));
        if let Some((owner, _)) = oldest {
            self.numbers.remove(&owner);
            self.missed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn take(mailbox: &Mailbox) -> Poll<Option<Message>> {
        mailbox.poll_take(&mut Context::from_waker(Waker::noop()))
    }

    fn owner(number: usize) -> JournalOwner {
        JournalOwner { id: Uuid::from_u128(number as u128 + 1), ..JournalOwner::default() }
    }

    fn update(from: u64, to: u64) -> Update {
        Update { from, to, is_last: false }
    }

    fn last(from: u64, to: u64) -> Update {
        Update { from, to, is_last: true }
    }

    #[test]
    fn updates_of_one_execution_are_merged() {
        let broadcaster = Broadcaster::default();
        let mailbox = broadcaster.open();
        for (number, from, to) in [(0, 3, 5), (1, 0, 2), (0, 5, 9)] {
            broadcaster.send(owner(number), update(from, to));
        }
        assert_eq!(take(&mailbox), Poll::Ready(Some(Message::Update(owner(0), update(3, 9)))));
        assert_eq!(take(&mailbox), Poll::Ready(Some(Message::Update(owner(1), update(0, 2)))));
        assert!(take(&mailbox).is_pending());
        broadcaster.close();
        assert_eq!(take(&mailbox), Poll::Ready(None));
        assert_eq!(take(&broadcaster.open()), Poll::Ready(None), "opened too late");
    }

    #[test]
    fn a_mailbox_that_is_never_read_is_bounded_and_counts_what_it_missed() {
        let broadcaster = Broadcaster::default();
        let mailbox = broadcaster.open();
        for number in 0..MAX_ENDED + 10 {
            broadcaster.send(owner(number), last(0, 1));
        }
        assert_eq!(take(&mailbox), Poll::Ready(Some(Message::Missed(10))));
        let next = Message::Update(owner(10), last(0, 1));
        assert_eq!(take(&mailbox), Poll::Ready(Some(next)));
        broadcaster.close_one(&mailbox);
        broadcaster.send(owner(0), last(1, 2));
        assert_eq!(mailbox.0.lock().updates.len(), MAX_ENDED - 1, "it gets no more updates");
    }

    #[test]
    fn an_active_execution_is_not_missed_and_each_ended_one_is_missed_once() {
        const OTHERS: usize = 3 * MAX_ENDED;
        let broadcaster = Broadcaster::default();
        let mailbox = broadcaster.open();
        let mut sent = 0;
        for number in 1..=OTHERS {
            for (owner, end) in [(owner(0), update(sent, sent + 1)), (owner(number), last(0, 1))] {
                broadcaster.send(owner, end);
            }
            sent += 1;
        }
        let missed = (OTHERS - MAX_ENDED) as u64;
        assert_eq!(take(&mailbox), Poll::Ready(Some(Message::Missed(missed))));
        assert_eq!(take(&mailbox), Poll::Ready(Some(Message::Update(owner(0), update(0, sent)))));
        for number in OTHERS - MAX_ENDED + 1..=OTHERS {
            let next = Message::Update(owner(number), last(0, 1));
            assert_eq!(take(&mailbox), Poll::Ready(Some(next)));
        }
        assert!(take(&mailbox).is_pending());
        assert!(mailbox.0.lock().ended.is_empty());
    }
}
