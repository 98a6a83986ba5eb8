//! Waiting for a moment that may never come, and deadlines.

mod deadline;

use std::cell::Cell;
use std::time::{Duration, Instant};

use execution_engine_process::BootTimer;

use crate::config::TimeoutClock;
pub(crate) use deadline::{Deadline, ExpiredLimit};

/// Delays between tries of what the system has refused for the moment, some half a second in all.
#[derive(Debug)]
pub(crate) struct RefusalDelays(std::array::IntoIter<u64, 9>);

impl RefusalDelays {
    pub(crate) fn new() -> Self {
        Self([1, 2, 4, 8, 16, 32, 64, 128, 256].into_iter())
    }
}

impl Iterator for RefusalDelays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(Duration::from_millis)
    }
}

/// Waits until `at`; None waits for ever. Cancel safe.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Sets a timer of this thread for a minute, unless there is one.
///
/// tokio wakes its reactor for a timer before all others, also on the thread of the reactor: a
/// system call and a turn of its loop for each execution. Behind this timer a deadline needs none.
pub(crate) fn precede_deadlines() {
    thread_local! {
        static IS_SET: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_SET.replace(true) {
        tokio::spawn(async {
            sleep_until(Instant::now().checked_add(Duration::from_secs(60))).await;
            IS_SET.set(false);
        });
    }
}

/// Start of a span of time, on the clock that measures it.
#[derive(Debug, Clone, Copy)]
enum ClockStart {
    Monotonic(Instant),
    /// Time from the start of the system.
    Boottime(Duration),
}

impl ClockStart {
    fn new(clock: TimeoutClock, at: Instant) -> Self {
        match clock {
            TimeoutClock::Monotonic => Self::Monotonic(at),
            TimeoutClock::Boottime => Self::Boottime(BootTimer::now().saturating_sub(at.elapsed())),
        }
    }

    fn elapsed(self) -> Duration {
        match self {
            Self::Monotonic(start) => start.elapsed(),
            Self::Boottime(start) => BootTimer::now().saturating_sub(start),
        }
    }

    /// Waits until so much time has passed since the start; None waits for ever. Cancel safe.
    async fn sleep_until(self, passed: Option<Duration>) {
        match (self, passed) {
            (Self::Monotonic(start), Some(passed)) => {
                sleep_until(start.checked_add(passed)).await;
            }
            // Boxed, because each live execution holds the memory of what it may await.
            (Self::Boottime(start), Some(passed)) => {
                Box::pin(sleep_on_boottime(start.saturating_add(passed))).await;
            }
            (_, None) => std::future::pending().await,
        }
    }
}

/// Waits until so much time has passed since the start of the system.
async fn sleep_on_boottime(at: Duration) {
    let expired = match BootTimer::new(at) {
        Ok(timer) => timer.expired().await,
        Err(error) => Err(error),
    };
    if let Err(error) = expired {
        // There may be no descriptor for the timer.
        tracing::warn!(%error, "a timeout does not count the time for which the system sleeps");
        sleep_until(Instant::now().checked_add(at.saturating_sub(BootTimer::now()))).await;
    }
}
