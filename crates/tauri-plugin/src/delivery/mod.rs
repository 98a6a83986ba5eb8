//! How records travel to a window: in batches, at a pace, and never more than the window can take.
//!
//! One task per subscription owns its way from the engine to the window. It takes the next record
//! only while fewer than [`Pace::in_flight`] batches wait for the window to confirm them, so a slow
//! window makes nothing pile up here: what it has not read stays with the engine, which counts
//! what it cannot hold.

mod batch;
mod open;
mod pump;

pub(crate) use batch::{Chunks, Records};
pub(crate) use open::{Place, Subscriptions};
pub(crate) use pump::{Batch, Gone, pump};

use std::time::Duration;

/// How fast and how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Batches go at most so often: once for each frame of a 60 Hz screen.
    pub(crate) every: Duration,
    /// A batch is sent when it has so many bytes. The last record may go beyond.
    pub(crate) bytes: usize,
    /// A batch has at most so many records.
    pub(crate) records: usize,
    /// So many batches may be on their way: enough to keep the line busy while one is read.
    pub(crate) in_flight: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { every: Duration::from_millis(16), bytes: 256 * 1024, records: 4096, in_flight: 4 }
    }
}
