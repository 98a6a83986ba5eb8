//! Executions that start at a moment: when it has come, they wait for nothing but a slot.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use super::inner::{Inner, pause};

/// Longest time between two looks at the clock: it may be set, and stands while the system sleeps.
pub(super) const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

impl Inner {
    /// Lets executions go when their moment has come, until the service ends.
    pub(crate) async fn run_clock(self: Arc<Self>) {
        loop {
            let now = Utc::now();
            let next = self.state.lock().queue.let_go_until(now);
            self.pump.notify_one();
            let left = next.map(|moment| (moment - now).to_std().unwrap_or_default());
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.moments.notified() => {}
                () = pause(left.unwrap_or_default().min(CLOCK_INTERVAL)), if left.is_some() => {}
            }
        }
    }
}
