//! Those who watch all executions of an engine: each has an inbox that says which executions have
//! something new, and where it begins and ends. What it is stays in the journals.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::output::Owner;

/// How many executions wait in an inbox. Who does not look for that long misses the oldest.
const MOST_WAITING: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// How many inboxes there are, so that telling nobody costs nothing.
    count: AtomicUsize,
    inboxes: Mutex<Inboxes>,
}

#[derive(Debug, Default)]
struct Inboxes {
    all: Vec<Arc<Inbox>>,
    closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// In the order in which they were first told of.
    order: VecDeque<Owner>,
    news: HashMap<Owner, News>,
    /// How many executions have been dropped.
    missed: u64,
    closed: bool,
    waker: Option<Waker>,
}

/// What is new in one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct News {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What an inbox holds for its owner.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mail {
    News(Owner, News),
    /// So many executions were dropped.
    Missed(u64),
}

impl Hub {
    /// A new inbox, empty.
    pub(super) fn open(&self) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
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
    pub(super) fn close_one(&self, inbox: &Arc<Inbox>) {
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
    pub(super) fn ring(&self, owner: Owner, from: u64, to: u64) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let all = self.lock().all.clone();
        all.iter().for_each(|inbox| inbox.change(|inner| inner.put(owner, News { from, to })));
    }

    fn lock(&self) -> MutexGuard<'_, Inboxes> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// The next thing; Ready(None) if nothing will come any more.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Mail>> {
        let mut inner = self.lock();
        if inner.missed > 0 {
            return Poll::Ready(Some(Mail::Missed(std::mem::take(&mut inner.missed))));
        }
        if let Some(owner) = inner.order.pop_front()
            && let Some(news) = inner.news.remove(&owner)
        {
            return Poll::Ready(Some(Mail::News(owner, news)));
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

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let waker = {
            let mut inner = self.lock();
            change(&mut inner);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put(&mut self, owner: Owner, news: News) {
        if let Some(known) = self.news.get_mut(&owner) {
            known.to = known.to.max(news.to);
            known.from = known.from.min(news.from);
            return;
        }
        if self.order.len() >= MOST_WAITING
            && let Some(oldest) = self.order.pop_front()
        {
            self.news.remove(&oldest);
            self.missed += 1;
        }
        self.order.push_back(owner);
        self.news.insert(owner, news);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn take(inbox: &Inbox) -> Poll<Option<Mail>> {
        inbox.poll_take(&mut Context::from_waker(Waker::noop()))
    }

    fn owner(number: usize) -> Owner {
        Owner { id: Uuid::from_u128(number as u128 + 1), ..Owner::default() }
    }

    #[test]
    fn news_of_one_execution_are_put_together() {
        let hub = Hub::default();
        let inbox = hub.open();
        for (number, from, to) in [(0, 3, 5), (1, 0, 2), (0, 5, 9)] {
            hub.ring(owner(number), from, to);
        }
        assert_eq!(take(&inbox), Poll::Ready(Some(Mail::News(owner(0), News { from: 3, to: 9 }))));
        assert_eq!(take(&inbox), Poll::Ready(Some(Mail::News(owner(1), News { from: 0, to: 2 }))));
        assert!(take(&inbox).is_pending());
        hub.close();
        assert_eq!(take(&inbox), Poll::Ready(None));
        assert_eq!(take(&hub.open()), Poll::Ready(None), "opened too late");
    }

    #[test]
    fn who_never_looks_costs_no_more_than_a_full_inbox_and_is_told_what_was_missed() {
        let hub = Hub::default();
        let inbox = hub.open();
        for number in 0..MOST_WAITING + 10 {
            hub.ring(owner(number), 0, 1);
        }
        assert_eq!(take(&inbox), Poll::Ready(Some(Mail::Missed(10))));
        let next = Mail::News(owner(10), News { from: 0, to: 1 });
        assert_eq!(take(&inbox), Poll::Ready(Some(next)));
        hub.close_one(&inbox);
        hub.ring(owner(0), 1, 2);
        assert_eq!(inbox.lock().order.len(), MOST_WAITING - 1, "it gets no more mail");
    }
}
