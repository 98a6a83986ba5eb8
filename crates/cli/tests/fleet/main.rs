//! The command line of the fleet, with NATS servers on loopback.

mod attach;
mod large;
mod plan_files;
mod plans;
mod setup;
mod support;
mod verbs;
mod worker;
