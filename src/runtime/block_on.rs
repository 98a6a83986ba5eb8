//! Waiting for a future on a thread without a runtime.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Waker of a thread that waits for one future at a time.
struct ThreadWaker {
    thread: Thread,
    /// The future was woken. The token of `unpark` alone would not do: code in the future may take
    /// it.
    is_woken: AtomicBool,
}

impl ThreadWaker {
    fn new() -> Self {
        Self { thread: thread::current(), is_woken: AtomicBool::new(false) }
    }

    /// Waits until the future is woken. Returns `false` if it is not by then.
    fn wait(&self, until: Option<Instant>) -> bool {
        while !self.is_woken.swap(false, Ordering::Acquire) {
            let Some(until) = until else {
                thread::park();
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::park_timeout(left);
        }
        true
    }
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

thread_local! {
    /// The waker of this thread, unless it is in use. A future may wait for another one in turn, and
    /// the inner one must not take what wakes the outer one.
    static THREAD_WAKER: Cell<Option<Arc<ThreadWaker>>> = const { Cell::new(None) };
}

/// Polls a future on this thread until it is ready.
///
/// Inside tokio's `block_on` code may neither block nor drop a runtime. Here it may.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Some(value) = poll_until(future.as_mut(), None) {
            return value;
        }
    }
}

/// Polls a future on this thread until it is ready, at least once; `None` if it is not by then.
pub(crate) fn block_on_until<T>(
    future: impl Future<Output = T>,
    until: Option<Instant>,
) -> Option<T> {
    poll_until(pin!(future), until)
}

fn poll_until<T>(
    mut future: Pin<&mut impl Future<Output = T>>,
    until: Option<Instant>,
) -> Option<T> {
    // A thread that is ending has lost its thread-locals.
    let kept = THREAD_WAKER.try_with(Cell::take).ok().flatten();
    let woken = kept.unwrap_or_else(|| Arc::new(ThreadWaker::new()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let value = loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            break Some(value);
        }
        if !woken.wait(until) {
            break None;
        }
    };
    let _ending = THREAD_WAKER.try_with(|kept| kept.set(Some(woken)));
    value
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_wakes_the_outer_future_is_not_lost_while_an_inner_one_waits() {
        let mut polls = 0;
        let outer = poll_fn(|cx| {
            polls += 1;
            if polls > 1 {
                return Poll::Ready(());
            }
            // Woken before an inner one waits, and never again.
            cx.waker().wake_by_ref();
            let mut inner: Option<Waker> = None;
            block_on(poll_fn(|cx| match inner.take() {
                Some(_) => Poll::Ready(()),
                None => {
                    cx.waker().wake_by_ref();
                    inner = Some(cx.waker().clone());
                    Poll::Pending
                }
            }));
            Poll::Pending
        });
        let until = Instant::now().checked_add(Duration::from_secs(20));
        assert_eq!(block_on_until(outer, until), Some(()));
    }

    #[test]
    fn a_future_is_polled_once_although_its_time_is_over() {
        let past = Some(Instant::now());
        assert_eq!(block_on_until(async { 3 }, past), Some(3));
        assert_eq!(block_on_until(std::future::pending::<()>(), past), None);
    }
}
