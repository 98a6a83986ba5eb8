//! Registry of the open subscriptions. Each belongs to one page and is closed with it: a page that
//! is left, reloaded or closed cannot unsubscribe by itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tauri::async_runtime::JoinHandle;
use tokio::sync::Semaphore;

use super::FlowControl;
use crate::owners::PageId;

/// Open subscriptions, by id.
#[derive(Default)]
pub(crate) struct Subscriptions {
    last_id: AtomicU32,
    open: Arc<Mutex<OpenSubscriptions>>,
}

type OpenSubscriptions = HashMap<u32, OpenSubscription>;

struct OpenSubscription {
    page: PageId,
    /// One permit for each batch that may still be sent.
    credit: Arc<Semaphore>,
    max_credit: usize,
    task: Option<JoinHandle<()>>,
}

/// Handle of an open subscription for its task. Dropping it closes the subscription.
pub(crate) struct SubscriptionGuard {
    pub(crate) id: u32,
    pub(crate) credit: Arc<Semaphore>,
    open: Arc<Mutex<OpenSubscriptions>>,
}

impl Drop for SubscriptionGuard {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.id);
    }
}

impl Subscriptions {
    /// Registers a subscription of a page.
    pub(crate) fn open(&self, page: PageId, flow: FlowControl) -> SubscriptionGuard {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let max_credit = flow.max_unacknowledged;
        let credit = Arc::new(Semaphore::new(max_credit));
        let subscription =
            OpenSubscription { page, credit: Arc::clone(&credit), max_credit, task: None };
        lock(&self.open).insert(id, subscription);
        SubscriptionGuard { id, credit, open: Arc::clone(&self.open) }
    }

    /// Stores the task of a subscription, so that it can be aborted. If the task has already ended,
    /// there is nothing to store it with.
    pub(crate) fn attach(&self, id: u32, task: JoinHandle<()>) {
        match lock(&self.open).get_mut(&id) {
            Some(subscription) => subscription.task = Some(task),
            None => task.abort(),
        }
    }

    /// Acknowledges one batch, so that another one may be sent. Ids are easy to guess, so calls
    /// from another page are ignored.
    pub(crate) fn ack(&self, id: u32, page: &PageId) {
        if let Some(subscription) = lock(&self.open).get(&id)
            && subscription.page == *page
            // A page that acknowledges more than it received must not raise the limit.
            && subscription.credit.available_permits() < subscription.max_credit
        {
            subscription.credit.add_permits(1);
        }
    }

    /// Closes one subscription of a page.
    pub(crate) fn close(&self, id: u32, page: &PageId) {
        self.close_where(|subscription, this| this == id && subscription.page == *page);
    }

    /// Closes all subscriptions of a page that was left or reloaded.
    pub(crate) fn page_left(&self, webview: &str) {
        self.close_where(|subscription, _| subscription.page.webview == webview);
    }

    /// Closes all subscriptions of a window.
    pub(crate) fn window_closed(&self, window: &str) {
        self.close_where(|subscription, _| subscription.page.window == window);
    }

    /// Returns the number of open subscriptions of a page.
    pub(crate) fn count(&self, page: &PageId) -> usize {
        lock(&self.open).values().filter(|subscription| subscription.page == *page).count()
    }

    fn close_where(&self, mut matches: impl FnMut(&OpenSubscription, u32) -> bool) {
        let closed: Vec<_> =
            lock(&self.open).extract_if(|id, subscription| matches(subscription, *id)).collect();
        // Without the lock: aborting a task may drop its guard, which takes the lock.
        for (_, subscription) in closed {
            subscription.credit.close();
            if let Some(task) = subscription.task {
                task.abort();
            }
        }
    }
}

fn lock(open: &Mutex<OpenSubscriptions>) -> MutexGuard<'_, OpenSubscriptions> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(window: &str) -> PageId {
        PageId::of_window(window)
    }

    #[test]
    fn only_the_own_page_can_ack_and_close_a_subscription() {
        let all = Subscriptions::default();
        let flow = FlowControl { max_unacknowledged: 2, ..FlowControl::default() };
        let guard = all.open(page("a"), flow);
        guard.credit.try_acquire().unwrap().forget();
        all.ack(guard.id, &page("b"));
        assert_eq!(guard.credit.available_permits(), 1, "an ack of another page is ignored");
        for _ in 0..5 {
            all.ack(guard.id, &page("a"));
        }
        assert_eq!(guard.credit.available_permits(), 2, "acks never raise the limit");
        all.close(guard.id, &page("b"));
        assert_eq!(all.count(&page("a")), 1);
        all.close(guard.id, &page("a"));
        assert_eq!(all.count(&page("a")), 0);
        assert!(guard.credit.is_closed());
    }

    #[test]
    fn leaving_a_page_closes_its_subscriptions_only() {
        let all = Subscriptions::default();
        let kept = all.open(page("b"), FlowControl::default());
        let _first = all.open(page("a"), FlowControl::default());
        let _second = all.open(page("a"), FlowControl::default());
        all.page_left("a");
        assert_eq!((all.count(&page("a")), all.count(&page("b"))), (0, 1));
        all.window_closed("b");
        assert_eq!(all.count(&page("b")), 0);
        assert!(kept.credit.is_closed());
    }

    #[test]
    fn dropping_the_guard_closes_the_subscription() {
        let all = Subscriptions::default();
        drop(all.open(page("a"), FlowControl::default()));
        assert_eq!(all.count(&page("a")), 0);
    }
}
