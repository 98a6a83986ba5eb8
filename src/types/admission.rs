//! What happens to an execution when the engine is at its limit.

use serde::{Deserialize, Serialize};

use super::json_form;

/// What happens to an execution when the limit of concurrent executions is reached, for
/// [`EngineBuilder::admission`](crate::EngineBuilder::admission).
///
/// In JSON: `{"type":"reject"}` (short `"reject"`) or `{"type":"queue","max_waiting":100}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AdmissionJson", into = "AdmissionJson")]
#[non_exhaustive]
pub enum Admission {
    /// It is refused, with
    /// [`ConcurrencyLimitReached`](crate::ExecutionError::ConcurrencyLimitReached) or
    /// [`GroupLimitReached`](crate::ExecutionError::GroupLimitReached); with
    /// [`OpenFileLimitReached`](crate::ExecutionError::OpenFileLimitReached) if it is the limit of
    /// open files that is reached.
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

json_form! {
    #[serde(deny_unknown_fields)]
    AdmissionJson for Admission {
        Reject {} = Reject {};
        Queue { max_waiting: usize } = Queue { max_waiting };
    }
}
