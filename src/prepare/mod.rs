//! From a request to something that can be started: checked, resolved, admitted.

mod environment;
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
use crate::types::{Command, ExecutionOptions, ExecutionRequest, aws_args};
use program::ProgramLookup;
pub(crate) use stdin::{absolute_source, of_child as stdin_of_child};
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

/// The file to execute, and the arguments beginning with the name the program sees.
fn command_line(
    command: &Command,
    lookup: &ProgramLookup<'_>,
) -> Result<(PathBuf, Vec<OsString>), ValidationError> {
    match command {
        Command::Script { path, interpreter } => {
            script::command_line(path, interpreter.as_deref(), lookup)
        }
        Command::Exec { program, args } => {
            Ok((lookup.find("program", program)?, words(program, args.iter().cloned())))
        }
        Command::Shell { command, shell } => {
            let args = [shell_flag(shell).to_string(), as_line(command)];
            Ok((lookup.find("shell", shell)?, words(shell, args)))
        }
        Command::AwsCli { service, operation, args, profile, region } => {
            let args = aws_args(service, operation, args, profile.as_deref(), region.as_deref());
            Ok((lookup.find("program", "aws")?, words("aws", args)))
        }
    }
}

fn words(name: &str, args: impl IntoIterator<Item = String>) -> Vec<OsString> {
    std::iter::once(name.into()).chain(args.into_iter().map(OsString::from)).collect()
}

/// How a shell is told to run one line.
fn shell_flag(shell: &str) -> &'static str {
    // Both separators, because a path such as C:\..\pwsh.exe may name the shell on any system.
    let file = shell.rsplit(['/', '\\']).next().unwrap_or(shell).to_ascii_lowercase();
    match file.strip_suffix(".exe").unwrap_or(&file) {
        "powershell" | "pwsh" => "-Command",
        "cmd" => "/C",
        _ => "-c",
    }
}

/// A line that begins like an option would be taken for one; a blank before it changes nothing else.
fn as_line(command: &str) -> String {
    if command.starts_with(['-', '+']) { format!(" {command}") } else { command.to_string() }
}

/// A path that means the same wherever the host goes until it is used: a program may have to wait its turn,
/// and a log is read when all is over.
pub(crate) fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The directory of this process, for what starts later: nobody says that this process is there by then. None
/// if it cannot be entered by its name.
pub(crate) fn current_dir() -> Option<PathBuf> {
    std::env::current_dir().ok().filter(|dir| program::is_executable(dir))
}

fn working_dir(dir: &Path) -> Result<PathBuf, ValidationError> {
    const FIELD: &str = "working_dir";
    // As `absolute`, but for a failure, which is one of the request.
    let path = std::path::absolute(dir)
        .map_err(|error| program::inaccessible(FIELD, dir, &error.to_string()))?;
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

#[cfg(test)]
mod tests {
    use super::shell_flag;

    #[test]
    fn each_shell_family_has_its_flag() {
        for shell in ["sh", "/bin/bash", "/usr/bin/fish", "zsh"] {
            assert_eq!(shell_flag(shell), "-c", "{shell}");
        }
        for shell in ["pwsh", "/opt/pwsh", r"C:\Program Files\PowerShell\7\PWSH.EXE", "powershell"]
        {
            assert_eq!(shell_flag(shell), "-Command", "{shell}");
        }
        for shell in ["cmd", "cmd.exe", r"C:\Windows\System32\cmd.exe"] {
            assert_eq!(shell_flag(shell), "/C", "{shell}");
        }
    }
}
