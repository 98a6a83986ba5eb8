//! JSON form of errors, for what is not written in Rust: HTTP clients, windows of apps, logs.

use std::borrow::Cow;
use std::path::Path;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{ExecutionError, IoError, PlanError, ValidationError};
use crate::types::{ExecutionStatus, OutputStream, PlanStep, ResourceLimit, SkipReason};

/// JSON form of an error; `error_code` and the message come first.
#[derive(Serialize)]
struct ErrorJson<'a> {
    code: &'static str,
    message: String,
    retryable: bool,
    #[serde(flatten)]
    details: Details<'a>,
}

macro_rules! details {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// What an error is about. What does not apply is left out.
        #[derive(Default, Serialize)]
        struct Details<'a> {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] $field: Option<$type>,)*
        }
    };
}

details! {
    /// Field of the request, the options, the plan or the configuration.
    field: &'a str,
    /// Step of the plan.
    step: &'a PlanStep,
    program: &'a str,
    path: Cow<'a, str>,
    /// The execution or the plan.
    id: Uuid,
    status: ExecutionStatus,
    group: &'a str,
    limit: u64,
    exit_code: i32,
    signal: i32,
    timeout_ms: u64,
    stream: OutputStream,
    resource: ResourceLimit,
    reason: &'a SkipReason,
    /// Number of the system's error.
    os_error: i32,
}

impl Serialize for ExecutionError {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (code, retryable) = (self.error_code(), self.is_retryable());
        let details = of_execution(self);
        ErrorJson { code, message: self.to_string(), retryable, details }.serialize(to)
    }
}

impl Serialize for ValidationError {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (code, details) = (self.error_code(), of_validation(self));
        ErrorJson { code, message: self.to_string(), retryable: false, details }.serialize(to)
    }
}

impl Serialize for PlanError {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (code, details) = (self.error_code(), of_plan(self));
        ErrorJson { code, message: self.to_string(), retryable: false, details }.serialize(to)
    }
}

/// The code is `io_error`, and `kind` the category in snake_case.
impl Serialize for IoError {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct IoErrorJson {
            code: &'static str,
            message: String,
            kind: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            os_error: Option<i32>,
        }
        let mut kind = String::new();
        for c in format!("{:?}", self.kind).chars() {
            if c.is_ascii_uppercase() && !kind.is_empty() {
                kind.push('_');
            }
            kind.push(c.to_ascii_lowercase());
        }
        let (message, os_error) = (self.to_string(), self.os_error);
        IoErrorJson { code: "io_error", message, kind, os_error }.serialize(to)
    }
}

fn of_execution(error: &ExecutionError) -> Details<'_> {
    use ExecutionError as E;
    let none = Details::default();
    match error {
        E::Validation(error) => of_validation(error),
        E::ConcurrencyLimitReached(limit) | E::QueueFull(limit) | E::OutputSizeExceeded(limit) => {
            Details { limit: Some(number(*limit)), ..none }
        }
        E::GroupLimitReached { group, limit } => {
            Details { group: Some(group), limit: Some(number(*limit)), ..none }
        }
        E::OpenFileLimitReached { limit, .. } => Details { limit: Some(*limit), ..none },
        E::DuplicateId(id)
        | E::NotFound(id)
        | E::IdOfPlan(id)
        | E::PlanNotFound(id)
        | E::IdOfExecution(id)
        | E::StillRunning(id)
        | E::NoLog(id)
        | E::StdinNotPiped(id)
        | E::StdinClosed(id)
        | E::OutcomeUnknown { id, .. }
        | E::Detached(id)
        | E::Control { id, .. } => Details { id: Some(*id), ..none },
        E::AlreadyEnded { id, status } => Details { id: Some(*id), status: Some(*status), ..none },
        E::NoOverflow { id, stream } => Details { id: Some(*id), stream: Some(*stream), ..none },
        E::NoThreads { source } | E::History { source } => of_io(source),
        E::StdinSource { id, source, .. } => Details { id: Some(*id), ..of_io(source) },
        E::Log { path, source } | E::Overflow { path, source } => {
            Details { path: Some(text(path)), ..of_io(source) }
        }
        E::SpawnFailed { os_error, .. } => Details { os_error: *os_error, ..none },
        E::ExitCode(code) => Details { exit_code: Some(*code), ..none },
        E::Signaled(signal) => Details { signal: Some(*signal), ..none },
        E::TimedOut(ms) | E::IdleTimedOut(ms) => Details { timeout_ms: Some(*ms), ..none },
        E::OutputLost { stream, .. } => Details { stream: Some(*stream), ..none },
        E::ResourceLimit(resource) => Details { resource: Some(*resource), ..none },
        E::NotRun(reason) => Details { reason: Some(reason), ..none },
        E::Cancelled
        | E::StatusUnknown
        | E::ShuttingDown
        | E::OnEngineThread
        | E::ForkedHost
        | E::Engine(_)
        | E::Lost { .. }
        | E::WorkerLost { .. }
        | E::EndingUnknown { .. }
        | E::Backend { .. }
        | E::NoBackend
        | E::NoHistory
        | E::GlobalAlreadyInitialised => none,
    }
}

fn of_io(error: &IoError) -> Details<'_> {
    Details { os_error: error.os_error, ..Details::default() }
}

fn of_validation(error: &ValidationError) -> Details<'_> {
    use ValidationError as E;
    let none = Details::default();
    let at = |field: &'static str, path| Details {
        field: Some(field),
        path: Some(text(path)),
        ..Details::default()
    };
    match error {
        E::NulByte { field } => Details { field: Some(field), ..none },
        E::Empty { field, .. }
        | E::InvalidConfig { field, .. }
        | E::InvalidOption { field, .. } => Details { field: Some(field), ..none },
        E::EnvName { .. } => Details { field: Some("env"), ..none },
        E::ScriptNotFound { path } | E::ScriptNotAFile { path } | E::ScriptNotRunnable { path } => {
            at("path", path)
        }
        E::WorkingDirNotFound { path } | E::WorkingDirNotADirectory { path } => {
            at("working_dir", path)
        }
        E::ProgramNotFound { field, program, .. } => {
            Details { field: Some(field), program: Some(program), ..none }
        }
        E::PermissionDenied { field, path } | E::Link { field, path, .. } => at(field, path),
        E::NotRunnable { field, path, source } | E::Inaccessible { field, path, source } => {
            Details { os_error: source.os_error, ..at(field, path) }
        }
        E::TimeoutZero => Details { field: Some("timeout_ms"), ..none },
        E::TimeoutTooLarge { max_ms, .. } => {
            Details { field: Some("timeout_ms"), limit: Some(*max_ms), ..none }
        }
        E::Plan(error) => of_plan(error),
    }
}

fn of_plan(error: &PlanError) -> Details<'_> {
    use PlanError as E;
    let none = Details::default();
    match error {
        E::InvalidStep { step, error } => Details { step: Some(step), ..of_validation(error) },
        E::UnknownStep { step, .. }
        | E::SelfDependency { step }
        | E::IdOfPlan { step }
        | E::InvalidInput { step, .. }
        | E::InvalidCondition { step, .. } => Details { step: Some(step), ..none },
        E::Cycle { path } => Details { step: path.first(), ..none },
        E::DuplicateId { id, second, .. } => Details { step: Some(second), id: Some(*id), ..none },
        E::InvalidOption { field, .. } => Details { field: Some(field), ..none },
        E::Empty
        | E::NoSuchCommand { .. }
        | E::DuplicateName { .. }
        | E::BadName { .. }
        | E::TooManySteps { .. }
        | E::NoStepYet { .. } => none,
    }
}

fn text(path: &Path) -> Cow<'_, str> {
    path.to_string_lossy()
}

fn number(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}
