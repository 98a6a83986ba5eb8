//! What is remembered: live executions by id, ended ones until retention forgets them.

mod exact;
mod info;
mod outcome;
mod packed;
mod record;
mod registry;
mod retention;

pub(crate) use info::{ExecutionInfo, RequestNotes};
pub(crate) use outcome::Outcome;
pub(crate) use record::Record;
pub(crate) use registry::{AdmissionError, ExecutionEntry, Registry};
pub(crate) use retention::RetentionPolicy;
