//! The words of the public face: plain types that read from and write to JSON.

mod command;
mod ending;
mod event;
mod options;
mod plan;
mod record;
mod request;
mod result;
mod retry;
mod status;
mod stdin;

use std::time::Duration;

pub use command::Command;
pub(crate) use command::aws_args;
pub use ending::{Ending, OutputStream, ResourceLimit};
pub use event::ExecutionEvent;
pub use options::ExecutionOptions;
pub use plan::{
    ExecutionPlan, ExecutionStrategy, FailurePolicy, InputTarget, PlanEnding, PlanError,
    PlanExecutionResult, PlanOptions, PlanStats, PlanStep, PlanSummary, SkipReason, StepInput,
    StepOptions, StepRef, Trim,
};
pub use record::{ChunkContent, ChunkRecord, EventRecord};
pub(crate) use request::shown_name;
pub use request::{ExecutionMetadata, ExecutionRequest};
pub(crate) use result::RawOutput;
pub use result::{
    ContainmentReceipt, ExecutionResult, ExecutionSummary, ResourceUsage, ShutdownReport,
    StreamStats, Survivor, TreeUsage,
};
pub use retry::{Attempt, Jitter, RetryOn, RetryPolicy};
pub use status::ExecutionStatus;
pub use stdin::StdinSource;

/// Whether a field need not be written to JSON.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Durations travel in JSON as whole milliseconds.
pub(crate) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(super::whole_millis(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
