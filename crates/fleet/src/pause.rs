//! Pauses of the loops.

use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Waits for a time, where there is no event to wait for: between two tries, and between two looks.
/// Cancel safe.
pub(crate) fn pause(time: Duration) -> Sleep {
    sleep_until(Instant::now() + time)
}
