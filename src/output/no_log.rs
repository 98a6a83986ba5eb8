//! In place of the logs, in a build without them. Requests for logs are refused before.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::log_targets::LogTargets;
use crate::error::ExecutionError;
use crate::runtime::BlockingPool;
use crate::types::{Ending, OutputStream};

/// The logs of an execution: none.
#[derive(Debug, Default)]
pub(crate) struct ExecutionLogs(());

impl ExecutionLogs {
    pub(crate) fn open<Guard>(
        _: &LogTargets,
        _: &Arc<BlockingPool>,
        _: Uuid,
        _: impl FnOnce() -> Guard,
    ) -> Result<Self, ExecutionError> {
        Ok(Self(()))
    }

    pub(crate) fn remove(_: &Path, _: Uuid) {}

    pub(crate) fn header(&mut self, _: Uuid, _: &str, _: Option<&Path>, _: Option<DateTime<Utc>>) {}

    pub(super) fn chunk(&mut self, _: OutputStream, _: &[u8]) {}

    pub(super) fn end_of(&mut self, _: OutputStream) {}

    pub(crate) fn note(&mut self, _: &str) {}

    pub(crate) fn footer(&mut self, _: &Ending, _: Duration, _: [u64; 2]) {}

    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    #[expect(clippy::unused_async, reason = "the logs have the same methods")]
    pub(crate) async fn write_pending(&mut self) {}

    #[expect(clippy::unused_async, reason = "the logs have the same methods")]
    pub(crate) async fn finish(self, _: Duration) -> Option<String> {
        None
    }
}
