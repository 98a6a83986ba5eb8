//! Forgetting: on request, and by the task that enforces retention while nothing else happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep_until;
use uuid::Uuid;

use super::ExecutionEngine;
use super::core::EngineCore;
use crate::error::{ExecutionError, Result};
use crate::execution::ExecutionContext;
use crate::store::RetentionPolicy;

impl ExecutionEngine {
    /// Forgets ended executions by the configured age and count, and returns how many; ended plans,
    /// too. Never touches what runs.
    pub async fn cleanup_old_executions(&self) -> usize {
        let retention = RetentionPolicy::of(&self.core.config);
        let evicted = self.core.shared.registry.evict(Instant::now(), retention);
        self.core.shared.forget(&evicted.executions);
        evicted.executions.len()
    }

    /// Moves the endings of ended executions and plans into the past, so that tests of retention
    /// need not wait for their age.
    #[doc(hidden)]
    pub fn age_ended(&self, by: Duration) {
        self.core.shared.registry.age_ended(by);
    }

    /// Forgets one ended execution, and removes its overflow files. A [history](crate::History) forgets
    /// it, too.
    ///
    /// # Errors
    /// [`NotFound`](crate::ExecutionError::NotFound) for an unknown id,
    /// [`StillRunning`](crate::ExecutionError::StillRunning) for one that has not ended.
    pub async fn remove_execution(&self, id: Uuid) -> Result<()> {
        match self.core.shared.registry.remove(id) {
            Ok(record) => {
                self.core.shared.forget(&[record]);
                self.remove_past(id).await.map(drop)
            }
            Err(error @ ExecutionError::NotFound(_)) => match self.remove_past(id).await? {
                true => Ok(()),
                false => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Starts the task that forgets ended executions and plans as they grow too old, on the
    /// engine's own threads. It ends with the engine. Calling it again changes nothing; with
    /// [`enable_auto_cleanup`](crate::ExecutionConfig::enable_auto_cleanup) off it does nothing.
    ///
    /// ```
    /// use execution_engine::*;
    /// let engine = ExecutionEngine::new(ExecutionConfig::default()).unwrap();
    /// engine.start_cleanup_task();
    /// ```
    pub fn start_cleanup_task(&self) {
        if !self.core.config.enable_auto_cleanup {
            return;
        }
        match self.core.shared.runtime.start() {
            Ok(_) => self.core.cleanup.start(&self.core),
            Err(error) => tracing::error!(%error, "the cleanup task could not be started"),
        }
    }
}

/// State of the cleanup task of one engine.
#[derive(Debug, Default)]
pub(super) struct CleanupTask {
    started: AtomicBool,
    /// Notified when the engine ends.
    stop: Arc<Notify>,
}

impl CleanupTask {
    fn start(&self, core: &EngineCore) {
        if self.started.swap(true, Ordering::AcqRel) {
            return;
        }
        let (stop, shared) = (Arc::clone(&self.stop), Arc::clone(&core.shared));
        let retention = RetentionPolicy::of(&core.config);
        core.shared.runtime.spawn(async move {
            tokio::select! {
                () = stop.notified() => {}
                () = forget_expired(&shared, retention) => {}
            }
        });
    }

    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }
}

/// Forgets what is too old, then sleeps until the oldest expires or something ends.
async fn forget_expired(shared: &ExecutionContext, retention: RetentionPolicy) {
    loop {
        shared.forget(&shared.registry.evict(Instant::now(), retention).executions);
        match shared.registry.oldest_ending().and_then(|at| retention.expiry(at)) {
            Some(expiry) => sleep_until(expiry.into()).await,
            None => shared.ended.notified().await,
        }
    }
}
