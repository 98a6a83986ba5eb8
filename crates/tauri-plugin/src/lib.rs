//! Tauri 2 plugin for [`execution_engine`]: windows run commands, follow them live and stop them,
//! as far as their capabilities allow. Everything is denied until a scope allows it.
//!
//! ```no_run
//! tauri::Builder::default()
//!     .plugin(tauri_plugin_execution_engine::init())
//!     # ;
//! # // .run(tauri::generate_context!())
//! ```
//!
//! Rust code of the same app uses the engine through [`ExecutionEngineExt::execution_engine`]. The
//! rules of the scope apply to windows only, and what Rust code starts is hidden from them unless it
//! [gives](ExecutionEngineExt::give_execution) it to one.
//!
//! # Theory of operation
//!
//! A call from a window is checked twice: by Tauri's permission for the command, then by the scope.
//! For commands that start something the scope has [`Rule`]s, those of capability files and of
//! [`Builder::allow`]. For all others it says whose executions they reach: what a window has started
//! is its own, and nothing else exists for it by default. The decision is pure. An allowed
//! request goes to the engine with canonical paths, and its arguments are compared in the form of
//! [`Command::argv`](execution_engine::Command::argv), so what was checked is what runs.
//!
//! A subscription is a task that forwards records from the engine to the window in batches, at most
//! one per 16 ms, and waits while the page has not acknowledged the last four. It ends with the
//! execution, or when the page is left, reloaded or closed. Every record has a sequence number, so
//! the next page can continue after the last record that it knows.
//!
//! A page need not hold the output that it shows: it reads ranges of lines, and searches all of them
//! here. An index per execution remembers where lines begin, and holds no output.
//!
//! When the app ends, all executions are stopped first, each with the grace period of
//! [`Builder::exit_grace`].

#[cfg(test)]
mod bindings;
mod builder;
mod commands;
mod error;
mod frame;
mod history;
mod output;
mod owners;
mod report;
mod request;
mod scope;
mod streaming;
mod visible;

pub use builder::{Builder, ExecutionEngineExt, init};
pub use error::Error;
pub use execution_engine;
#[cfg(feature = "history")]
pub use execution_engine_store::{StoreConfig, StoreHistory};
pub use scope::{
    AnyArgs, Arg, ArgPattern, Args, InvalidRule, LeftoversRule, LimitsRule, Refusal, Rule, Times,
};
