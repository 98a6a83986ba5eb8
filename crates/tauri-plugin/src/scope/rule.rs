//! A rule as it is written in a capability file. The build script reads this file too, for the
//! JSON schema that editors check capability files with.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that may be run, and how.
///
/// Exactly one of `program`, `scripts` and `shell` says what. Whatever else a request can ask for
/// is refused unless the rule allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The name of the rule. Requests can ask for it, refusals speak of it.
    pub name: String,
    /// A program: a name that is looked up in PATH, or an absolute path. `*` is any program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The arguments of the program. Without this field it gets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Args>,
    /// Script files, or directories whose scripts may be run. They may start with a variable of
    /// Tauri's: `$RESOURCE/scripts`, `$HOME/bin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<PathBuf>,
    /// The interpreters that may run these scripts. `*` is any; without this field the scripts
    /// are run by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interpreters: Vec<String>,
    /// A shell, `/bin/sh` for instance, that may run any line. `*` is any shell. A request must
    /// ask for this rule by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Directories in which, or below which, it may run. Without this field it runs where the app
    /// does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub working_dirs: Vec<PathBuf>,
    /// Names of environment variables that a request may set. `REPORT_*` is all that begin so,
    /// `*` is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Directories in which a request may have its output logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_dirs: Vec<PathBuf>,
    /// Directories with files that a request may use as standard input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stdin_dirs: Vec<PathBuf>,
    /// What a request may do with processes that its program leaves behind.
    #[serde(default, skip_serializing_if = "Leaving::is_stop")]
    pub leftovers: Leaving,
}

/// Whether processes may be left running when their program has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    /// They are always stopped.
    #[default]
    Stop,
    /// A request may ask to leave them alive.
    Leave,
}

impl Leaving {
    fn is_stop(&self) -> bool {
        *self == Self::Stop
    }
}

/// Which arguments a program may get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Args {
    /// `"any"`: whatever the request says.
    Any(Any),
    /// One entry for each argument, in order.
    Each(Vec<Arg>),
}

/// The word `any`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Any {
    /// Whatever the request says.
    Any,
}

/// What one argument may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Arg {
    /// Exactly this text.
    Fixed(String),
    /// A text that a regular expression matches.
    Pattern(Pattern),
}

/// A regular expression for an argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// It must match the whole argument.
    pub regex: String,
    /// Whether it stands for one argument, or for all that are left.
    #[serde(default)]
    pub times: Times,
}

/// For how many arguments a pattern stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// For one.
    #[default]
    Once,
    /// For none or one; allowed at the end of the list.
    Optional,
    /// For all that are left, or none; allowed as the last of the list.
    Rest,
}
