//! Behaviour of the library, one module per promise.
//!
//! Tests that examine or change their whole process (descriptors, limits, user, working directory,
//! allocator) are binaries of their own, beside this directory.

mod admission;
mod any_order;
mod bad_input;
mod blocking;
mod cancel_all;
mod clean_children;
mod clocks;
mod command_lines;
mod commands;
mod control;
mod control_group;
mod docs;
mod endings;
mod environment;
mod exactness;
mod examples;
mod guide;
mod handle;
mod handlers;
mod hints;
mod history;
mod idle_engine;
mod idle_timeout;
mod ids;
mod inheritance;
mod inherited;
mod json_input;
mod leftovers;
mod limits;
mod links;
mod log_files;
mod login_shell;
mod logs;
mod odd_inputs;
mod order;
mod output;
mod overflow;
mod pages;
mod plans;
mod queue;
mod races;
mod retention;
mod retry;
mod runtimes;
mod scripted;
mod secrets;
mod shebangs;
mod sink;
mod start_failures;
mod stdin;
mod stopping;
mod subscriptions;
mod summaries;
