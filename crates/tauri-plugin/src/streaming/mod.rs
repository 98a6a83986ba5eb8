//! Streams records from the engine to a window in batches, with flow control.
//!
//! One task per subscription forwards the records. It reads the next record only while fewer than
//! [`FlowControl::max_unacknowledged`] batches wait for the acknowledgement of the page. So a slow
//! page makes no buffer grow here: unread records stay in the engine, which bounds them and counts
//! the bytes that it discards.

mod batch;
mod forward;
mod subscriptions;

pub(crate) use batch::{ChunkBatch, RecordBatch};
pub(crate) use forward::{Batch, WindowClosed, forward};
pub(crate) use subscriptions::Subscriptions;

use std::time::Duration;

/// Limits on the rate and the size of batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowControl {
    /// Minimum time between two batches. Default: 16 ms, one frame of a 60 Hz screen.
    pub(crate) interval: Duration,
    /// Size at which a batch is sent, in bytes; its last record may exceed it.
    pub(crate) max_batch_bytes: usize,
    /// Maximum number of records in a batch.
    pub(crate) max_batch_records: usize,
    /// Maximum number of batches that were sent and not acknowledged: enough to keep the channel
    /// busy while the page reads one.
    pub(crate) max_unacknowledged: usize,
}

impl Default for FlowControl {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(16),
            max_batch_bytes: 256 * 1024,
            max_batch_records: 4096,
            max_unacknowledged: 4,
        }
    }
}
