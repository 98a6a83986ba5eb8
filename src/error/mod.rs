//! Errors of the engine. Messages name the thing and the fix, and contain no value of a request's
//! environment.

mod backend;
mod ending;
mod hints;
mod io;
mod json;
mod plan;
mod program;
#[cfg(test)]
mod tests;
mod validation;

use std::path::PathBuf;

use uuid::Uuid;

use crate::types::{ExecutionStatus, OneLine, OutputStream, ResourceLimit, SkipReason};

pub(crate) use hints::{listed, unexpanded};
pub use io::IoError;
pub use plan::PlanError;
pub use program::ProgramFault;
pub use validation::ValidationError;

/// `Result` with the engine's error as default, so that both `Result<T>` and `Result<T, E>` read
/// as usual beside a glob import of this crate.
pub type Result<T, E = ExecutionError> = std::result::Result<T, E>;

/// Reason why a call to the engine failed, or, through
/// [`ExecutionResult::into_result`](crate::ExecutionResult::into_result), why an execution was not
/// a success.
///
/// A program that handles errors needs only the group: [`is_rejection`](Self::is_rejection) (the
/// request was refused, nothing was started), [`is_lookup`](Self::is_lookup) (there is no such id)
/// or [`is_ending`](Self::is_ending) (how an execution ended).
///
/// Variants that carry a text or a system's error may get more fields, so match them with `..`. The
/// others say all there is to say and can be compared with `==`.
///
/// ```
/// use execution_engine::*;
///
/// let error = ExecutionError::ConcurrencyLimitReached(8);
/// assert!(error.is_rejection() && error.is_retryable());
/// assert_eq!(error.error_code(), "concurrency_limit_reached");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutionError {
    /// The request or the configuration is invalid; nothing was started.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// The configured number of executions is running (the number is the limit); nothing was
    /// started.
    #[error("the limit of {0} concurrent executions is reached; try again when one has ended")]
    ConcurrencyLimitReached(usize),
    /// The configured number of executions of a group is running; nothing was started.
    #[error(
        "the limit of {limit} concurrent executions of group {group:?} is reached; try again when one has ended"
    )]
    GroupLimitReached {
        /// The group.
        group: String,
        /// Its limit.
        limit: usize,
    },
    /// The queue is full (the number is its limit); nothing was started.
    #[error("the queue is full ({0} executions are waiting); try again when one has started")]
    QueueFull(usize),
    /// This process has too few descriptors left for another execution; nothing was started.
    #[error(
        "the limit of open files leaves no room for another execution: {in_use} of {limit} are in use or about to be; raise it (ulimit -n), or try again when an execution has ended"
    )]
    OpenFileLimitReached {
        /// Descriptors of this process that are open, or will be in a moment.
        in_use: u64,
        /// The limit of open files of this process.
        limit: u64,
    },
    /// The system has no room for a thread that the engine needs; nothing was started.
    #[error(
        "a thread of the engine could not be started: {source}; raise the limit of processes (ulimit -u, pids.max) or of open files (ulimit -n), whichever the system names, or try again when some have ended"
    )]
    #[non_exhaustive]
    NoThreads {
        /// The system's error.
        source: IoError,
    },
    /// The id of the request is already in use; nothing was started.
    #[error("id {0} is already in use; give each request its own id (Uuid::new_v4())")]
    DuplicateId(Uuid),
    /// No execution has this id, or retention has removed it.
    #[error("no execution has the id {0}; it was never started here, or retention has removed it")]
    NotFound(Uuid),
    /// The id of a plan was given to a method for executions. Its code is that of
    /// [`NotFound`](Self::NotFound).
    #[error(
        "no execution has the id {0}, it is the id of a plan; use a method for plans, such as wait_for_plan, get_plan_status, cancel_plan or subscribe_plan"
    )]
    IdOfPlan(Uuid),
    /// The execution or the plan has ended, or its ending is decided, so there is nothing left to
    /// cancel.
    #[error("{id} has already ended ({status}); nothing was changed")]
    AlreadyEnded {
        /// The execution or the plan.
        id: Uuid,
        /// How it ended.
        status: ExecutionStatus,
    },
    /// The execution or the plan is still running, and the call needs it to have ended.
    #[error("{0} is still running; cancel it or wait for it first")]
    StillRunning(Uuid),
    /// The execution has no log: neither `log_dir` nor `output_log_path` was set.
    #[error("execution {0} has no log; set log_dir or the request's output_log_path")]
    NoLog(Uuid),
    /// A log could not be opened or read.
    #[error("log {} cannot be opened or read: {source}", OneLine(.path.display()))]
    #[non_exhaustive]
    Log {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: IoError,
    },
    /// The execution has no standard input to write to.
    #[error("execution {0} has no piped stdin; start it with StdinSource::Piped")]
    StdinNotPiped(Uuid),
    /// The standard input of the execution is closed.
    #[error("the stdin of execution {0} is closed; nothing more can be written")]
    StdinClosed(Uuid),
    /// The reader given to [`pipe_stdin`](crate::ExecutionEngine::pipe_stdin) failed.
    #[error(
        "the input for execution {id} could not be read ({written} bytes were written): {source}"
    )]
    #[non_exhaustive]
    StdinSource {
        /// The execution.
        id: Uuid,
        /// Bytes that the program's pipe had taken before.
        written: u64,
        /// The reader's error.
        source: IoError,
    },
    /// There is no overflow file, or it was already taken.
    #[error("execution {id} has no overflow file for {stream}; see oversized_output_strategy")]
    NoOverflow {
        /// The execution.
        id: Uuid,
        /// The stream.
        stream: OutputStream,
    },
    /// An overflow file could not be moved; it is still where it was.
    #[error(
        "the overflow file could not be moved to {}: {source}; choose a path that does not exist yet",
        OneLine(.path.display())
    )]
    #[non_exhaustive]
    Overflow {
        /// Where it was to go.
        path: PathBuf,
        /// The system's error.
        source: IoError,
    },
    /// The program could not be started although the request was valid.
    #[error("the program could not be started: {}", OneLine(.reason))]
    #[non_exhaustive]
    SpawnFailed {
        /// What failed, and what to do about it.
        reason: String,
        /// Error number of the system, if there is one.
        os_error: Option<i32>,
    },
    /// The program exited with a code other than 0.
    #[error("the program ended with exit code {0}")]
    ExitCode(i32),
    /// The program was killed by a signal that the engine did not send to stop it.
    #[error("the program was killed by {}", execution_engine_process::signal_name(*.0))]
    Signaled(i32),
    /// The execution reached its timeout (milliseconds).
    #[error("timed out after {0} ms")]
    TimedOut(u64),
    /// The execution wrote nothing for its idle timeout (milliseconds).
    #[error("stopped after {0} ms without output")]
    IdleTimedOut(u64),
    /// The execution was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A stream exceeded the limit (bytes) under
    /// [`FailExecution`](crate::OversizedOutputStrategy::FailExecution).
    #[error(
        "the output exceeded the limit of {0} bytes; raise max_output_size_bytes or choose another oversized_output_strategy"
    )]
    OutputSizeExceeded(usize),
    /// Output could not be read or stored, so the execution was stopped rather than lose it
    /// silently.
    #[error("the output on {stream} could not be stored: {}", OneLine(.reason))]
    #[non_exhaustive]
    OutputLost {
        /// The stream.
        stream: OutputStream,
        /// The system's error.
        reason: String,
    },
    /// The program exited, but other code in this process collected its exit status.
    #[error(
        "other code in this process took the exit status; do not ignore SIGCHLD or wait for any child"
    )]
    StatusUnknown,
    /// The execution reached one of its [limits](crate::ExecutionOptions::limits).
    #[error("the program reached its limit of {0}; raise it in ExecutionOptions::limits")]
    ResourceLimit(ResourceLimit),
    /// No plan has this id, or retention has removed it.
    #[error("no plan has the id {0}; it was never accepted here, or retention has removed it")]
    PlanNotFound(Uuid),
    /// The id of an execution was given to a method for plans. Its code is that of
    /// [`PlanNotFound`](Self::PlanNotFound).
    #[error(
        "no plan has the id {0}, it is the id of an execution; use a method for executions, such as wait_for_completion, get_status, cancel or subscribe"
    )]
    IdOfExecution(Uuid),
    /// The program was never started.
    #[error("it never ran: {0}")]
    NotRun(SkipReason),
    /// The engine is shutting down or was dropped: it starts nothing new and stops what runs.
    #[error("the engine is shutting down; create a new one")]
    ShuttingDown,
    /// A signal, a pause or a resume could not be carried out; the execution continues.
    #[error("execution {id} cannot be controlled: {}", OneLine(.reason))]
    #[non_exhaustive]
    Control {
        /// The execution.
        id: Uuid,
        /// What prevents it.
        reason: String,
    },
    /// A [blocking](crate::blocking) call was made on a thread that runs executions; it did nothing.
    #[error(
        "this thread runs executions, so it cannot wait for one; call it on a thread of your own"
    )]
    OnEngineThread,
    /// This process is a fork of the one that made the engine; nothing was done. Engines live on
    /// threads, which a fork does not have.
    #[error(
        "this process is a fork of the one that made the engine; make an engine after the fork"
    )]
    ForkedHost,
    /// The engine itself failed: it lost track of a program.
    #[error("the engine failed: {}", OneLine(.0))]
    Engine(String),
    /// The host of the execution died, so it is not known how the program ended.
    #[error("the host of the execution died: {}; run it again if that is safe", OneLine(.reason))]
    #[non_exhaustive]
    Lost {
        /// What became of the host.
        reason: String,
    },
    /// The worker that ran the program was lost, and no other attempt follows.
    #[error(
        "worker {} was lost, after {attempts} attempts; run it again if that is safe, or allow more with max_attempts",
        OneLine(.worker)
    )]
    WorkerLost {
        /// Name of the worker that was lost last.
        worker: String,
        /// How many attempts were made.
        attempts: u32,
    },
    /// It is not known how the program ended, or whether it has.
    #[error(
        "it is not known how the program ended: {}; look at what it has done before you run it again",
        OneLine(.reason)
    )]
    #[non_exhaustive]
    EndingUnknown {
        /// Why it is not known.
        reason: String,
    },
    /// The answer of the [backend](crate::Backend) to a request was lost, so it is not known whether
    /// the request was accepted. Asking by the id tells, and so does the same request again, which
    /// runs nothing twice.
    #[error(
        "it is not known whether execution {id} was accepted: {}; ask for its status, or submit the same request again under this id",
        OneLine(.reason)
    )]
    #[non_exhaustive]
    OutcomeUnknown {
        /// The execution.
        id: Uuid,
        /// What became of the answer.
        reason: String,
    },
    /// The [backend](crate::Backend) failed, or cannot be reached at the moment.
    #[error("the backend of the engine failed: {}; try again", OneLine(.reason))]
    #[non_exhaustive]
    Backend {
        /// What failed.
        reason: String,
    },
    /// The engine was shut down or dropped while the execution ran elsewhere, where it goes on.
    #[error(
        "the engine was closed while execution {0} runs elsewhere, where it goes on; ask an engine with the same backend"
    )]
    Detached(Uuid),
    /// The engine has no backend.
    #[error("the engine has no backend; set one with EngineBuilder::backend")]
    NoBackend,
    /// The engine has no history.
    #[error("the engine has no history; set one with EngineBuilder::history")]
    NoHistory,
    /// The history could not be read or changed.
    #[error("the history cannot be used: {source}")]
    #[non_exhaustive]
    History {
        /// Its error.
        source: IoError,
    },
    /// The process-wide engine exists already, so it can no longer be configured.
    #[error("the global engine is already in use; call init_global before the first global()")]
    GlobalAlreadyInitialised,
}

impl ExecutionError {
    pub(crate) fn no_threads(error: std::io::Error) -> Self {
        Self::NoThreads { source: error.into() }
    }

    pub(crate) fn history(error: std::io::Error) -> Self {
        Self::History { source: error.into() }
    }

    /// Returns the number of the system's error behind this one, if there is one that an ending has.
    pub(crate) fn os_error(&self) -> Option<i32> {
        match self {
            Self::Log { source, .. } | Self::NoThreads { source } => source.os_error,
            _ => None,
        }
    }

    /// Returns `true` if a log could not be opened for lack of descriptors.
    pub(crate) fn is_open_file_limit(&self) -> bool {
        let Self::Log { source, .. } = self else { return false };
        source.os_error.is_some_and(execution_engine_process::is_open_file_limit)
    }

    /// Returns `true` if the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ConcurrencyLimitReached(_)
            | Self::GroupLimitReached { .. }
            | Self::QueueFull(_)
            | Self::OpenFileLimitReached { .. }
            | Self::StillRunning(_)
            | Self::OutcomeUnknown { .. }
            | Self::Backend { .. }
            | Self::TimedOut(_)
            | Self::IdleTimedOut(_) => true,
            Self::SpawnFailed { os_error, .. }
            | Self::NoThreads { source: IoError { os_error, .. } } => {
                os_error.is_some_and(execution_engine_process::is_transient_os_error)
            }
            _ => false,
        }
    }

    /// Returns `true` for an error by which the engine refuses a request or a plan. From
    /// [`execute`](crate::ExecutionEngine::execute) and its siblings it means that nothing was
    /// started and nothing is left behind.
    ///
    /// [`ShuttingDown`](Self::ShuttingDown) refuses requests and ends executions, so it is in both
    /// groups.
    pub fn is_rejection(&self) -> bool {
        matches!(
            self,
            Self::Validation(_)
                | Self::ConcurrencyLimitReached(_)
                | Self::GroupLimitReached { .. }
                | Self::QueueFull(_)
                | Self::OpenFileLimitReached { .. }
                | Self::NoThreads { .. }
                | Self::DuplicateId(_)
                | Self::Log { .. }
                | Self::OnEngineThread
                | Self::ForkedHost
                | Self::ShuttingDown
        )
    }

    /// Returns `true` if no execution or no plan has the id that was asked for.
    pub fn is_lookup(&self) -> bool {
        matches!(
            self,
            Self::NotFound(_) | Self::IdOfPlan(_) | Self::PlanNotFound(_) | Self::IdOfExecution(_)
        )
    }

    /// Returns `true` for an error that [`Ending::error`](crate::Ending::error) returns: it says
    /// how an execution ended.
    pub fn is_ending(&self) -> bool {
        matches!(
            self,
            Self::SpawnFailed { .. }
                | Self::ExitCode(_)
                | Self::Signaled(_)
                | Self::TimedOut(_)
                | Self::IdleTimedOut(_)
                | Self::Cancelled
                | Self::OutputSizeExceeded(_)
                | Self::OutputLost { .. }
                | Self::StatusUnknown
                | Self::ResourceLimit(_)
                | Self::NotRun(_)
                | Self::ShuttingDown
                | Self::Engine(_)
                | Self::Lost { .. }
                | Self::WorkerLost { .. }
                | Self::EndingUnknown { .. }
        )
    }

    /// Returns a stable name for logs, metrics and front ends, in snake_case.
    pub fn error_code(&self) -> &'static str {
        match self {
            Self::Validation(error) => error.error_code(),
            Self::ConcurrencyLimitReached(_) => "concurrency_limit_reached",
            Self::GroupLimitReached { .. } => "group_limit_reached",
            Self::QueueFull(_) => "queue_full",
            Self::OpenFileLimitReached { .. } => "open_file_limit_reached",
            Self::NoThreads { .. } => "no_threads",
            Self::DuplicateId(_) => "duplicate_id",
            Self::NotFound(_) | Self::IdOfPlan(_) => "not_found",
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
            Self::IdleTimedOut(_) => "idle_timed_out",
            Self::Cancelled => "cancelled",
            Self::OutputSizeExceeded(_) => "output_size_exceeded",
            Self::OutputLost { .. } => "output_lost",
            Self::StatusUnknown => "status_unknown",
            Self::ResourceLimit(_) => "resource_limit",
            Self::PlanNotFound(_) | Self::IdOfExecution(_) => "plan_not_found",
            Self::NotRun(_) => "not_run",
            Self::ShuttingDown => "shutting_down",
            Self::Control { .. } => "control_failed",
            Self::OnEngineThread => "on_engine_thread",
            Self::ForkedHost => "forked_host",
            Self::Engine(_) => "engine_failed",
            Self::Lost { .. } => "lost",
            Self::WorkerLost { .. } => "worker_lost",
            Self::EndingUnknown { .. } => "ending_unknown",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Backend { .. } => "backend_failed",
            Self::Detached(_) => "detached",
            Self::NoBackend => "no_backend",
            Self::NoHistory => "no_history",
            Self::History { .. } => "history_failed",
            Self::GlobalAlreadyInitialised => "global_already_initialised",
        }
    }
}

impl From<PlanError> for ExecutionError {
    fn from(error: PlanError) -> Self {
        Self::Validation(error.into())
    }
}
