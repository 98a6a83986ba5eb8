//! Many commands as one piece of work. What may start when is decided by pure functions; one task
//! drives each plan through the engine, whose rules count for its steps as for all executions.

mod book;
mod builder;
mod check;
mod graph;
mod input;
mod live;
mod mermaid;
mod runner;
mod schedule;
mod subscription;

pub(crate) use book::{Plans, Removed};
pub use builder::PlanBuilder;
pub(crate) use check::{House, check};
pub(crate) use live::{PlanLive, PlanProfile};
pub(crate) use runner::{Hands, Runner};
pub use subscription::PlanSubscription;
