//! Waiting for an instant that may never come.

use std::time::Instant;

/// Waits until `at`; None waits for ever. Cancel safe.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
