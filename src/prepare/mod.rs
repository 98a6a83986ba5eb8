//! First phase of an execution: from a request to a [`Launch`] that can be started.
//!
//! The request is checked, and its program, directory, environment and paths are resolved. Nothing
//! is started and nothing is left behind. Whatever the system says here can change before the
//! program starts, so a failure to start has an error of its own; these checks exist to refuse
//! early, with a message that names the field.

mod environment;
mod links;
mod not_found;
mod paths;
mod program;
mod script;
mod stdin;
mod validate;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use execution_engine_process::command_line::SearchPath;
use execution_engine_process::{Containment, Launch};

use crate::admission::{ConcurrencyLimiter, GroupId};
use crate::config::ExecutionConfig;
use crate::error::ValidationError;
use crate::types::{Command, EnvVars, ExecutionOptions, ExecutionRequest, OsText, StdinSource};
pub(crate) use links::{check_script, spawn_failed};
pub(crate) use paths::{absolute, absolute_plan, current_dir};
use program::ProgramLookup;
pub(crate) use stdin::open_stdin;
pub(crate) use validate::{env_name, history_limit, nothing_passed, path_below, signal};

/// Request that has passed every check, in the form that starting and admitting it need. All paths
/// are absolute.
pub(crate) struct PreparedRequest {
    pub(crate) launch: Launch,
    /// None is unlimited.
    pub(crate) timeout: Option<Duration>,
    pub(crate) group: GroupId,
    pub(crate) stdin: StdinSource,
    /// Script whose path is checked again before each start; None where links are followed.
    pub(crate) script: Option<Box<Path>>,
    pub(crate) output_log: Option<PathBuf>,
}

/// Limits of an engine that a request is checked against.
pub(crate) struct RequestRules<'a> {
    pub(crate) config: &'a ExecutionConfig,
    pub(crate) containment: &'a Containment,
    pub(crate) permits: &'a ConcurrencyLimiter,
    /// What programs inherit in place of the environment of this process.
    pub(crate) base_env: Option<&'a EnvVars>,
    /// Programs are played, so neither they nor their directories need exist.
    pub(crate) is_scripted: bool,
}

/// Checks what cannot turn out differently later: everything but files. Returns the timeout, which
/// may be unlimited, and the group.
pub(crate) fn check(
    request: &ExecutionRequest,
    options: &ExecutionOptions,
    rules: &RequestRules<'_>,
) -> Result<(Option<Duration>, GroupId), ValidationError> {
    check_alone(request, options)?;
    validate::needs_no_backend(options)?;
    validate::limits(options, rules.containment)?;
    let group = validate::group(options.group.as_deref(), rules.permits)?;
    let timeout = validate::timeout(request.timeout_ms, rules.config)?;
    Ok((timeout, group))
}

/// Checks a request for another place as far as this engine can: what no place decides, that nothing
/// of this process is asked for, and the longest timeout.
pub(crate) fn check_elsewhere(
    request: &ExecutionRequest,
    options: &ExecutionOptions,
    config: &ExecutionConfig,
) -> Result<(), ValidationError> {
    check_alone(request, options)?;
    validate::nothing_of_this_process(options)?;
    validate::timeout(request.timeout_ms, config).map(drop)
}

/// Checks what no engine and no host decides.
pub(crate) fn check_alone(
    request: &ExecutionRequest,
    options: &ExecutionOptions,
) -> Result<(), ValidationError> {
    validate::fields(request)?;
    validate::options(options)?;
    validate::unread_output(request, options)?;
    #[cfg(not(feature = "logs"))]
    validate::no_logs(request)?;
    match request.timeout_ms {
        Some(0) => Err(ValidationError::TimeoutZero),
        _ => Ok(()),
    }
}

/// Checks a request and resolves its program, directory, environment and paths.
pub(crate) fn prepare(
    request: &ExecutionRequest,
    options: &ExecutionOptions,
    rules: &RequestRules<'_>,
) -> Result<PreparedRequest, ValidationError> {
    let (timeout, group) = check(request, options, rules)?;
    stdin::check_stdin(&options.stdin, options.links)?;
    let working_dir = match &request.working_dir {
        Some(dir) if rules.is_scripted => Some(absolute(dir.clone())),
        dir => dir.as_deref().map(|dir| paths::working_dir(dir, options.links)).transpose()?,
    };
    let env =
        environment::child_env(rules.base_env, &request.env, &options.env, working_dir.as_deref());
    let search = SearchPath {
        path: environment::value(&env, "PATH"),
        extensions: environment::value(&env, "PATHEXT"),
        base: working_dir.as_deref(),
    };
    let sets_path = environment::is_set_by(&request.env, &options.env, "PATH".as_ref());
    let lookup = ProgramLookup { search, sets_path };
    let mut script = None;
    let (program, args) = if rules.is_scripted {
        let argv = request.command.argv_os();
        (PathBuf::from(&argv[0]), argv)
    } else {
        script = links::judged_script(&request.command, working_dir.as_deref(), options.links)?;
        command_line(&request.command, &lookup)?
    };
    let mut launch = Launch::new(program);
    launch.args = args;
    launch.env = env;
    launch.working_dir = working_dir;
    launch.links = options.links;
    launch.limits = options.limits;
    launch.leftovers = options.leftovers;
    launch.output = options.output;
    launch.user = options.user.clone();
    launch.terminal = options.terminal;
    Ok(PreparedRequest {
        launch,
        timeout,
        group,
        stdin: paths::absolute_source(&options.stdin),
        script,
        output_log: request.output_log_path.clone().map(absolute),
    })
}

/// Returns the file to execute and the arguments, the first of which is the name that it sees.
fn command_line(
    command: &Command,
    lookup: &ProgramLookup<'_>,
) -> Result<(PathBuf, Vec<OsString>), ValidationError> {
    let field = match command {
        Command::Script { path, interpreter } => {
            return script::command_line(path, interpreter.as_deref(), lookup);
        }
        Command::ScriptWithArgs { path, interpreter, args } => {
            let (program, mut argv) = script::command_line(path, interpreter.as_deref(), lookup)?;
            argv.extend(args.iter().cloned().map(OsText::into_os_string));
            return Ok((program, argv));
        }
        Command::Shell { .. } => "shell",
        _ => "program",
    };
    let argv = command.argv_os();
    let program = program::find_program(lookup, field, &argv[0])?;
    Ok((program, argv))
}
