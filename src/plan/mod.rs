//! Many commands as one piece of work. What may start when is decided by pure functions; the steps are
//! executions of the engine, whose rules count for them as for all others.

mod builder;
mod executor;
mod graph;
mod inputs;
mod mermaid;
mod progress;
mod schedule;
mod subscription;
mod validate;

pub use builder::PlanBuilder;
pub(crate) use executor::{PlanExecutor, StepExecutor};
pub use subscription::PlanSubscription;
pub(crate) use validate::{StepChecker, check};
