//! Wakes starts whose records changed, where no message of the servers did.

use std::sync::Arc;

use super::Core;
use crate::pause::pause;

impl Core {
    /// Looks for new records of what runs, one question for all of it, for as long as this is polled.
    pub(super) async fn keep_looking(self: Arc<Self>) {
        loop {
            pause(self.options.times.look_every).await;
            let running: Vec<_> = self.running.lock().values().cloned().collect();
            if running.is_empty() {
                continue;
            }
            let subjects: Vec<_> = running.iter().map(|running| running.subject.clone()).collect();
            match self.cluster.last(&subjects).await {
                Ok(last) => {
                    for (running, last) in running.iter().zip(last) {
                        if last.is_some_and(|(seq, _)| seq > *running.seen.lock()) {
                            running.changed.notify_one();
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "records could not be looked at"),
            }
        }
    }
}
