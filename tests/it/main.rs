//! Behaviour of the library, one module per promise.
//!
//! Tests that examine or change their whole process (descriptors, limits, user, working directory,
//! allocator) are binaries of their own, beside this directory.

mod admission;
mod any_order;
mod bad_input;
mod clean_children;
mod commands;
mod control;
mod docs;
mod endings;
mod exactness;
mod guide;
mod handle;
mod handlers;
mod ids;
mod limits;
mod logs;
mod odd_inputs;
mod output;
mod overflow;
mod plans;
mod queue;
mod races;
mod retention;
mod retry;
mod runtimes;
mod secrets;
mod stdin;
mod stopping;
mod subscriptions;
