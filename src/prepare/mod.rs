//! First phase of an execution: from a request to a [`Launch`] that can be started.
//!
//! The request is checked, and its program, directory, environment and paths are resolved. Nothing
//! is started and nothing is left behind. Whatever the system says here can change before the
//! program starts, so a failure to start has an error of its own; these checks exist to refuse
//! early, with a message that names the field.

mod environment;
mod paths;
mod program;
mod script;
mod stdin;
mod validate;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use execution_engine_process::command_line::SearchPath;
use execution_engine_process::{Containment, Launch};

use crate::admission::{ConcurrencyLimiter, GroupId};
use crate::config::ExecutionConfig;
use crate::error::ValidationError;
use crate::types::{Command, ExecutionOptions, ExecutionRequest, StdinSource};
pub(crate) use paths::{absolute, absolute_plan, current_dir};
pub(crate) use stdin::open_stdin;
pub(crate) use validate::{env_name, signal};

/// Request that has passed every check, in the form that starting and admitting it need. All paths
/// are absolute.
pub(crate) struct PreparedRequest {
    pub(crate) launch: Launch,
    /// None is unlimited.
    pub(crate) timeout: Option<Duration>,
    pub(crate) group: GroupId,
    pub(crate) stdin: StdinSource,
    pub(crate) output_log: Option<PathBuf>,
}

/// Limits of an engine that a request is checked against.
pub(crate) struct RequestRules<'a> {
    pub(crate) config: &'a ExecutionConfig,
    pub(crate) containment: &'a Containment,
    pub(crate) permits: &'a ConcurrencyLimiter,
}

/// Checks what cannot turn out differently later: everything but files. Returns the timeout, which
/// may be unlimited, and the group.
pub(crate) fn check(
    request: &ExecutionRequest,
    options: &ExecutionOptions,
    rules: &RequestRules<'_>,
) -> Result<(Option<Duration>, GroupId), ValidationError> {
    validate::fields(request)?;
    validate::options(options, rules.containment)?;
    let group = validate::group(options.group.as_deref(), rules.permits)?;
    let timeout = validate::timeout(request.timeout_ms, rules.config)?;
    Ok((timeout, group))
}

/// Checks a request and resolves its program, directory, environment and paths.
pub(crate) fn prepare(
    request: &ExecutionRequest,
    options: &ExecutionOptions,
    rules: &RequestRules<'_>,
) -> Result<PreparedRequest, ValidationError> {
    let (timeout, group) = check(request, options, rules)?;
    stdin::check_stdin(&options.stdin)?;
    let working_dir = request.working_dir.as_deref().map(paths::working_dir).transpose()?;
    let env = environment::child_env(&request.env);
    let search = SearchPath {
        path: environment::value(&env, "PATH"),
        extensions: environment::value(&env, "PATHEXT"),
        base: working_dir.as_deref(),
    };
    let (program, args) = command_line(&request.command, &search)?;
    let mut launch = Launch::new(program);
    launch.args = args;
    launch.env = env;
    launch.working_dir = working_dir;
    launch.limits = options.limits;
    launch.leftovers = options.leftovers;
    launch.output = options.output;
    Ok(PreparedRequest {
        launch,
        timeout,
        group,
        stdin: paths::absolute_source(&options.stdin),
        output_log: request.output_log_path.clone().map(absolute),
    })
}

/// Returns the file to execute and the arguments, the first of which is the name that it sees.
fn command_line(
    command: &Command,
    search: &SearchPath<'_>,
) -> Result<(PathBuf, Vec<OsString>), ValidationError> {
    let field = match command {
        Command::Script { path, interpreter } => {
            return script::command_line(path, interpreter.as_deref(), search);
        }
        Command::Shell { .. } => "shell",
        Command::Exec { .. } | Command::AwsCli { .. } => "program",
    };
    let argv = command.argv();
    let program = program::find_program(search, field, &argv[0])?;
    Ok((program, argv.into_iter().map(OsString::from).collect()))
}
