//! Waiting for a moment that may never come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Waits until `at`; None never comes. Cancel safe.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// When there was progress last: exact to some milliseconds, and so cheap that every line can note
/// it.
#[derive(Debug)]
pub(crate) struct CoarseInstant(AtomicU64);

impl CoarseInstant {
    /// Now.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(coarse_nanos()))
    }

    /// Sets this to the current moment. Returns the time since it was set before.
    pub(crate) fn note(&self) -> Duration {
        let now = coarse_nanos();
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(now, Ordering::Relaxed);
        Duration::from_nanos(now.saturating_sub(before))
    }

    /// Since then.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(coarse_nanos().saturating_sub(self.0.load(Ordering::Relaxed)))
    }
}

/// Since some fixed moment.
#[cfg(target_os = "linux")]
fn coarse_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(not(target_os = "linux"))]
fn coarse_nanos() -> u64 {
    static FIRST: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    u64::try_from(FIRST.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
