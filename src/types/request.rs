//! Requests: what to run, where, with which environment and for how long.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::default_shell;
use super::{Command, OsText, millis_at_least};
use crate::setters::setters;

/// Request to run a command: what, where, with which environment, for how long.
///
/// Made as a literal, read from JSON (only `command` is required there), or built:
///
/// ```
/// use execution_engine::*;
///
/// let request = ExecutionRequest::script("report.py")
///     .interpreter("python3")
///     .env("REPORT_MONTH", "2026-10")
///     .working_dir("/srv/reports")
///     .timeout(Duration::from_secs(60))
///     .tag("nightly");
/// assert_eq!(request.timeout_ms, Some(60_000));
/// ```
///
/// ```
/// use execution_engine::*;
///
/// let request: ExecutionRequest = serde_json::from_str(r#"{
///     "command": {"type": "shell", "command": "make"},
///     "env": {"CI": "1"},
///     "timeout_ms": 60000
/// }"#).unwrap();
/// assert_eq!(request.env["CI"], "1");
/// ```
///
/// Environment variables are text here; others are set with
/// [`ExecutionOptions::env`](crate::ExecutionOptions::env). The `Debug` output shows the names of the
/// variables and none of their values.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionRequest {
    /// Id of the execution, chosen by the caller and unique within the engine.
    #[serde(default = "Uuid::new_v4")]
    pub id: Uuid,
    /// What to run.
    pub command: Command,
    /// Environment variables, added to those of this process.
    #[serde(default)]
    pub env: HashMap<String, String>,
    /// Working directory; None is the one that is current when the request is submitted. A relative
    /// path starts there, too.
    #[serde(default)]
    pub working_dir: Option<PathBuf>,
    /// Timeout in milliseconds from the start of the program; None takes the engine's default, and
    /// [`u64::MAX`] is none at all.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// File that receives both streams, byte for byte, as they arrive. Missing directories are
    /// created; an existing file is appended to. A relative path starts at the directory that is
    /// current when the request is submitted.
    #[serde(default)]
    pub output_log_path: Option<PathBuf>,
    /// Notes of the caller.
    #[serde(default)]
    pub metadata: ExecutionMetadata,
}

/// Notes of the caller on an execution. The engine keeps them with its record and does nothing else
/// with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutionMetadata {
    /// Description for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Named values: a user, a ticket, a branch.
    pub labels: HashMap<String, String>,
}

impl ExecutionMetadata {
    /// Returns a copy to share; `None` if there are no notes.
    pub(crate) fn shared(&self) -> Option<Arc<Self>> {
        (*self != Self::default()).then(|| Arc::new(self.clone()))
    }
}

impl ExecutionRequest {
    /// Creates a request with a new id and nothing but the command.
    pub fn new(command: Command) -> Self {
        Self {
            id: Uuid::new_v4(),
            command,
            env: HashMap::new(),
            working_dir: None,
            timeout_ms: None,
            output_log_path: None,
            metadata: ExecutionMetadata::default(),
        }
    }

    /// Creates a request for a line of the platform's shell (`/bin/sh`, on Windows `cmd`).
    pub fn shell(command: impl Into<String>) -> Self {
        Self::new(Command::Shell { command: command.into(), shell: default_shell() })
    }

    /// Creates a request for a program without arguments; add them with [`arg`](Self::arg) and
    /// [`args`](Self::args). No shell is involved.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let request = ExecutionRequest::program("git").arg("status").args(["--short", "--branch"]);
    /// assert_eq!(request.command.to_string(), "git status --short --branch");
    /// ```
    ///
    /// On Unix the words need not be UTF-8: paths and `OsString`s are passed on as they are.
    pub fn program(name: impl Into<OsText>) -> Self {
        Self::new(Command::program(name.into(), Vec::new()))
    }

    /// Creates a request for a program with its arguments; no shell is involved.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let request = ExecutionRequest::exec("git", ["status", "--short"]);
    /// assert_eq!(request.command.to_string(), "git status --short");
    /// ```
    pub fn exec<A: Into<OsText>>(
        program: impl Into<OsText>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self::program(program).args(args)
    }

    /// Creates a request for a script file; see [`interpreter`](Self::interpreter).
    pub fn script(path: impl Into<PathBuf>) -> Self {
        Self::new(Command::Script { path: path.into(), interpreter: None })
    }

    /// Adds one argument to a program, a script or an AWS operation. A shell line has none and
    /// stays as it is.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let request = ExecutionRequest::script("report.py").interpreter("python3").arg("--all");
    /// assert_eq!(request.command.to_string(), "python3 report.py --all");
    /// ```
    #[must_use]
    pub fn arg(self, arg: impl Into<OsText>) -> Self {
        self.args([arg])
    }

    /// Adds arguments to a program, a script or an AWS operation. A shell line has none and stays as
    /// it is.
    #[must_use]
    pub fn args<A: Into<OsText>>(mut self, more: impl IntoIterator<Item = A>) -> Self {
        self.command.add_args(more.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the program that runs the script; for a shell line, the shell. A program with arguments
    /// becomes an argument of the interpreter. An AWS operation has none and stays as it is.
    #[must_use]
    pub fn interpreter(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        match &mut self.command {
            Command::Script { interpreter, .. } | Command::ScriptWithArgs { interpreter, .. } => {
                *interpreter = Some(name);
            }
            Command::Shell { shell, .. } => *shell = name,
            Command::Exec { program, args } => args.insert(0, std::mem::replace(program, name)),
            Command::ExecOs { program, args } => {
                args.insert(0, std::mem::replace(program, name.into()));
            }
            #[cfg(feature = "aws")]
            Command::AwsCli { .. } => {}
        }
        self
    }

    /// Adds or replaces one environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    setters! {
        /// Replaces the id.
        id(id: Uuid) => id = id;

        /// Sets the working directory.
        working_dir(dir: impl Into<PathBuf>) => working_dir = Some(dir.into());

        /// Sets the timeout, in whole milliseconds rounded up.
        timeout(timeout: Duration) => timeout_ms = Some(millis_at_least(timeout));

        /// Sets the file that receives both streams as they arrive.
        output_log(path: impl Into<PathBuf>) => output_log_path = Some(path.into());

        /// Sets the description for people.
        description(text: impl Into<String>) => metadata.description = Some(text.into());
    }

    /// Adds a word to find it by.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.metadata.tags.push(tag.into());
        self
    }

    /// Adds a named value.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.labels.insert(name.into(), value.into());
        self
    }
}

/// Returns the part of a variable's name that may be shown. In a mistake such as `TOKEN=value`,
/// what follows the sign was meant to be secret.
pub(crate) fn shown_name(name: &str) -> &str {
    name.find('=').map_or(name, |sign| &name[..=sign])
}

impl fmt::Debug for ExecutionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.env.keys().map(|name| shown_name(name)).collect();
        names.sort_unstable();
        f.debug_struct("ExecutionRequest")
            .field("id", &self.id)
            .field("command", &self.command)
            .field("env (names)", &names)
            .field("working_dir", &self.working_dir)
            .field("timeout_ms", &self.timeout_ms)
            .field("output_log_path", &self.output_log_path)
            .field("metadata", &self.metadata)
            .finish()
    }
}
