//! Waiting for a moment that may never come.

use std::time::Instant;

/// Waits until `at`; None never comes. Cancel safe.
pub(crate) async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
