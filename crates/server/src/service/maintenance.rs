//! What is done now and then: retention, and what an earlier service left to be compressed.

use std::sync::Arc;
use std::time::Duration;

use super::inner::{Inner, pause};

/// Time between two looks at what is too old, too many or too large.
const RETENTION: Duration = Duration::from_secs(60);

impl Inner {
    /// Removes what retention does not keep, again and again until the service ends.
    pub(crate) async fn run_retention(self: Arc<Self>) {
        loop {
            match self.store.retention_pass().await {
                Ok(removed) if removed.executions > 0 => {
                    tracing::info!(
                        executions = removed.executions,
                        "retention has removed executions"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "retention could not remove what it should"),
            }
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = pause(RETENTION) => {}
            }
        }
    }
}
