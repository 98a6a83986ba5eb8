//! What is remembered: live executions by id, ended ones until retention forgets them.

mod ended;
mod registry;
mod retention;

pub(crate) use ended::{Profile, Record};
pub(crate) use registry::{Entry, Refusal, Registry};
pub(crate) use retention::Retention;
