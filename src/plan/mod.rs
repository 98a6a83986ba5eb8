//! Many commands as one piece of work. What may start when is decided by pure functions; the steps are
//! executions of the engine, whose rules count for them as for all others.

mod book;
mod builder;
mod check;
mod graph;
mod input;
mod live;
mod mermaid;
mod runner;
mod schedule;
mod state;
mod subscription;

pub(crate) use book::{Plans, Removed};
pub use builder::PlanBuilder;
pub(crate) use check::{House, check};
pub(crate) use live::{PlanLive, PlanProfile};
pub(crate) use runner::{Hands, Runner};
pub use subscription::PlanSubscription;
