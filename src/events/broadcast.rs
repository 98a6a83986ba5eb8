//! Those who watch all executions of an engine: each has an inbox that says which executions have
//! something new, and where it begins and ends. What it is stays in the journals.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::output::JournalOwner;

/// How many executions that have ended wait in an inbox. Who does not look for that long misses the
/// oldest. Those that are alive wait, too: they are no more than there can be.
const MOST_WAITING: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Broadcaster {
    /// How many inboxes there are, so that telling nobody costs nothing.
    count: AtomicUsize,
    inboxes: Mutex<Mailboxes>,
}

#[derive(Debug, Default)]
struct Mailboxes {
    all: Vec<Arc<Mailbox>>,
    closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Mailbox(Mutex<MailboxState>);

#[derive(Debug, Default)]
struct MailboxState {
    /// In the order in which they were first told of.
    order: VecDeque<JournalOwner>,
    news: HashMap<JournalOwner, Update>,
    /// How many of them have ended.
    ended: usize,
    /// How many executions have been dropped.
    missed: u64,
    closed: bool,
    waker: Option<Waker>,
}

/// What is new in one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Whether nothing comes after it.
    pub(super) is_last: bool,
}

/// What an inbox holds for its owner.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Update(JournalOwner, Update),
    /// So many executions were dropped.
    Missed(u64),
}

impl Broadcaster {
    /// A new inbox, empty.
    pub(super) fn open(&self) -> Arc<Mailbox> {
        let inbox = Arc::new(Mailbox::default());
        let mut inboxes = self.lock();
        if inboxes.closed {
            inbox.lock().closed = true;
        } else {
            inboxes.all.push(Arc::clone(&inbox));
            self.count.store(inboxes.all.len(), Ordering::Release);
        }
        inbox
    }

    /// Tells nobody of anything any more through this inbox.
    pub(super) fn close_one(&self, inbox: &Arc<Mailbox>) {
        let mut inboxes = self.lock();
        inboxes.all.retain(|other| !Arc::ptr_eq(other, inbox));
        self.count.store(inboxes.all.len(), Ordering::Release);
    }

    /// Nothing new will come.
    pub(crate) fn close(&self) {
        let all = {
            let mut inboxes = self.lock();
            inboxes.closed = true;
            self.count.store(0, Ordering::Release);
            std::mem::take(&mut inboxes.all)
        };
        all.iter().for_each(|inbox| inbox.change(|inner| inner.closed = true));
    }

    /// There is something new in this journal.
    pub(super) fn ring(&self, owner: JournalOwner, news: Update) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let all = self.lock().all.clone();
        all.iter().for_each(|inbox| inbox.change(|inner| inner.put(owner, news)));
    }

    fn lock(&self) -> MutexGuard<'_, Mailboxes> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    /// The next thing; Ready(None) if nothing will come any more.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut inner = self.lock();
        if inner.missed > 0 {
            return Poll::Ready(Some(Message::Missed(std::mem::take(&mut inner.missed))));
        }
        if let Some(owner) = inner.order.pop_front()
            && let Some(news) = inner.news.remove(&owner)
        {
            inner.ended -= usize::from(news.is_last);
            return Poll::Ready(Some(Message::Update(owner, news)));
        }
        if inner.closed {
            return Poll::Ready(None);
        }
        let before = inner.waker.replace(cx.waker().clone());
        // Without the lock: what it belongs to is not ours.
        drop(inner);
        drop(before);
        Poll::Pending
    }

    /// Whether there is news of this execution.
    pub(super) fn has(&self, owner: JournalOwner) -> bool {
        self.lock().news.contains_key(&owner)
    }

    fn change(&self, change: impl FnOnce(&mut MailboxState)) {
        let waker = {
            let mut inner = self.lock();
            change(&mut inner);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, MailboxState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MailboxState {
    fn put(&mut self, owner: JournalOwner, news: Update) {
        let Update { from, to, is_last } = news;
        self.ended += usize::from(is_last);
        match self.news.entry(owner) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                self.ended -= usize::from(known.is_last && is_last);
                known.from = known.from.min(from);
                known.to = known.to.max(to);
                known.is_last |= is_last;
            }
            Entry::Vacant(new) => {
                new.insert(news);
                self.order.push_back(owner);
            }
        }
        if self.ended > MOST_WAITING {
            self.miss_one();
        }
    }

    /// Drops the oldest that has ended. One that is alive would come again, and be missed again.
    fn miss_one(&mut self) {
        let has_ended =
            |owner: &JournalOwner| self.news.get(owner).is_some_and(|news| news.is_last);
        let oldest = self.order.iter().position(has_ended);
        if let Some(oldest) = oldest.and_then(|at| self.order.remove(at)) {
            self.news.remove(&oldest);
            self.ended -= 1;
            self.missed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn take(inbox: &Mailbox) -> Poll<Option<Message>> {
        inbox.poll_take(&mut Context::from_waker(Waker::noop()))
    }

    fn owner(number: usize) -> JournalOwner {
        JournalOwner { id: Uuid::from_u128(number as u128 + 1), ..JournalOwner::default() }
    }

    fn news(from: u64, to: u64) -> Update {
        Update { from, to, is_last: false }
    }

    fn last(from: u64, to: u64) -> Update {
        Update { from, to, is_last: true }
    }

    #[test]
    fn news_of_one_execution_are_put_together() {
        let hub = Broadcaster::default();
        let inbox = hub.open();
        for (number, from, to) in [(0, 3, 5), (1, 0, 2), (0, 5, 9)] {
            hub.ring(owner(number), news(from, to));
        }
        assert_eq!(take(&inbox), Poll::Ready(Some(Message::Update(owner(0), news(3, 9)))));
        assert_eq!(take(&inbox), Poll::Ready(Some(Message::Update(owner(1), news(0, 2)))));
        assert!(take(&inbox).is_pending());
        hub.close();
        assert_eq!(take(&inbox), Poll::Ready(None));
        assert_eq!(take(&hub.open()), Poll::Ready(None), "opened too late");
    }

    #[test]
    fn who_never_looks_costs_no_more_than_a_full_inbox_and_is_told_what_was_missed() {
        let hub = Broadcaster::default();
        let inbox = hub.open();
        for number in 0..MOST_WAITING + 10 {
            hub.ring(owner(number), last(0, 1));
        }
        assert_eq!(take(&inbox), Poll::Ready(Some(Message::Missed(10))));
        let next = Message::Update(owner(10), last(0, 1));
        assert_eq!(take(&inbox), Poll::Ready(Some(next)));
        hub.close_one(&inbox);
        hub.ring(owner(0), last(1, 2));
        assert_eq!(inbox.lock().order.len(), MOST_WAITING - 1, "it gets no more mail");
    }

    #[test]
    fn one_that_goes_on_is_not_missed_and_each_other_is_missed_once() {
        const OTHERS: usize = 3 * MOST_WAITING;
        let hub = Broadcaster::default();
        let inbox = hub.open();
        let mut told = 0;
        for number in 1..=OTHERS {
            for (owner, end) in [(owner(0), news(told, told + 1)), (owner(number), last(0, 1))] {
                hub.ring(owner, end);
            }
            told += 1;
        }
        let missed = (OTHERS - MOST_WAITING) as u64;
        assert_eq!(take(&inbox), Poll::Ready(Some(Message::Missed(missed))));
        assert_eq!(take(&inbox), Poll::Ready(Some(Message::Update(owner(0), news(0, told)))));
        for number in OTHERS - MOST_WAITING + 1..=OTHERS {
            let next = Message::Update(owner(number), last(0, 1));
            assert_eq!(take(&inbox), Poll::Ready(Some(next)));
        }
        assert!(take(&inbox).is_pending());
        assert_eq!(inbox.lock().ended, 0);
    }
}
