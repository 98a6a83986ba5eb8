//! What happens to an execution when the engine is at its limit.

use serde::{Deserialize, Serialize};

/// What happens to an execution when the limit of concurrent executions is reached, for
/// [`EngineBuilder::admission`](crate::EngineBuilder::admission).
///
/// In JSON: `{"type":"reject"}` or `{"type":"queue","max_waiting":100}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", from = "AdmissionJson")]
#[non_exhaustive]
pub enum Admission {
    /// It is refused, with
    /// [`ConcurrencyLimitReached`](crate::ExecutionError::ConcurrencyLimitReached) or
    /// [`GroupLimitReached`](crate::ExecutionError::GroupLimitReached).
    #[default]
    Reject,
    /// It is accepted and waits as [`Pending`](crate::ExecutionStatus::Pending): higher
    /// [priority](crate::ExecutionOptions::priority) first, the oldest first among equals.
    Queue {
        /// How many executions may wait; one more is refused with
        /// [`QueueFull`](crate::ExecutionError::QueueFull).
        max_waiting: usize,
    },
}

/// Form in which an [`Admission`] is read: serde refuses unknown fields beside a tag only in
/// variants that could have fields.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum AdmissionJson {
    Reject {},
    Queue { max_waiting: usize },
}

impl From<AdmissionJson> for Admission {
    fn from(json: AdmissionJson) -> Self {
        match json {
            AdmissionJson::Reject {} => Self::Reject,
            AdmissionJson::Queue { max_waiting } => Self::Queue { max_waiting },
        }
    }
}
