//! Wakers of the host's tasks. They are code of the host that runs on our threads: a panic of one
//! must neither end the task that wakes it nor keep others from being woken.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

/// Waker whose panics go no further.
struct CaughtWaker(Waker);

impl Wake for CaughtWaker {
    fn wake(self: Arc<Self>) {
        catch(move || self.0.wake_by_ref());
    }
}

/// Wakes a task of the host. A panic is logged and affects nothing else.
pub(crate) fn wake(waker: Waker) {
    catch(move || waker.wake());
}

/// Runs code of the host, which also drops what it has captured: a waker may be the last owner of
/// the task behind it.
fn catch(code: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(code)) {
        tracing::warn!("a waker of the host panicked");
        discard(panic);
    }
}

/// Awaits a future that our tasks wake by a primitive of tokio. That wakes several waiters one
/// after the other, and a panic of one would leave out the rest.
pub(crate) async fn catching<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let waker = Waker::from(Arc::new(CaughtWaker(cx.waker().clone())));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

/// Drops the payload of a panic. That is code of the user and may panic as well; the payload of
/// that second panic is leaked, or there would be no end to it.
pub(crate) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(another);
    }
}
