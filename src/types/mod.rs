//! Public data types: requests, options, endings, results, events and plans. Plain values that read
//! from and write to JSON; they start nothing and know nothing of the engine.
//!
//! One style of JSON holds for all of them: an enum with data is an object with a `type` field, an
//! enum without data is a snake_case string, durations are whole milliseconds in a field that ends
//! in `_ms`, and an unknown field of an input is an error.

mod admission;
mod artifact;
mod command;
mod control;
mod ending;
mod env;
mod env_vars;
mod event;
mod history;
mod json;
mod log_tail;
mod one_line;
mod options;
mod os_text;
mod output;
mod padded;
mod path_pattern;
mod place;
mod plan;
mod record;
mod request;
mod result;
mod retry;
mod status;
mod stdin;
mod summary;
mod tagged;
#[cfg(test)]
mod tests;

pub use admission::Admission;
pub use artifact::{Artifact, ContentDigest, NoDigest};
pub use command::Command;
pub(crate) use command::script_argument;
pub use control::ControlAction;
pub use ending::{Ending, OutputStream, ResourceLimit};
pub use env::{EnvOptions, InheritEnv};
pub use env_vars::EnvVars;
pub use event::ExecutionEvent;
pub use history::{
    HistoryEntry, HistoryOutput, HistoryPage, HistoryPart, HistoryQuery, HistoryStatus, OutputPiece,
};
pub(crate) use json::{is_default, millis, millis_at_least, text_or_numbers, whole_millis};
pub use log_tail::LogTail;
pub(crate) use one_line::OneLine;
pub use options::ExecutionOptions;
pub use os_text::OsText;
pub use output::{OutputCursor, OutputPage, OutputPart, OutputQuery, OutputWindow};
pub(crate) use padded::padded;
pub use path_pattern::path_matches;
pub use place::{Exclusivity, Place, PlaceDurability, Requires};
pub use plan::{
    ExecutionPlan, ExecutionStrategy, FailurePolicy, InputTarget, PlanEnding, PlanExecutionResult,
    PlanOptions, PlanSpec, PlanStats, PlanStep, PlanSummary, SkipReason, StepCondition, StepInput,
    StepOptions, StepRef, StepReport, Trim,
};
pub use record::{ChunkContent, ChunkRecord, EventRecord};
pub(crate) use request::shown_name;
pub use request::{ExecutionMetadata, ExecutionRequest};
pub(crate) use result::RawOutput;
pub use result::{
    CancelReport, ContainmentReceipt, ExecutionResult, ResourceUsage, ShutdownReport, StreamStats,
    Survivor, TreeUsage,
};
pub use retry::{Attempt, Jitter, RetryOn, RetryPolicy};
pub use status::ExecutionStatus;
pub use stdin::StdinSource;
pub use summary::ExecutionSummary;
pub(crate) use tagged::{TaggedForm, json_form, read_tagged, tagged_form};
