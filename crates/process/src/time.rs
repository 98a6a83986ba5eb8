//! A clock that is cheap to read.

use std::time::Duration;

/// Moment of a monotonic clock that is exact to some milliseconds, and so cheap to read that every
/// line of output can note it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CoarseInstant(u64);

impl CoarseInstant {
    /// Returns the current moment.
    pub fn now() -> Self {
        Self(coarse_nanos())
    }

    /// Returns the time that has passed since this moment.
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(coarse_nanos().saturating_sub(self.0))
    }

    /// Returns the nanoseconds since a fixed moment of this process or machine, for storing this in
    /// an atomic.
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// Restores a moment from [`as_nanos`](Self::as_nanos).
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
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
