//! Rules as they are written in capability files. `build.rs` includes this file, too, for the JSON
//! schema that editors check capability files with; so it uses nothing else of the crate.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that may be run, and how.
///
/// Exactly one of `program`, `scripts` and `shell` is required. Everything else that a request can
/// ask for is refused unless the rule allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name of the rule. Requests can ask for it, and refusals refer to it.
    pub name: String,
    /// A program: a name that is looked up in PATH, or an absolute path. `*` is any program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Arguments of the program. Without this field it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Args>,
    /// Script files, or directories whose scripts may be run. Paths may start with a variable of
    /// Tauri: `$RESOURCE/scripts`, `$HOME/bin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<PathBuf>,
    /// Interpreters that may run these scripts. `*` is any interpreter. Without this field a
    /// request must not name one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interpreters: Vec<String>,
    /// A shell that may run any line, for instance `/bin/sh`. `*` is any shell. A request must name
    /// the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Directories that a request may run in, or below. Without this field it runs in the working
    /// directory of the app.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub working_dirs: Vec<PathBuf>,
    /// Names of environment variables that a request may set. `REPORT_*` matches all names with
    /// this prefix, `*` all names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Directories that a request may write its output log to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_dirs: Vec<PathBuf>,
    /// Directories with files that a request may use as standard input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stdin_dirs: Vec<PathBuf>,
    /// What a request may do with processes that its program leaves behind.
    #[serde(default, skip_serializing_if = "LeftoversRule::is_stop")]
    pub leftovers: LeftoversRule,
}

/// What a request may do with processes that its program leaves behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftoversRule {
    /// They are always stopped.
    #[default]
    Stop,
    /// A request may leave them running.
    Leave,
}

impl LeftoversRule {
    fn is_stop(&self) -> bool {
        *self == Self::Stop
    }
}

/// Arguments that a program may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Args {
    /// `"any"`: any arguments.
    Any(AnyArgs),
    /// One entry for each argument, in order.
    List(Vec<Arg>),
}

/// The word `any`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnyArgs {
    /// Any arguments.
    Any,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Arg {
    /// Exactly this text.
    Fixed(String),
    /// A text that matches a regular expression.
    Pattern(ArgPattern),
}

/// Regular expression for one or more arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArgPattern {
    /// The expression. It must match the whole argument.
    pub regex: String,
    /// Number of arguments that it applies to.
    #[serde(default)]
    pub times: Times,
}

/// Number of arguments that a pattern applies to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// One.
    #[default]
    Once,
    /// None or one; only required entries before it.
    Optional,
    /// All remaining arguments, or none; only as the last entry.
    Rest,
}
