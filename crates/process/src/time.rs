//! A clock that is cheap to read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Moment of a monotonic clock that can be shared and set anew. It is exact to some milliseconds,
/// and so cheap that every line of output can note it.
#[derive(Debug)]
pub struct CoarseInstant(AtomicU64);

impl CoarseInstant {
    /// Returns the current moment.
    pub fn now() -> Self {
        Self(AtomicU64::new(coarse_nanos()))
    }

    /// Sets this to the current moment. Returns the time since it was set before.
    pub fn note(&self) -> Duration {
        let now = coarse_nanos();
        // Not a swap: every line notes it, and a race between two of them is harmless.
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(now, Ordering::Relaxed);
        Duration::from_nanos(now.saturating_sub(before))
    }

    /// Returns the time since it was set.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(coarse_nanos().saturating_sub(self.0.load(Ordering::Relaxed)))
    }
}

#[cfg(target_os = "linux")]
fn coarse_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(not(target_os = "linux"))]
fn coarse_nanos() -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;

    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(FIRST.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
