//! A Tauri 2 plugin around [`execution_engine`]: a window runs commands, watches them live and ends
//! them, as far as its capabilities allow. Nothing may be run until a scope says so.
//!
//! ```no_run
//! tauri::Builder::default()
//!     .plugin(tauri_plugin_execution_engine::init())
//!     # ;
//! # // .run(tauri::generate_context!())
//! ```
//!
//! Rust code of the same app reaches the engine with [`ExecutionEngineExt::execution_engine`]. The
//! rules of the scope are for windows; Rust code does as it likes.
//!
//! # Theory of operation
//!
//! A call from a window passes Tauri's permission for the command, then the scope: [`Rule`]s from
//! capability files and from [`Builder::allow`]. The decision is pure; what it lets pass goes to
//! the engine with its paths made real, so that what was checked is what runs.
//!
//! A subscription is a task that brings records from the engine to the window in batches, at most
//! one in 16 ms, and waits when the window has not confirmed the last few. It ends with the
//! execution, or when the page is left, loaded anew or closed. Since every record has a sequence
//! number, the next page goes on where the last one was.
//!
//! When the app ends, all executions are ended, each within the grace.

mod builder;
mod commands;
mod delivery;
mod error;
mod request;
mod scope;
#[cfg(test)]
mod types;

pub use builder::{Builder, ExecutionEngineExt, init};
pub use error::Error;
pub use execution_engine;
pub use scope::{Any, Arg, Args, InvalidRule, Leaving, Pattern, Refusal, Rule, Times};
