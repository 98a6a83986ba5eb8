//! What can be wrong with a request, a plan or a configuration.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::hints::unexpanded_hint;
use super::{IoError, PlanError};
use crate::types::OneLine;

/// Reason why a request or a configuration is invalid. Nothing has been started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValidationError {
    /// A required field is empty or blank.
    #[error("{field} is empty; {fix}")]
    #[non_exhaustive]
    Empty {
        /// The field of the request.
        field: &'static str,
        /// What belongs there.
        fix: &'static str,
    },
    /// A field contains a NUL byte, which cannot be passed to a program.
    #[error("{} contains a NUL byte; remove it (programs cannot receive one)", OneLine(.field))]
    NulByte {
        /// The field of the request; for an argument or a variable, with its number or name.
        field: String,
    },
    /// The name of an environment variable is empty or contains `=`.
    #[error("env has the name {name:?}; a name must not be empty and must not contain '='")]
    EnvName {
        /// The name, up to its `=`.
        name: String,
    },
    /// The script does not exist.
    #[error(
        "script {} does not exist; check the path (a relative one starts at working_dir){hint}",
        OneLine(.path.display()), hint = unexpanded_hint(path)
    )]
    ScriptNotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The script is a directory or a special file.
    #[error(
        "script {} is a directory or a special file; name the script file itself",
        OneLine(.path.display())
    )]
    ScriptNotAFile {
        /// The path.
        path: PathBuf,
    },
    /// No interpreter was named, and the script is neither executable nor starts with `#!`.
    #[error(
        "script {} is not executable and has no #! line; name an interpreter, add a #! line or make it executable",
        OneLine(.path.display())
    )]
    ScriptNotRunnable {
        /// The path.
        path: PathBuf,
    },
    /// The working directory does not exist.
    #[error(
        "working_dir {} does not exist; create it or check the path{hint}",
        OneLine(.path.display()), hint = unexpanded_hint(path)
    )]
    WorkingDirNotFound {
        /// The path.
        path: PathBuf,
    },
    /// The working directory is not a directory.
    #[error("working_dir {} is not a directory; check the path", OneLine(.path.display()))]
    WorkingDirNotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The program is not in the PATH of the child, or not where its path says.
    #[error("{field} {program:?} was not found {}", OneLine(.hint))]
    #[non_exhaustive]
    ProgramNotFound {
        /// The field that names it.
        field: &'static str,
        /// The name as given.
        program: String,
        /// Where it was looked for, and what to do.
        hint: String,
    },
    /// A file or directory exists, but this user may not run, read or enter it.
    #[error(
        "{field}: no permission for {}; check its mode and owner, and those of the directories above it",
        OneLine(.path.display())
    )]
    PermissionDenied {
        /// The field that names it.
        field: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A file exists, but the system would not execute it: it is no program, its file system is
    /// mounted with `noexec`, or something is wrong with its `#!` line, by which a script is run
    /// that is not executable.
    #[error("{field}: {} cannot be run: {source}", OneLine(.path.display()))]
    #[non_exhaustive]
    NotRunnable {
        /// The field that names it.
        field: &'static str,
        /// The path.
        path: PathBuf,
        /// What is wrong, in words, and the kind of error that the system has for it.
        source: IoError,
    },
    /// A path could not be examined.
    #[error(
        "{field}: {} cannot be used: {source}; check the path and its permissions{hint}",
        OneLine(.path.display()),
        hint = if source.kind == ErrorKind::NotFound { unexpanded_hint(path) } else { String::new() }
    )]
    #[non_exhaustive]
    Inaccessible {
        /// The field that names it.
        field: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: IoError,
    },
    /// A part of a path is a symbolic link, or a link of `/proc`, and the execution follows none
    /// ([`Links::Refuse`](crate::Links::Refuse)).
    #[error(
        "{field}: {} leads through the link {}, and this execution follows none (links: refuse); give the path without links; if it was given so, a program has put the link there since",
        OneLine(.path.display()), OneLine(.link.display())
    )]
    #[non_exhaustive]
    Link {
        /// The field that names it.
        field: &'static str,
        /// The path.
        path: PathBuf,
        /// The first part of it that is a link.
        link: PathBuf,
    },
    /// A timeout of 0 would end the execution before it starts.
    #[error("timeout_ms is 0; use at least 1, or None for the default")]
    TimeoutZero,
    /// The timeout is above the configured maximum.
    #[error(
        "timeout_ms is {timeout_ms}, the maximum is {max_ms}; lower it or raise max_timeout_ms"
    )]
    TimeoutTooLarge {
        /// Timeout of the request, in milliseconds.
        timeout_ms: u64,
        /// Maximum of the engine, in milliseconds.
        max_ms: u64,
    },
    /// A value of the configuration is invalid.
    #[error("config: {field} {}", OneLine(.reason))]
    #[non_exhaustive]
    InvalidConfig {
        /// The field.
        field: &'static str,
        /// What is wrong, and the fix.
        reason: String,
    },
    /// A plan breaks a rule.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A value of the options is invalid, or this host cannot enforce it.
    #[error("options: {field}: {}", OneLine(.reason))]
    #[non_exhaustive]
    InvalidOption {
        /// The field.
        field: &'static str,
        /// What is wrong, and the fix.
        reason: String,
    },
}

impl ValidationError {
    /// Returns a stable name for logs, metrics and front ends, in snake_case.
    pub fn error_code(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "empty_field",
            Self::NulByte { .. } => "nul_byte",
            Self::EnvName { .. } => "env_name",
            Self::ScriptNotFound { .. } => "script_not_found",
            Self::ScriptNotAFile { .. } => "script_not_a_file",
            Self::ScriptNotRunnable { .. } => "script_not_runnable",
            Self::WorkingDirNotFound { .. } => "working_dir_not_found",
            Self::WorkingDirNotADirectory { .. } => "working_dir_not_a_directory",
            Self::ProgramNotFound { .. } => "program_not_found",
            Self::PermissionDenied { .. } => "permission_denied",
            // An interpreter that is missing has the code of a program that is missing.
            Self::NotRunnable { source, .. } => match source.kind {
                ErrorKind::NotFound | ErrorKind::NotADirectory => "program_not_found",
                ErrorKind::PermissionDenied => "permission_denied",
                _ => "script_not_runnable",
            },
            Self::Inaccessible { .. } => "inaccessible",
            Self::Link { .. } => "link_refused",
            Self::TimeoutZero => "timeout_zero",
            Self::TimeoutTooLarge { .. } => "timeout_too_large",
            Self::InvalidConfig { .. } => "invalid_config",
            Self::Plan(error) => error.error_code(),
            Self::InvalidOption { .. } => "invalid_option",
        }
    }
}
