//! The task that enforces retention while nothing else happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::core::Core;
use crate::execution::Shared;
use crate::record::Retention;

/// Whether the task runs, and the bell that ends it.
#[derive(Debug, Default)]
pub(super) struct Once {
    started: AtomicBool,
    stop: Arc<Notify>,
}

impl Once {
    pub(super) fn start(&self, core: &Core) {
        if self.started.swap(true, Ordering::AcqRel) {
            return;
        }
        let (stop, shared) = (Arc::clone(&self.stop), Arc::clone(&core.shared));
        let retention = Retention::of(&core.config);
        core.driver.spawn(async move {
            tokio::select! {
                () = stop.notified() => {}
                () = forget_the_old(&shared, retention) => {}
            }
        });
    }

    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }
}

/// Sleeps until the oldest record is to go, or until there is one.
async fn forget_the_old(shared: &Shared, retention: Retention) {
    loop {
        shared.forget(&shared.registry.evict(Instant::now(), retention));
        let oldest = shared.registry.oldest_ending();
        match oldest.and_then(|at| retention.expiry(at)) {
            Some(expiry) => sleep_until(expiry.into()).await,
            None => shared.ended.notified().await,
        }
    }
}
