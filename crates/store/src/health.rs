//! Whether the store can be written.

use chrono::{DateTime, Utc};

/// Whether the store can be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// It can.
    #[default]
    Writable,
    /// It cannot: the disk is full or fails. What is stored can be read. The store tries again by itself,
    /// each [`probe_interval`](crate::StoreConfig::probe_interval).
    ReadOnly {
        /// What the system said.
        reason: String,
        /// `true` if the disk is full.
        is_full: bool,
        /// Since when.
        since: DateTime<Utc>,
        /// Number of writes that were refused since then.
        not_kept: u64,
    },
}
