//! Executions as they go from one service to another.

use execution_engine_store::StoredExecution;
use serde::{Deserialize, Serialize};

/// An execution as it is stored, without values of its environment, and how long its journal is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The execution.
    pub execution: StoredExecution,
    /// Bytes of the journal with its output and events; 0 if it has not ended, or its output is no longer kept.
    pub journal_bytes: u64,
}

/// What came of a record that was to be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportAnswer {
    /// `false` if it was there already.
    pub created: bool,
}
