//! Time: waiting for an instant that may never come, and a clock that is cheap to read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use execution_engine_process::CoarseInstant as Coarse;

/// Waits until `at`; None waits for ever. Cancel safe.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Instant of the last progress, exact to some milliseconds. It is so cheap that every line of
/// output can note it.
#[derive(Debug)]
pub(crate) struct CoarseInstant(AtomicU64);

impl CoarseInstant {
    /// Returns the current instant.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(Coarse::now().as_nanos()))
    }

    /// Sets this to the current instant. Returns the time since it was set before.
    pub(crate) fn note(&self) -> Duration {
        let now = Coarse::now().as_nanos();
        // Not a swap: every line notes it, and a race between two of them is harmless.
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(now, Ordering::Relaxed);
        Duration::from_nanos(now.saturating_sub(before))
    }

    /// Returns the time since then.
    pub(crate) fn elapsed(&self) -> Duration {
        Coarse::from_nanos(self.0.load(Ordering::Relaxed)).elapsed()
    }
}
