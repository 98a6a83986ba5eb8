//! Plans: many commands as one piece of work, from validation to the plan's result. What may start,
//! and when, is decided by pure functions; the steps are executions of the engine like all others.

mod backend;
mod builder;
mod check;
mod executor;
mod graph;
mod inputs;
mod plan_rules;
mod progress;
mod schedule;
mod state;
mod subscription;
mod validate;

pub(crate) use backend::PlanBackend;
pub use builder::PlanBuilder;
pub(crate) use executor::PlanExecutor;
pub use plan_rules::{PlanChange, PlanRules};
pub use subscription::PlanSubscription;
pub(crate) use validate::validate;
