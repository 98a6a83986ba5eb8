//! Checks that need nothing but the request, its options and the engine's limits. They are done for
//! all steps of a plan before any of them starts.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use execution_engine_process::{
    Containment, OutputMode, PassedDescriptors, Signal, Terminal, UserIds,
};

use crate::admission::{ConcurrencyLimiter, GroupId};
use crate::config::ExecutionConfig;
use crate::error::{ValidationError, listed};
use crate::types::{
    Artifact, Command, EnvOptions, ExecutionOptions, ExecutionRequest, InheritEnv, RetryOn,
    StdinSource, shown_name,
};

/// Result of a check that returns nothing.
type Check = Result<(), ValidationError>;

/// Checks the fields of a request: nothing required is empty, and nothing contains a NUL byte,
/// which ends a string for the system.
pub(super) fn fields(request: &ExecutionRequest) -> Check {
    command(&request.command)?;
    for (name, value) in &request.env {
        env_variable(name.as_ref(), value.as_ref())?;
    }
    for (field, path) in
        [("working_dir", &request.working_dir), ("output_log_path", &request.output_log_path)]
    {
        if let Some(path) = path {
            non_empty_path(field, "name one or use None", path)?;
        }
    }
    Ok(())
}

/// Checks the name of an environment variable. Errors show the name up to its `=`, and never a
/// value.
pub(crate) fn env_name(name: &OsStr) -> Check {
    if name.is_empty() || name.as_encoded_bytes().contains(&b'=') {
        return Err(ValidationError::EnvName {
            name: shown_name(&name.to_string_lossy()).to_string(),
        });
    }
    no_nul(name, || format!("the name of env {name:?}"))
}

fn env_variable(name: &OsStr, value: &OsStr) -> Check {
    env_name(name)?;
    no_nul(value, || format!("env {}", name.display()))
}

fn env(options: &EnvOptions) -> Check {
    let listed = match &options.inherit {
        InheritEnv::Only { names } => &names[..],
        InheritEnv::All | InheritEnv::Nothing {} => &[],
    };
    listed.iter().chain(&options.remove).try_for_each(|name| env_name(name.as_ref()))?;
    options.set.iter().try_for_each(|(name, value)| env_variable(name.as_ref(), value.as_ref()))
}

fn command(command: &Command) -> Check {
    match command {
        Command::Script { path, interpreter } => script(path, interpreter.as_deref()),
        Command::ScriptWithArgs { path, interpreter, args } => {
            script(path, interpreter.as_deref())?;
            arguments(args)
        }
        Command::Exec { program, args } => {
            word("program", NAME_PROGRAM, program)?;
            arguments(args)
        }
        Command::ExecOs { program, args } => {
            word("program", NAME_PROGRAM, &program.to_string())?;
            arguments(args)
        }
        Command::Shell { command, shell } => {
            word("command", "give the shell a line to run", command)?;
            word("shell", "name a shell such as /bin/sh", shell)
        }
        #[cfg(feature = "aws")]
        Command::AwsCli { service, operation, args, profile, region } => {
            word("service", "name an AWS service such as s3api", service)?;
            word("operation", "name an operation such as list-buckets", operation)?;
            for (field, value) in [("profile", profile), ("region", region)] {
                if let Some(value) = value {
                    word(field, "name one or use None", value)?;
                }
            }
            arguments(args)
        }
    }
}

/// How a request without a program is mended.
const NAME_PROGRAM: &str = "name the program to run";

fn script(path: &Path, interpreter: Option<&str>) -> Check {
    non_empty_path("path", "name the script", path)?;
    match interpreter {
        Some(name) => word("interpreter", "name a program or use None", name),
        None => Ok(()),
    }
}

fn arguments<A: AsRef<OsStr>>(args: &[A]) -> Check {
    args.iter().enumerate().try_for_each(|(i, arg)| no_nul(arg.as_ref(), || format!("args[{i}]")))
}

fn word(field: &'static str, fix: &'static str, value: &str) -> Check {
    if value.trim().is_empty() {
        return Err(ValidationError::Empty { field, fix });
    }
    no_nul(value.as_ref(), || field.to_string())
}

fn non_empty_path(field: &'static str, fix: &'static str, path: &Path) -> Check {
    if path.as_os_str().is_empty() {
        return Err(ValidationError::Empty { field, fix });
    }
    no_nul(path.as_os_str(), || field.to_string())
}

fn no_nul(value: &OsStr, field: impl FnOnce() -> String) -> Check {
    if value.as_encoded_bytes().contains(&0) {
        return Err(ValidationError::NulByte { field: field() });
    }
    Ok(())
}

/// Checks the options of an execution, but for its limits and its group.
pub(super) fn options(options: &ExecutionOptions) -> Check {
    signal("stop_signal", options.stop_signal)?;
    signal("final_signal", options.final_signal)?;
    env(&options.env)?;
    stdin(&options.stdin)?;
    idle_timeout(options.idle_timeout_ms)?;
    user(options.user.as_ref())?;
    placement(options)?;
    retry(options)
}

/// Checks what is asked of the place, whichever that is.
fn placement(options: &ExecutionOptions) -> Check {
    let least = |field, value: bool, fix: &str| match value {
        true => Err(ValidationError::invalid_option(field, format!("must be at least 1; {fix}"))),
        false => Ok(()),
    };
    least("max_attempts", options.max_attempts == Some(0), "use None for one attempt")?;
    least("start_by_ms", options.start_by_ms == Some(0), "use None for no limit")?;
    options.inputs.iter().try_for_each(|input| path_below("inputs", &input.path))?;
    apart(&options.inputs)?;
    options.collect.iter().try_for_each(|pattern| path_below("collect", pattern))?;
    let Some(requires) = &options.requires else { return Ok(()) };
    let names = requires.labels.keys().chain(requires.resources.keys()).chain(&requires.pool);
    if names.into_iter().any(|name| name.trim().is_empty()) {
        let reason = "a pool, a label or a resource has no name; name it or leave it out";
        return Err(ValidationError::invalid_option("requires", reason));
    }
    Ok(())
}

/// Checks that a path, or a pattern of paths, is below the working directory.
pub(crate) fn path_below(field: &'static str, path: &str) -> Check {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    if path.split('/').all(is_plain) && !path.contains('\0') {
        return Ok(());
    }
    let reason = format!(
        "{path:?} is not below the working directory, or not in plain form; use a relative path without \".\", \"..\" \
         and empty parts"
    );
    Err(ValidationError::invalid_option(field, reason))
}

/// Checks that no input is in the place of another one, or of a directory that another one needs.
fn apart(inputs: &[Artifact]) -> Check {
    let refused = |reason| Err(ValidationError::invalid_option("inputs", reason));
    let mut paths = HashSet::new();
    for Artifact { path, .. } in inputs {
        if !paths.insert(path.as_str()) {
            let reason = format!("two files are placed at {path:?}; give one of them another path");
            return refused(reason);
        }
    }
    for Artifact { path, .. } in inputs {
        let mut parents = path.match_indices('/').map(|(end, _)| &path[..end]);
        if let Some(file) = parents.find(|parent| paths.contains(*parent)) {
            let reason = format!(
                "{path:?} is below {file:?}, which is a file; give one of them another path"
            );
            return refused(reason);
        }
    }
    Ok(())
}

/// Refuses what only a backend can do.
pub(super) fn needs_no_backend(options: &ExecutionOptions) -> Check {
    let field = if options.requires.is_some() {
        "requires"
    } else if options.max_attempts.is_some_and(|attempts| attempts > 1) {
        "max_attempts"
    } else if options.start_by_ms.is_some() {
        "start_by_ms"
    } else if !options.inputs.is_empty() {
        "inputs"
    } else if !options.collect.is_empty() {
        "collect"
    } else {
        return Ok(());
    };
    let reason = "this engine runs everything itself; leave it out, or set EngineBuilder::backend";
    Err(ValidationError::invalid_option(field, reason))
}

/// Refuses what is of this process, and cannot be had elsewhere.
pub(super) fn nothing_of_this_process(options: &ExecutionOptions) -> Check {
    let (field, fault) = if options.stdin == StdinSource::Inherit {
        ("stdin", "the standard input of this process; use Null, Bytes or Piped")
    } else if matches!(options.output, OutputMode::Inherit | OutputMode::InheritStderr) {
        ("output", "the streams of this process; use Separate or Merged")
    } else if options.terminal != Terminal::None {
        ("terminal", "the terminal of this process; leave it out")
    } else {
        return Ok(());
    };
    let reason = format!("the program runs elsewhere, and cannot have {fault}");
    Err(ValidationError::invalid_option(field, reason))
}

/// Refuses descriptors for a program that runs elsewhere.
pub(crate) fn nothing_passed(passed: &PassedDescriptors) -> Check {
    if passed.is_empty() {
        return Ok(());
    }
    let reason =
        "the program runs elsewhere, and cannot have descriptors of this process; pass none";
    Err(ValidationError::invalid_option("passed", reason))
}

/// Checks that this host can enforce the limits of an execution.
pub(super) fn limits(options: &ExecutionOptions, containment: &Containment) -> Check {
    containment.check(&options.limits).map_err(|unavailable| ValidationError::InvalidOption {
        field: "limits",
        reason: format!("{}: {}", unavailable.field, unavailable.reason),
    })
}

fn stdin(source: &StdinSource) -> Check {
    match source {
        StdinSource::File { path } => non_empty_path("stdin", "name a file or use Null", path),
        StdinSource::Null
        | StdinSource::Bytes { .. }
        | StdinSource::Piped
        | StdinSource::Inherit => Ok(()),
    }
}

fn idle_timeout(idle_timeout_ms: Option<u64>) -> Check {
    if idle_timeout_ms != Some(0) {
        return Ok(());
    }
    let reason = "must be at least 1; use None for no limit".to_string();
    Err(ValidationError::InvalidOption { field: "idle_timeout_ms", reason })
}

fn user(user: Option<&UserIds>) -> Check {
    match user.filter(|user| !user.are_ids()) {
        None => Ok(()),
        Some(_) => {
            let reason = "there is no user and no group 4294967295".to_string();
            Err(ValidationError::InvalidOption { field: "user", reason })
        }
    }
}

/// Checks that nothing is asked for that needs output which is not read.
pub(super) fn unread_output(request: &ExecutionRequest, options: &ExecutionOptions) -> Check {
    let fault = match options.output {
        OutputMode::Inherit if request.output_log_path.is_some() => {
            "both streams are those of this process, so output_log_path would stay empty"
        }
        OutputMode::Inherit if options.idle_timeout_ms.is_some() => {
            "both streams are those of this process, so idle_timeout_ms would run out in any case"
        }
        _ => return Ok(()),
    };
    let reason = format!("{fault}; leave one of the two out");
    Err(ValidationError::InvalidOption { field: "output", reason })
}

/// Refuses a log, which a build without them could not write.
#[cfg(not(feature = "logs"))]
pub(super) fn no_logs(request: &ExecutionRequest) -> Check {
    if request.output_log_path.is_none() {
        return Ok(());
    }
    Err(ValidationError::InvalidOption {
        field: "output_log_path",
        reason: "this build has no logs; enable the feature `logs` of execution-engine".to_string(),
    })
}

fn retry(options: &ExecutionOptions) -> Check {
    let Some(retry) = &options.retry else { return Ok(()) };
    let fault = if retry.attempts == 0 {
        "attempts must be at least 1"
    } else if retry.multiplier == 0 {
        "multiplier must be at least 1"
    } else if retry.retry_on.iter().all(|on| *on == RetryOn::ExitCode(0)) {
        "retry_on names no failure, so there would never be another attempt; name one or use None"
    } else if options.stdin == StdinSource::Piped {
        "piped input cannot be given twice; use bytes or a file"
    } else {
        return Ok(());
    };
    Err(ValidationError::InvalidOption { field: "retry", reason: fault.to_string() })
}

/// Checks the limit of a page of the history.
pub(crate) fn history_limit(limit: usize) -> Check {
    if (1..=1000).contains(&limit) {
        return Ok(());
    }
    let reason = format!("{limit} is not 1 to 1,000");
    Err(ValidationError::InvalidOption { field: "limit", reason })
}

/// Checks that the system has a signal of this number.
pub(crate) fn signal(field: &'static str, signal: Option<Signal>) -> Check {
    match signal.filter(|signal| !signal.is_valid()) {
        None => Ok(()),
        Some(signal) => {
            let reason = format!("there is no signal {}; use 1 to 64", signal.number());
            Err(ValidationError::InvalidOption { field, reason })
        }
    }
}

/// Finds the group of an execution among those of the engine.
pub(super) fn group(
    name: Option<&str>,
    permits: &ConcurrencyLimiter,
) -> Result<GroupId, ValidationError> {
    let Some(name) = name else { return Ok(GroupId::NONE) };
    permits.group(name).ok_or_else(|| {
        let others = listed("groups", permits.group_names());
        let others = others.unwrap_or_else(|| "this engine has no groups".to_string());
        let reason =
            format!("there is no group {name:?}, {others}; add it with EngineBuilder::group");
        ValidationError::InvalidOption { field: "group", reason }
    })
}

/// Returns the timeout that applies; None is unlimited.
pub(super) fn timeout(
    requested_ms: Option<u64>,
    config: &ExecutionConfig,
) -> Result<Option<Duration>, ValidationError> {
    let timeout_ms = requested_ms.unwrap_or(config.default_timeout_ms);
    if timeout_ms == 0 {
        return Err(ValidationError::TimeoutZero);
    }
    if timeout_ms > config.max_timeout_ms {
        return Err(ValidationError::TimeoutTooLarge { timeout_ms, max_ms: config.max_timeout_ms });
    }
    Ok((timeout_ms != u64::MAX).then(|| Duration::from_millis(timeout_ms)))
}
