//! Plans: many commands as one piece of work, from validation to the plan's result. What may start,
//! and when, is decided by pure functions; the steps are executions of the engine like all others.

mod backend;
mod builder;
mod executor;
mod graph;
mod inputs;
mod progress;
mod schedule;
mod subscription;
mod validate;

pub(crate) use backend::PlanBackend;
pub use builder::PlanBuilder;
pub(crate) use executor::PlanExecutor;
pub use subscription::PlanSubscription;
pub(crate) use validate::validate;
