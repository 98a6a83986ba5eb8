//! Rules of `tauri-plugin-execution-engine` as they are written in capability files: [`Rule`] says
//! what may be run, [`ExecutionsRule`] which executions may be seen and controlled.
//!
//! The build script of an app checks its capability files with one line:
//!
//! ```no_run
//! tauri_plugin_execution_engine_rules::check_capabilities("capabilities");
//! ```
//!
//! The crate knows neither a window nor the engine. The plugin reads the same rules with the same
//! code, so what the build accepts is what applies.

mod capabilities;
mod executions;
mod invalid;
mod pattern;
mod rule;
mod validate;

pub use capabilities::{InvalidEntry, check_capabilities, invalid_entries};
pub use executions::{Executions, ExecutionsRule};
pub use invalid::InvalidRule;
pub use pattern::{PatternUse, compile_pattern};
pub use rule::{
    AnyArgs, Arg, ArgPattern, Args, LeftoversRule, LimitsRule, Rule, ScopeEntry, Times,
};

#[cfg(test)]
mod tests;
