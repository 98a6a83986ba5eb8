//! What is remembered: live executions by id, ended ones until retention forgets them.

mod ended;
mod exact;
mod facts;
mod packed;
mod profile;
mod registry;
mod retention;

pub(crate) use ended::Record;
pub(crate) use facts::Facts;
pub(crate) use profile::{Notes, Profile};
pub(crate) use registry::{Entry, Refusal, Registry};
pub(crate) use retention::Retention;
