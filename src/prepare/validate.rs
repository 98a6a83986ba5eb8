//! Checks that need nothing but the request itself.

use std::path::Path;
use std::time::Duration;

use execution_engine_process::{Containment, Signal};

use crate::admission::{ConcurrencyLimiter, GroupId};
use crate::config::ExecutionConfig;
use crate::error::ValidationError;
use crate::types::{Command, ExecutionOptions, ExecutionRequest, RetryOn, StdinSource, shown_name};

type Checked = Result<(), ValidationError>;

pub(super) fn fields(request: &ExecutionRequest) -> Checked {
    command(&request.command)?;
    for (name, value) in &request.env {
        env_name(name)?;
        no_nul(value, || format!("env {name}"))?;
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

/// The name may be shown, the value never.
pub(crate) fn env_name(name: &str) -> Checked {
    if name.is_empty() || name.contains('=') {
        return Err(ValidationError::EnvName { name: shown_name(name).to_string() });
    }
    no_nul(name, || format!("the name of env {name:?}"))
}

fn command(command: &Command) -> Checked {
    match command {
        Command::Script { path, interpreter } => {
            non_empty_path("path", "name the script", path)?;
            match interpreter {
                Some(name) => word("interpreter", "name a program or use None", name),
                None => Ok(()),
            }
        }
        Command::Exec { program, args } => {
            word("program", "name the program to run", program)?;
            arguments(args)
        }
        Command::Shell { command, shell } => {
            word("command", "give the shell a line to run", command)?;
            word("shell", "name a shell such as /bin/sh", shell)
        }
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

fn arguments(args: &[String]) -> Checked {
    args.iter().enumerate().try_for_each(|(i, arg)| no_nul(arg, || format!("args[{i}]")))
}

fn word(field: &'static str, fix: &'static str, value: &str) -> Checked {
    if value.trim().is_empty() {
        return Err(ValidationError::Empty { field, fix });
    }
    no_nul(value, || field.to_string())
}

fn non_empty_path(field: &'static str, fix: &'static str, path: &Path) -> Checked {
    if path.as_os_str().is_empty() {
        return Err(ValidationError::Empty { field, fix });
    }
    no_nul(&path.to_string_lossy(), || field.to_string())
}

fn no_nul(value: &str, field: impl FnOnce() -> String) -> Checked {
    if value.contains('\0') {
        return Err(ValidationError::NulByte { field: field() });
    }
    Ok(())
}

pub(super) fn options(options: &ExecutionOptions, containment: &Containment) -> Checked {
    signal("stop_signal", options.stop_signal)?;
    signal("final_signal", options.final_signal)?;
    stdin(&options.stdin)?;
    retry(options)?;
    containment.check(&options.limits).map_err(|unavailable| ValidationError::InvalidOption {
        field: "limits",
        reason: format!("{}: {}", unavailable.field, unavailable.reason),
    })
}

fn stdin(source: &StdinSource) -> Checked {
    match source {
        StdinSource::File { path } => non_empty_path("stdin", "name a file or use Null", path),
        StdinSource::Null | StdinSource::Bytes { .. } | StdinSource::Piped => Ok(()),
    }
}

fn retry(options: &ExecutionOptions) -> Checked {
    let Some(retry) = &options.retry else { return Ok(()) };
    let fault = if retry.attempts == 0 {
        "attempts must be at least 1"
    } else if retry.multiplier == 0 {
        "multiplier must be at least 1"
    } else if retry.retry_on.iter().all(|on| *on == RetryOn::ExitCode(0)) {
        "retry_on names no failure, so nothing would ever be tried again; name one or use None"
    } else if options.stdin == StdinSource::Piped {
        "input that is piped cannot be given twice; use bytes or a file"
    } else {
        return Ok(());
    };
    Err(ValidationError::InvalidOption { field: "retry", reason: fault.to_string() })
}

/// A signal must have a number that the system knows.
pub(crate) fn signal(field: &'static str, signal: Option<Signal>) -> Checked {
    match signal.filter(|signal| !signal.is_valid()) {
        None => Ok(()),
        Some(signal) => {
            let reason = format!("there is no signal {}", signal.number());
            Err(ValidationError::InvalidOption { field, reason })
        }
    }
}

/// A group must be one of the engine's.
pub(super) fn group(
    name: Option<&str>,
    permits: &ConcurrencyLimiter,
) -> Result<GroupId, ValidationError> {
    let Some(name) = name else { return Ok(GroupId::NONE) };
    permits.group(name).ok_or_else(|| ValidationError::InvalidOption {
        field: "group",
        reason: format!("there is no group {name:?}; add it with EngineBuilder::group"),
    })
}

/// The timeout in force; None is unlimited.
pub(super) fn timeout(
    asked_ms: Option<u64>,
    config: &ExecutionConfig,
) -> Result<Option<Duration>, ValidationError> {
    let timeout_ms = asked_ms.unwrap_or(config.default_timeout_ms);
    if timeout_ms == 0 {
        return Err(ValidationError::TimeoutZero);
    }
    if timeout_ms > config.max_timeout_ms {
        return Err(ValidationError::TimeoutTooLarge { timeout_ms, max_ms: config.max_timeout_ms });
    }
    Ok((timeout_ms != u64::MAX).then(|| Duration::from_millis(timeout_ms)))
}
