//! The store, with real files, real threads and processes that are killed.

mod accept;
mod crash;
mod full;
mod groups;
mod history;
mod import;
mod list;
mod load;
mod output;
mod plans;
mod progress;
mod released;
mod retention;
mod schedules;
mod secrets;
mod support;
mod tokens;
