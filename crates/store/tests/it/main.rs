//! The store, with real files, real threads and processes that are killed.

mod accept;
mod crash;
mod full;
mod history;
mod list;
mod load;
mod output;
mod progress;
mod released;
mod retention;
mod secrets;
mod support;
