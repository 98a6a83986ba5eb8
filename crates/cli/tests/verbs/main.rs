//! The verbs of the service, through the program itself: with a real service and real keepers, each
//! test with a state directory of its own.
#![cfg(target_os = "linux")]

mod at;
mod attach;
mod completions;
mod control;
mod follow;
mod http;
mod input;
mod keys;
mod limits;
mod look;
mod manage;
mod options;
mod pause;
mod pin;
mod proxy;
mod rerun;
mod run_and_wait;
mod serve;
mod start;
mod stop;
mod strangers;
mod support;
