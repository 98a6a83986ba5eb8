//! Scope: rules of capability files and of the [builder](crate::Builder), and the one decision on a
//! request. The decision is pure: it knows no window and no engine, and of the file system only how
//! paths resolve.

mod args;
mod check;
mod compiled;
mod paths;
mod plan;
mod refusal;
pub(crate) mod rule;

pub(crate) use check::{AllowedLaunch, LaunchCheck, ScopeRules, check};
pub(crate) use compiled::CompiledRule;
pub(crate) use paths::RealFileSystem;
pub(crate) use plan::{AllowedPlan, RefusedStep, check_plan};
pub use refusal::{InvalidRule, Refusal};
pub use rule::{AnyArgs, Arg, ArgPattern, Args, LeftoversRule, Rule, Times};

#[cfg(test)]
mod tests;
