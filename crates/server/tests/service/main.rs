//! Tests of the service without HTTP, with real keepers and programs.
//!
//! Keepers, and services that are killed, are this binary in a role: see [`support`].

mod control;
mod events;
mod faults;
mod groups;
mod keepers;
mod keys;
mod plans;
mod queue;
mod recovery;
mod run;
mod schedules;
mod secrets;
mod state_dir;
mod store;
mod support;
