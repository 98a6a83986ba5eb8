//! What may be run: rules of capability files and of the [builder](crate::Builder), and the one
//! decision about a request. The decision is pure: it knows no window, no engine and, but for
//! resolving paths, no file system.

mod args;
mod check;
mod compiled;
mod plan;
mod refusal;
pub(crate) mod rule;

pub(crate) use check::{Allowed, Ask, Disk, Rules, check};
pub(crate) use compiled::Compiled;
pub(crate) use plan::{AllowedPlan, RefusedStep, check_plan};
pub use refusal::{InvalidRule, Refusal};
pub use rule::{Any, Arg, Args, Leaving, Pattern, Rule, Times};

#[cfg(test)]
mod tests;
