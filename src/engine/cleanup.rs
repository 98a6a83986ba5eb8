//! The task that enforces retention while nothing else happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::core::EngineCore;
use crate::execution::ExecutionContext;
use crate::store::RetentionPolicy;

/// Whether the task runs, and the bell that ends it.
#[derive(Debug, Default)]
pub(super) struct CleanupTask {
    started: AtomicBool,
    stop: Arc<Notify>,
}

impl CleanupTask {
    pub(super) fn start(&self, core: &EngineCore) {
        if self.started.swap(true, Ordering::AcqRel) {
            return;
        }
        let (stop, shared) = (Arc::clone(&self.stop), Arc::clone(&core.shared));
        let retention = RetentionPolicy::of(&core.config);
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
async fn forget_the_old(shared: &ExecutionContext, retention: RetentionPolicy) {
    loop {
        shared.forget(&shared.registry.evict(Instant::now(), retention).executions);
        match shared.registry.oldest_ending().and_then(|at| retention.expiry(at)) {
            Some(expiry) => sleep_until(expiry.into()).await,
            None => shared.ended.notified().await,
        }
    }
}
