//! Whether an engine has anything to do: executions and plans that have not ended, and handlers that
//! have not received all of their events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Counts the executions and plans of an engine that publish, and notifies when that or the work of
/// handlers may have come to its end.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    publishers: AtomicUsize,
    changed: Notify,
}

/// One execution or plan that publishes, until it is dropped: after its last event, of which all
/// handlers know then.
#[derive(Debug)]
pub(super) struct ActivityGuard(Arc<Activity>);

impl Activity {
    pub(super) fn begin(self: &Arc<Self>) -> ActivityGuard {
        self.publishers.fetch_add(1, Ordering::AcqRel);
        ActivityGuard(Arc::clone(self))
    }

    /// Returns `true` if an execution or a plan may publish more.
    pub(crate) fn has_publishers(&self) -> bool {
        self.publishers.load(Ordering::Acquire) > 0
    }

    /// Waits for a change after this call. Cancel safe.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Notes that a handler has received all that there is.
    pub(super) fn note_change(&self) {
        self.changed.notify_waiters();
    }
}

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        if self.0.publishers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.note_change();
        }
    }
}
