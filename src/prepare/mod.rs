//! From a request to something that can be started: checked, resolved, admitted.

mod environment;
mod paths;
mod program;
mod script;
mod stdin;
mod validate;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use execution_engine_process::{Containment, Launch};

use crate::admission::{ConcurrencyLimiter, GroupId};
use crate::config::ExecutionConfig;
use crate::error::ValidationError;
use crate::types::{Command, ExecutionOptions, ExecutionRequest};
pub(crate) use paths::{absolute, absolute_plan, absolute_source, current_dir};
use program::ProgramLookup;
pub(crate) use stdin::of_child as stdin_of_child;
pub(crate) use validate::{env_name, signal};

/// A request that has passed every check, in the form the process room needs.
pub(crate) struct PreparedRequest {
    pub(crate) launch: Launch,
    /// None is unlimited.
    pub(crate) timeout: Option<Duration>,
    pub(crate) group: GroupId,
}

/// What an engine allows.
pub(crate) struct RequestRules<'a> {
    pub(crate) config: &'a ExecutionConfig,
    pub(crate) containment: &'a Containment,
    pub(crate) permits: &'a ConcurrencyLimiter,
}

/// What a request and its options say by themselves, whatever the files of this host say.
pub(crate) struct ValidatedRequest {
    pub(crate) timeout: Option<Duration>,
    pub(crate) group: GroupId,
}

/// The checks that will not turn out differently later.
pub(crate) fn check(
    request: &ExecutionRequest,
    options: &ExecutionOptions,
    rules: &RequestRules<'_>,
) -> Result<ValidatedRequest, ValidationError> {
    validate::fields(request)?;
    validate::options(options, rules.containment)?;
    let group = validate::group(options.group.as_deref(), rules.permits)?;
    let timeout = validate::timeout(request.timeout_ms, rules.config)?;
    Ok(ValidatedRequest { timeout, group })
}

/// Checks a request and resolves its program, directory and environment. Starts and leaves nothing.
pub(crate) fn prepare(
    request: &ExecutionRequest,
    options: &ExecutionOptions,
    rules: &RequestRules<'_>,
) -> Result<PreparedRequest, ValidationError> {
    let ValidatedRequest { timeout, group } = check(request, options, rules)?;
    // Opened when the program starts: one that waits in the queue holds no file.
    stdin::check(&options.stdin)?;
    let working_dir = request.working_dir.as_deref().map(working_dir).transpose()?;
    let env = environment::of_child(&request.env);
    let path = environment::value(&env, "PATH").map(ToOwned::to_owned);
    let lookup = ProgramLookup { path: path.as_deref(), base: working_dir.as_deref() };

    let (program, args) = command_line(&request.command, &lookup)?;
    let mut launch = Launch::new(program);
    launch.args = args;
    launch.env = env;
    launch.working_dir = working_dir;
    launch.limits = options.limits;
    launch.leftovers = options.leftovers;
    launch.output = options.output;
    Ok(PreparedRequest { launch, timeout, group })
}

/// Returns the file to execute and the arguments, the first of which is the name that the program
/// sees.
fn command_line(
    command: &Command,
    lookup: &ProgramLookup<'_>,
) -> Result<(PathBuf, Vec<OsString>), ValidationError> {
    let field = match command {
        Command::Script { path, interpreter } => {
            return script::command_line(path, interpreter.as_deref(), lookup);
        }
        Command::Shell { .. } => "shell",
        Command::Exec { .. } | Command::AwsCli { .. } => "program",
    };
    let argv = command.argv();
    let program = lookup.find(field, &argv[0])?;
    Ok((program, argv.into_iter().map(OsString::from).collect()))
}

/// Checks that the working directory exists and can be entered, and returns it as an absolute path.
fn working_dir(dir: &Path) -> Result<PathBuf, ValidationError> {
    const FIELD: &str = "working_dir";
    // As `absolute`, but for a failure, which is one of the request.
    let path =
        std::path::absolute(dir).map_err(|error| program::inaccessible(FIELD, dir, &error))?;
    match std::fs::metadata(&path) {
        Ok(meta) if !meta.is_dir() => Err(ValidationError::WorkingDirNotADirectory { path }),
        Ok(_) if !program::is_executable(&path) => {
            Err(ValidationError::PermissionDenied { field: FIELD, path })
        }
        Ok(_) => Ok(path),
        Err(error) if program::is_missing(&error) => {
            Err(ValidationError::WorkingDirNotFound { path })
        }
        Err(error) => Err(program::from_io(FIELD, &path, &error)),
    }
}
