//! The engine on both ends of a fleet: a worker runs executions with one, and an engine elsewhere
//! sends its executions to the fleet.

pub(crate) mod backend;
mod begin;
mod files;
pub(crate) mod request;
pub(crate) mod results;
mod runner;

pub use backend::FleetBackend;
pub use runner::{EngineRunner, FENCE_VARIABLE};
