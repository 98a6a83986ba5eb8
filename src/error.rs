//! Every error the engine gives out. Messages name the field and the fix, and hold no value of a
//! request's environment.

use std::path::PathBuf;

use uuid::Uuid;

use crate::types::{ExecutionStatus, OutputStream, PlanError, ResourceLimit, SkipReason};

/// `Result` with the engine's error as default, so that both `Result<T>` and `Result<T, E>` read
/// as usual beside a glob import of this crate.
pub type Result<T, E = ExecutionError> = std::result::Result<T, E>;

/// Why a call to the engine failed, or, through
/// [`ExecutionResult::into_result`](crate::ExecutionResult::into_result), why an execution was not
/// a success.
///
/// ```
/// use execution_engine::*;
///
/// let error = ExecutionError::ConcurrencyLimitReached(8);
/// assert!(error.is_retryable());
/// assert_eq!(error.error_code(), "concurrency_limit_reached");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutionError {
    /// The request or the configuration is invalid; nothing was started.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// As many executions as configured are alive (the number is the limit); nothing was started.
    #[error("{0} executions are running, which is the limit; try again when one has ended")]
    ConcurrencyLimitReached(usize),
    /// As many executions of this group as the engine allows are alive; nothing was started.
    #[error(
        "{limit} executions of group {group:?} are running, which is its limit; try again when one has ended"
    )]
    GroupLimitReached {
        /// The group.
        group: String,
        /// Its limit.
        limit: usize,
    },
    /// As many executions wait as may (the number is the limit); nothing was started.
    #[error("{0} executions are waiting, which is the limit; try again when one has started")]
    QueueFull(usize),
    /// The id of the request is known already; nothing was started.
    #[error("id {0} is already in use; give each request an id of its own (Uuid::new_v4())")]
    DuplicateId(Uuid),
    /// No execution has this id, or it has been forgotten by retention.
    #[error("no execution with id {0}; it was never started here, or retention has removed it")]
    NotFound(Uuid),
    /// The execution or the plan has ended, or its ending is decided, so there is nothing left to cancel.
    #[error("{id} has already ended ({status}); nothing was changed")]
    AlreadyEnded {
        /// The execution or the plan.
        id: Uuid,
        /// How it ended.
        status: ExecutionStatus,
    },
    /// The execution or the plan runs, and what was asked needs it to have ended.
    #[error("{0} is still running; cancel it or wait for it first")]
    StillRunning(Uuid),
    /// No log was asked for: neither `log_dir` nor `output_log_path` was set.
    #[error("execution {0} has no log; set log_dir or the request's output_log_path")]
    NoLog(Uuid),
    /// A log could not be opened or read.
    #[error("log {path}: {reason}", path = .path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The execution does not read what is written to it.
    #[error("execution {0} has no stdin to write to; start it with StdinSource::Piped")]
    StdinNotPiped(Uuid),
    /// Its standard input was closed before.
    #[error("the stdin of execution {0} is closed; nothing more can be written")]
    StdinClosed(Uuid),
    /// What was to be passed on to a program could not be read.
    #[error("the input for execution {id} could not be read: {reason}")]
    StdinSource {
        /// The execution.
        id: Uuid,
        /// What the reader said.
        reason: String,
    },
    /// There is no overflow file, or it was taken before.
    #[error("execution {id} has no overflow file for {stream}; see oversized_output_strategy")]
    NoOverflow {
        /// The execution.
        id: Uuid,
        /// The stream.
        stream: OutputStream,
    },
    /// An overflow file could not be moved.
    #[error("the overflow file could not be moved to {path}: {reason}", path = .path.display())]
    Overflow {
        /// Where it was to go.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The program could not be started although the request was valid.
    #[error("the program could not be started: {reason}")]
    SpawnFailed {
        /// What failed, and what to do about it.
        reason: String,
        /// The system's error number, where there is one.
        os_error: Option<i32>,
    },
    /// The program ended with an exit code other than 0.
    #[error("the program ended with exit code {0}")]
    ExitCode(i32),
    /// The program was ended by a signal, and not because the engine was stopping it.
    #[error("the program was ended by {}", execution_engine_process::signal_name(*.0))]
    Signaled(i32),
    /// The execution ran into its timeout (milliseconds).
    #[error("timed out after {0} ms")]
    TimedOut(u64),
    /// The execution was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A stream exceeded the limit (bytes) under
    /// [`FailExecution`](crate::OversizedOutputStrategy::FailExecution).
    #[error(
        "the output exceeded the limit of {0} bytes; raise max_output_size_bytes or choose another oversized_output_strategy"
    )]
    OutputSizeExceeded(usize),
    /// Output could not be read or kept, so the execution was stopped rather than lose it quietly.
    #[error("output on {stream} could not be kept: {reason}")]
    OutputLost {
        /// The stream.
        stream: OutputStream,
        /// What the system said.
        reason: String,
    },
    /// The program ended, but somebody else in this process collected its exit status.
    #[error(
        "the exit status was taken by other code in this process (SIGCHLD ignored, or a wait for any child)"
    )]
    StatusUnknown,
    /// The execution reached a limit of its options.
    #[error("the program reached its limit of {0}; raise it in ExecutionOptions::limits")]
    ResourceLimit(ResourceLimit),
    /// No plan has this id, or it has been forgotten by retention.
    #[error("no plan with id {0}; it was never accepted here, or retention has removed it")]
    PlanNotFound(Uuid),
    /// The command of a plan never ran.
    #[error("it never ran: {0}")]
    NotRun(SkipReason),
    /// The engine is shutting down or was dropped; nothing new is started, what ran was stopped.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// A signal, a pause or a resume could not be carried out; the execution goes on.
    #[error("execution {id} could not be controlled: {reason}")]
    Control {
        /// The execution.
        id: Uuid,
        /// What the system said.
        reason: String,
    },
    /// The engine itself could not go on: its threads could not be started, or it is closing.
    #[error("the engine cannot run this: {0}")]
    Engine(String),
    /// The process-wide engine exists already, so it cannot be configured any more.
    #[error("the global engine is already in use; call init_global before the first global()")]
    GlobalAlreadyInitialised,
}

/// What is wrong with a request or a configuration. Nothing has been started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValidationError {
    /// A field that must hold something is empty or blank.
    #[error("{field} is empty; {fix}")]
    Empty {
        /// The field of the request.
        field: &'static str,
        /// What belongs there.
        fix: &'static str,
    },
    /// A field holds a NUL byte, which no program can be given.
    #[error("{field} contains a NUL byte; remove it (programs cannot receive one)")]
    NulByte {
        /// The field of the request; for an argument or a variable, with its number or name.
        field: String,
    },
    /// The name of an environment variable is empty or has `=` in it.
    #[error("env has the name {name:?}; a name must not be empty and must not contain '='")]
    EnvName {
        /// The name.
        name: String,
    },
    /// The script does not exist.
    #[error("script {path} does not exist (relative paths start at the working directory)", path = .path.display())]
    ScriptNotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The script is a directory or another thing that is not a file.
    #[error("script {path} is not a file", path = .path.display())]
    ScriptNotAFile {
        /// The path.
        path: PathBuf,
    },
    /// No interpreter was named, and the script is neither executable nor starts with `#!`.
    #[error("script {path} is not executable and has no #! line; name an interpreter, add a #! line or make it executable", path = .path.display())]
    ScriptNotRunnable {
        /// The path.
        path: PathBuf,
    },
    /// The working directory does not exist.
    #[error("working_dir {path} does not exist", path = .path.display())]
    WorkingDirNotFound {
        /// The path.
        path: PathBuf,
    },
    /// The working directory is not a directory.
    #[error("working_dir {path} is not a directory", path = .path.display())]
    WorkingDirNotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The program is not in the PATH that the child would have, or not where its path says.
    #[error("{field}: {program:?} was not found {place}", place = place(program))]
    ProgramNotFound {
        /// The field that names it.
        field: &'static str,
        /// The name as given.
        program: String,
    },
    /// A file exists, but this user may not run, read or enter it.
    #[error("{field}: no permission for {path}; check its mode and owner", path = .path.display())]
    PermissionDenied {
        /// The field that names it.
        field: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A path could not be examined.
    #[error("{field}: {path}: {reason}", path = .path.display())]
    Inaccessible {
        /// The field that names it.
        field: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A timeout of 0 would end everything before it began.
    #[error("timeout_ms is 0; use at least 1, or None for the default")]
    TimeoutZero,
    /// The timeout is above the configured maximum.
    #[error(
        "timeout_ms is {timeout_ms}, the maximum is {max_ms}; lower it or raise max_timeout_ms"
    )]
    TimeoutTooLarge {
        /// What the request asked for, in milliseconds.
        timeout_ms: u64,
        /// The engine's maximum, in milliseconds.
        max_ms: u64,
    },
    /// A value of the configuration makes no sense.
    #[error("config: {field}: {reason}")]
    InvalidConfig {
        /// The field.
        field: &'static str,
        /// What is wrong, and the fix.
        reason: String,
    },
    /// A plan breaks a rule.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A value of the options makes no sense, or this host cannot enforce it.
    #[error("options: {field}: {reason}")]
    InvalidOption {
        /// The field.
        field: &'static str,
        /// What is wrong, and the fix.
        reason: String,
    },
}

fn place(program: &str) -> &'static str {
    if program.contains('/') {
        "at that path (relative paths start at the working directory)"
    } else {
        "in the PATH of the child; install it, give its full path, or set PATH in env"
    }
}

impl ExecutionError {
    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ConcurrencyLimitReached(_)
            | Self::GroupLimitReached { .. }
            | Self::QueueFull(_)
            | Self::StillRunning(_)
            | Self::TimedOut(_) => true,
            Self::SpawnFailed { os_error, .. } => os_error.is_some_and(is_transient_errno),
            _ => false,
        }
    }

    /// A stable name for logs, metrics and front ends, in snake_case.
    pub fn error_code(&self) -> &'static str {
        match self {
            Self::Validation(error) => error.error_code(),
            Self::ConcurrencyLimitReached(_) => "concurrency_limit_reached",
            Self::GroupLimitReached { .. } => "group_limit_reached",
            Self::QueueFull(_) => "queue_full",
            Self::DuplicateId(_) => "duplicate_id",
            Self::NotFound(_) => "not_found",
            Self::AlreadyEnded { .. } => "already_ended",
            Self::StillRunning(_) => "still_running",
            Self::NoLog(_) => "no_log",
            Self::StdinNotPiped(_) => "stdin_not_piped",
            Self::StdinClosed(_) => "stdin_closed",
            Self::StdinSource { .. } => "stdin_source",
            Self::NoOverflow { .. } => "no_overflow",
            Self::Overflow { .. } => "overflow_failed",
            Self::Log { .. } => "log_failed",
            Self::SpawnFailed { .. } => "spawn_failed",
            Self::ExitCode(_) => "exit_code",
            Self::Signaled(_) => "signaled",
            Self::TimedOut(_) => "timed_out",
            Self::Cancelled => "cancelled",
            Self::OutputSizeExceeded(_) => "output_size_exceeded",
            Self::OutputLost { .. } => "output_lost",
            Self::StatusUnknown => "status_unknown",
            Self::ResourceLimit(_) => "resource_limit",
            Self::PlanNotFound(_) => "plan_not_found",
            Self::NotRun(_) => "not_run",
            Self::ShuttingDown => "shutting_down",
            Self::Control { .. } => "control_failed",
            Self::Engine(_) => "engine_failed",
            Self::GlobalAlreadyInitialised => "global_already_initialised",
        }
    }
}

impl ValidationError {
    /// A stable name for logs, metrics and front ends, in snake_case.
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
            Self::Inaccessible { .. } => "inaccessible",
            Self::TimeoutZero => "timeout_zero",
            Self::TimeoutTooLarge { .. } => "timeout_too_large",
            Self::InvalidConfig { .. } => "invalid_config",
            Self::Plan(error) => error.error_code(),
            Self::InvalidOption { .. } => "invalid_option",
        }
    }
}

fn is_transient_errno(errno: i32) -> bool {
    use rustix::io::Errno;
    [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TXTBSY]
        .iter()
        .any(|transient| transient.raw_os_error() == errno)
}

impl From<PlanError> for ExecutionError {
    fn from(error: PlanError) -> Self {
        Self::Validation(error.into())
    }
}
