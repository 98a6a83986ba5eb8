//! What is done now and then, or when a client asks for it: retention, and what is left of imports.

use std::sync::Arc;
use std::time::Duration;

use execution_engine_store::{Removed, RemovedPart, RetentionLimits};

use super::Service;
use super::inner::{Inner, pause};
use crate::error::ServiceError;
use crate::view::{Gc, GcPart, GcReport};

/// Time between two looks at what is too old, too many or too large.
const RETENTION: Duration = Duration::from_secs(60);

impl Service {
    /// Removes now what retention does not keep, or what it would not keep with other limits. Pinned executions stay,
    /// and so do those that have not ended.
    ///
    /// # Errors
    /// [`StoreFull`](crate::ErrorCode::StoreFull), [`Stopping`](crate::ErrorCode::Stopping): what was removed before
    /// stays removed.
    ///
    /// # Cancel safety
    /// If the future is dropped, it stops after a step.
    pub async fn gc(&self, gc: Gc) -> Result<GcReport, ServiceError> {
        let inner = self.inner();
        let limits = inner.limits(gc);
        let store = &inner.store;
        let removed = match gc.dry_run {
            true => inner.unless_closing(store.retention_preview(limits)).await?,
            false => inner.unless_closing(store.retention_pass_within(limits)).await?,
        };
        Ok(report(gc.dry_run, &removed?))
    }
}

impl Inner {
    /// Removes what retention does not keep, and what is left of imports, again and again until the service ends.
    pub(crate) async fn run_retention(self: Arc<Self>) {
        loop {
            match self.store.retention_pass().await {
                Ok(removed) if removed.all().executions > 0 => {
                    tracing::info!(
                        executions = removed.all().executions,
                        "retention has removed executions"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "retention could not remove what it should"),
            }
            if let Err(error) = self.clean_uploads().await {
                tracing::warn!(%error, "journals of imports stay");
            }
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = pause(RETENTION) => {}
            }
        }
    }

    /// Returns what is kept: what is asked for, else what is configured.
    fn limits(&self, gc: Gc) -> RetentionLimits {
        let configured = &self.options.config.retention;
        RetentionLimits {
            max_age: gc.max_age_ms.map_or(configured.max_age, Duration::from_millis),
            max_count: gc.max_count.unwrap_or(configured.max_count),
            max_bytes: gc.max_bytes.unwrap_or(configured.max_bytes),
        }
    }
}

fn report(dry_run: bool, removed: &Removed) -> GcReport {
    let part = |part: RemovedPart| GcPart { executions: part.executions, bytes: part.bytes };
    let all = removed.all();
    GcReport {
        dry_run,
        executions: all.executions,
        bytes: all.bytes,
        by_age: part(removed.by_age),
        by_count: part(removed.by_count),
        by_bytes: part(removed.by_bytes),
        incomplete: false,
    }
}
