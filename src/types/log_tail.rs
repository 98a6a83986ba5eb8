//! How much of the end of a log to read.

use serde::{Deserialize, Serialize};

use super::json_form;

/// How much of the end of a log to read, for
/// [`read_logs_tail`](crate::ExecutionEngine::read_logs_tail).
///
/// In JSON: `{"type":"lines","count":20}`, `{"type":"bytes","count":4096}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "LogTailJson", into = "LogTailJson")]
pub enum LogTail {
    /// So many lines.
    Lines(u64),
    /// So many bytes.
    Bytes(u64),
}

json_form! {
    #[serde(deny_unknown_fields)]
    LogTailJson for LogTail {
        Lines { count: u64 } = Lines(count);
        Bytes { count: u64 } = Bytes(count);
    }
}
