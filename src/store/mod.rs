//! What the engine remembers: executions and plans by id, ended ones until retention forgets them.
//!
//! A [`Record`] is a plain structure, so asking for a status decodes nothing. The texts of a result
//! are made in `outcome`, when a result is asked for.

mod entries;
mod info;
mod outcome;
mod plan;
mod record;
mod registry;
mod retention;
#[cfg(test)]
mod tests;

pub(crate) use entries::{ActiveEntries, ExecutionEntry, Origin};
pub(crate) use info::{ExecutionInfo, Progress, RequestNotes};
pub(crate) use outcome::Outcome;
pub(crate) use plan::{ActivePlan, CancelPlan, PlanInfo, StepRecord};
pub(crate) use record::Record;
pub(crate) use registry::Registry;
pub(crate) use retention::RetentionPolicy;
