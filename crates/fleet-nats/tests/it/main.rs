//! What a fleet asks of its servers, with real ones.

mod accounts;
mod artifacts;
mod common;
mod engine;
mod faults;
mod large;
mod log;
mod objects;
mod permissions;
mod plan_files;
mod plans;
mod queue;
mod setup;
mod test_fleet;
mod tls;
mod worker_faults;
mod workers;
