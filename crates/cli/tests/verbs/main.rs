//! The verbs of the service, through the program itself: with a real service and real keepers, each
//! test with a state directory of its own.
#![cfg(target_os = "linux")]

mod archives;
mod at;
mod attach;
mod completions;
mod control;
mod docs;
mod export;
mod follow;
mod gc;
mod groups;
mod http;
mod input;
mod keys;
mod limits;
mod look;
mod manage;
mod many;
mod network;
mod options;
mod pause;
mod pin;
mod plans;
mod proxy;
mod rerun;
mod run_and_wait;
mod schedule;
mod serve;
mod start;
mod stop;
mod strangers;
mod support;
mod tmux;
mod tokens;
