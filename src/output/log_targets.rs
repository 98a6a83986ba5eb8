//! Where the logs of an execution are to be.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use execution_engine_process::Links;

use crate::config::LogRotation;

/// Where the logs of an execution are to be.
#[derive(Debug)]
pub(crate) struct LogTargets {
    pub(crate) raw: Option<Arc<RawLog>>,
    /// Directory of the readable log.
    pub(crate) dir: Option<PathBuf>,
    /// When the readable log is continued in another file; None never.
    pub(crate) rotation: Option<LogRotation>,
    /// Longest line that is written in one piece, in bytes.
    pub(crate) max_line_bytes: usize,
}

/// The log of the output as it was read (`output_log_path`).
#[derive(Debug)]
pub(crate) struct RawLog {
    pub(crate) path: PathBuf,
    /// Whether links in its path are followed.
    pub(crate) links: Links,
    /// How many bytes the file had when it was opened; `u64::MAX` before.
    begin: AtomicU64,
}

impl RawLog {
    pub(crate) fn new(path: PathBuf, links: Links) -> Self {
        Self { path, links, begin: AtomicU64::new(u64::MAX) }
    }

    /// Notes how many bytes the file has that are not of this execution.
    pub(super) fn note_begin(&self, length: u64) {
        self.begin.store(length, Ordering::Release);
    }

    /// Returns where the log begins in its file; beyond every file if it has not been opened.
    pub(crate) fn begin(&self) -> u64 {
        self.begin.load(Ordering::Acquire)
    }
}

impl LogTargets {
    pub(crate) fn is_empty(&self) -> bool {
        self.raw.is_none() && self.dir.is_none()
    }
}
