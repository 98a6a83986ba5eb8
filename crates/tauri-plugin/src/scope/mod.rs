//! Scope: rules of capability files and of the [builder](crate::Builder), and the one decision on a
//! request. The decision is pure: it knows no window and no engine, and of the file system only how
//! paths resolve.

mod args;
mod bounds;
mod check;
mod compiled;
mod deny;
mod env;
mod paths;
mod plan;
mod refusal;
mod sidecar;

pub(crate) use check::{AllowedLaunch, LaunchCheck, ScopeRules, check};
pub(crate) use compiled::{CompiledRule, LaunchEntry};
pub(crate) use paths::{RealFileSystem, RulePaths};
pub(crate) use plan::{AllowedPlan, RefusedStep, check_plan};
pub use refusal::{InvalidRule, Refusal};
pub use tauri_plugin_execution_engine_rules::{
    AnyArgs, Arg, ArgPattern, Args, LeftoversRule, LimitsRule, Rule, Times,
};

/// Returns names for a message.
fn quoted_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "nothing".to_string() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
