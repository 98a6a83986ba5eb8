use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tauri::async_runtime::JoinHandle;
use tokio::sync::Semaphore;

use super::Pace;

/// The subscriptions that are open, by number. Each belongs to one webview of one window and ends
/// with its page.
#[derive(Default)]
pub(crate) struct Subscriptions {
    last: AtomicU32,
    open: Arc<Mutex<HashMap<u32, Open>>>,
}

struct Open {
    place: Place,
    credit: Arc<Semaphore>,
    most: usize,
    task: Option<JoinHandle<()>>,
}

/// Where the page of a subscription is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) window: String,
    pub(crate) webview: String,
}

/// A number that is taken, for the task of the subscription. Dropping it closes the subscription.
pub(crate) struct Ticket {
    pub(crate) number: u32,
    pub(crate) credit: Arc<Semaphore>,
    open: Arc<Mutex<HashMap<u32, Open>>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.number);
    }
}

impl Subscriptions {
    /// Takes a number.
    pub(crate) fn open(&self, place: Place, pace: Pace) -> Ticket {
        let number = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let credit = Arc::new(Semaphore::new(pace.in_flight));
        let open = Open { place, credit: Arc::clone(&credit), most: pace.in_flight, task: None };
        lock(&self.open).insert(number, open);
        Ticket { number, credit, open: Arc::clone(&self.open) }
    }

    /// Remembers the task, so that it can be ended from outside. It may have ended already.
    pub(crate) fn attach(&self, number: u32, task: JoinHandle<()>) {
        match lock(&self.open).get_mut(&number) {
            Some(open) => open.task = Some(task),
            None => task.abort(),
        }
    }

    /// The page has read one batch. Only the page of a subscription may say so.
    pub(crate) fn confirm(&self, number: u32, place: &Place) {
        if let Some(open) = lock(&self.open).get(&number)
            && open.place == *place
            && open.credit.available_permits() < open.most
        {
            open.credit.add_permits(1);
        }
    }

    /// The page does not want more.
    pub(crate) fn close(&self, number: u32, place: &Place) {
        self.close_where(|open, this| this == number && open.place == *place);
    }

    /// A page has gone, by leaving it or by loading it anew.
    pub(crate) fn page_left(&self, webview: &str) {
        self.close_where(|open, _| open.place.webview == webview);
    }

    /// A window has gone, with all its pages.
    pub(crate) fn window_closed(&self, window: &str) {
        self.close_where(|open, _| open.place.window == window);
    }

    /// How many this page has open.
    pub(crate) fn count(&self, place: &Place) -> usize {
        lock(&self.open).values().filter(|open| open.place == *place).count()
    }

    fn close_where(&self, mut gone: impl FnMut(&Open, u32) -> bool) {
        let closed: Vec<_> =
            lock(&self.open).extract_if(|number, open| gone(open, *number)).collect();
        // Outside of the lock: a task that ends gives its number back.
        for (_, open) in closed {
            open.credit.close();
            if let Some(task) = open.task {
                task.abort();
            }
        }
    }
}

fn lock(open: &Mutex<HashMap<u32, Open>>) -> MutexGuard<'_, HashMap<u32, Open>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(window: &str) -> Place {
        Place { window: window.to_string(), webview: window.to_string() }
    }

    #[test]
    fn a_page_confirms_and_closes_its_own_and_no_more_than_was_sent() {
        let all = Subscriptions::default();
        let pace = Pace { in_flight: 2, ..Pace::default() };
        let ticket = all.open(place("a"), pace);
        ticket.credit.try_acquire().unwrap().forget();
        all.confirm(ticket.number, &place("b"));
        assert_eq!(ticket.credit.available_permits(), 1, "another page's word counts for nothing");
        for _ in 0..5 {
            all.confirm(ticket.number, &place("a"));
        }
        assert_eq!(ticket.credit.available_permits(), 2, "no credit beyond what was given");
        all.close(ticket.number, &place("b"));
        assert_eq!(all.count(&place("a")), 1);
        all.close(ticket.number, &place("a"));
        assert_eq!(all.count(&place("a")), 0);
        assert!(ticket.credit.is_closed());
    }

    #[test]
    fn a_page_that_leaves_takes_its_own_with_it() {
        let all = Subscriptions::default();
        let kept = all.open(place("b"), Pace::default());
        let _left = all.open(place("a"), Pace::default());
        let _too = all.open(place("a"), Pace::default());
        all.page_left("a");
        assert_eq!((all.count(&place("a")), all.count(&place("b"))), (0, 1));
        all.window_closed("b");
        assert_eq!(all.count(&place("b")), 0);
        assert!(kept.credit.is_closed());
    }

    #[test]
    fn a_task_that_ends_gives_its_number_back() {
        let all = Subscriptions::default();
        drop(all.open(place("a"), Pace::default()));
        assert_eq!(all.count(&place("a")), 0);
    }
}
