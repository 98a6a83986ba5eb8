//! Rules as they are written in capability files. The plugin makes the JSON schema of these types
//! that editors check capability files with.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ExecutionsRule;

/// Entry of a permission of the plugin, for the JSON schema: which kind a permission takes is not
/// known to an editor.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum ScopeEntry {
    /// Of `launch`, its parts, and `scope`: what may be run.
    Launch(Box<Rule>),
    /// Of all others: whose executions may be seen or controlled.
    Executions(ExecutionsRule),
}

/// One thing that may be run, and how.
///
/// Exactly one of `program`, `sidecar`, `scripts` and `shell` is required. Everything else that a
/// request can ask for is refused unless the rule allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name of the rule. Requests can ask for it, and refusals refer to it.
    pub name: String,
    /// A program: a name that is looked up in PATH, or an absolute path. `*` is any program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// A program that is bundled with the app: an entry of `bundle.externalBin` in
    /// `tauri.conf.json`, written as there, for instance `binaries/ffmpeg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<String>,
    /// Arguments of the program, the sidecar, or the script. Without this field it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Args>,
    /// Script files, or directories whose scripts may be run. Paths may start with a variable of
    /// Tauri: `$RESOURCE/scripts`, `$HOME/bin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<PathBuf>,
    /// Interpreters that may run these scripts, each a name that is looked up in PATH, or an absolute
    /// path. `*` is any interpreter. Without this field a request must not name one.
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
    /// Names of environment variables that a request may set or remove. `REPORT_*` matches all
    /// names with this prefix, `*` all names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Whether a request may leave out variables of the app's environment beyond those in `env`: it
    /// may start from an empty one, or from a list of names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clear_env: bool,
    /// Directories that a request may write its output log to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_dirs: Vec<PathBuf>,
    /// Directories with files that a request may use as standard input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stdin_dirs: Vec<PathBuf>,
    /// What a request may do with processes that its program leaves behind.
    #[serde(default, skip_serializing_if = "LeftoversRule::is_stop")]
    pub leftovers: LeftoversRule,
    /// Longest timeout in milliseconds that a request may ask for. One that asks for none gets at
    /// most this one, and so "no timeout" is refused. Without this field the engine's
    /// `max_timeout_ms` applies alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_timeout_ms: Option<u64>,
    /// Longest time in milliseconds for each of the times by which a request can outlast its
    /// timeout: the grace of a stop, the wait for leftovers, and the delay before a retry. Without
    /// this field 60 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait_ms: Option<u64>,
    /// Most attempts that a request may ask for, the first included. Without this field 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Highest priority in the queue that a request may ask for. Without this field 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_priority: Option<i32>,
    /// Groups of the engine that a request may join. Without this field none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Lowest nice value that a request may ask for. Without this field 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_nice: Option<i32>,
    /// Mode bits, in octal, that each umask of a request must have: with `"022"` a request may ask for
    /// `022` and `077`, not for `0`. Without this field `"077"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<String>,
    /// Resource limits of the program. A request may lower them, and gets them if it asks for none.
    #[serde(default, skip_serializing_if = "LimitsRule::is_empty")]
    pub limits: LimitsRule,
}

/// Resource limits that a rule sets. A request may ask for less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsRule {
    /// CPU time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<u64>,
    /// Bytes of address space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_space_bytes: Option<u64>,
    /// Descriptors that a process may have open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Bytes of a file that a process may write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size_bytes: Option<u64>,
    /// Processes that the user may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Bytes of a core file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_bytes: Option<u64>,
    /// Bytes of memory of the whole tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree_memory_bytes: Option<u64>,
    /// Processes and threads of the whole tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree_processes: Option<u64>,
}

impl LimitsRule {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
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
#[serde(
    untagged,
    expecting = "must be \"any\", or a list of texts and of { \"regex\": .., \"times\": .., \"option\": .. }"
)]
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
    /// The expression. It must match the whole argument. It matches ASCII alone; with `(?u)` at its
    /// beginning it knows all of Unicode.
    pub regex: String,
    /// Number of arguments that it applies to.
    #[serde(default)]
    pub times: Times,
    /// Whether it may match an argument that begins with `-`, which most programs take for an
    /// option. After an entry `"--"` of the list all patterns may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub option: bool,
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
