//! Errors of the service, as people and programs get them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of error it is. In JSON, and in [`ErrorCode::as_str`], in lower case with underscores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// A field of the request is not valid; [`ServiceError::field`] names it.
    InvalidRequest,
    /// There is no execution with this id.
    UnknownExecution,
    /// There is no plan with this id.
    UnknownPlan,
    /// The plan was stopped, so no step of it is accepted.
    PlanStopped,
    /// There is no schedule with this id or name.
    UnknownSchedule,
    /// Another schedule, or token, has the name.
    NameTaken,
    /// There are as many schedules as there may be.
    TooManySchedules,
    /// There is no group with this name.
    UnknownGroup,
    /// There is no token with this name.
    UnknownToken,
    /// There are as many tokens as there may be.
    TooManyTokens,
    /// The beginning of an id fits more than one execution, or schedule.
    AmbiguousId,
    /// The execution named by `after` is not known.
    UnknownAfter,
    /// Variables of an execution that is to run again have no values.
    MissingEnv,
    /// The idempotency key was used with another body.
    KeyReused,
    /// The id belongs to an execution with another body.
    IdReused,
    /// The execution has ended, so it cannot be stopped.
    AlreadyEnded,
    /// The input of the execution cannot be written: it was submitted with another one.
    NoInput,
    /// The input of the execution is closed, or its program reads no more.
    InputClosed,
    /// The input of the execution does not end at the place that was named.
    InputMoved,
    /// The execution has not ended, so it cannot be removed.
    NotEnded,
    /// The execution is pinned, so it cannot be removed.
    Pinned,
    /// The execution waits in the queue, so it has no process.
    NotStarted,
    /// The processes of the execution could not be controlled, for instance because there are none between two
    /// attempts.
    ControlFailed,
    /// The keeper of the execution is of an older version, which cannot do this.
    KeeperOutdated,
    /// The output is no longer kept.
    OutputGone,
    /// The store cannot be written, for instance because the disk is full. It recovers by itself.
    StoreFull,
    /// The service is ending.
    Stopping,
    /// No keeper could be started, or it does not answer.
    KeeperUnavailable,
    /// Another service runs on this state directory.
    AlreadyRunning,
    /// The state directory cannot be used.
    StateDir,
    /// The configuration file is not valid.
    InvalidConfig,
    /// The database was made by a newer version.
    NewerSchema,
    /// The file in the place of the database is not one of ours.
    ForeignDatabase,
    /// Something failed that should not.
    Internal,
}

impl ErrorCode {
    /// Returns the code as it is in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnknownExecution => "unknown_execution",
            Self::UnknownPlan => "unknown_plan",
            Self::PlanStopped => "plan_stopped",
            Self::UnknownSchedule => "unknown_schedule",
            Self::NameTaken => "name_taken",
            Self::TooManySchedules => "too_many_schedules",
            Self::UnknownGroup => "unknown_group",
            Self::UnknownToken => "unknown_token",
            Self::TooManyTokens => "too_many_tokens",
            Self::AmbiguousId => "ambiguous_id",
            Self::UnknownAfter => "unknown_after",
            Self::MissingEnv => "missing_env",
            Self::KeyReused => "key_reused",
            Self::IdReused => "id_reused",
            Self::AlreadyEnded => "already_ended",
            Self::NoInput => "no_input",
            Self::InputClosed => "input_closed",
            Self::InputMoved => "input_moved",
            Self::NotEnded => "not_ended",
            Self::Pinned => "pinned",
            Self::NotStarted => "not_started",
            Self::ControlFailed => "control_failed",
            Self::KeeperOutdated => "keeper_outdated",
            Self::OutputGone => "output_gone",
            Self::StoreFull => "store_full",
            Self::Stopping => "stopping",
            Self::KeeperUnavailable => "keeper_unavailable",
            Self::AlreadyRunning => "already_running",
            Self::StateDir => "state_dir",
            Self::InvalidConfig => "invalid_config",
            Self::NewerSchema => "newer_schema",
            Self::ForeignDatabase => "foreign_database",
            Self::Internal => "internal",
        }
    }

    /// Returns the status of an HTTP answer with this error.
    ///
    /// ```
    /// use execution_engine_server::ErrorCode;
    ///
    /// assert_eq!(ErrorCode::UnknownExecution.http_status(), 404);
    /// assert_eq!(ErrorCode::StoreFull.http_status(), 507);
    /// ```
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::UnknownExecution
            | Self::UnknownPlan
            | Self::UnknownSchedule
            | Self::UnknownGroup
            | Self::UnknownToken => 404,
            Self::AmbiguousId
            | Self::PlanStopped
            | Self::NameTaken
            | Self::TooManySchedules
            | Self::TooManyTokens
            | Self::AlreadyEnded
            | Self::NoInput
            | Self::InputClosed
            | Self::InputMoved
            | Self::NotEnded
            | Self::Pinned
            | Self::NotStarted
            | Self::ControlFailed
            | Self::KeeperOutdated => 409,
            Self::OutputGone => 410,
            Self::UnknownAfter | Self::MissingEnv | Self::KeyReused | Self::IdReused => 422,
            Self::StoreFull => 507,
            Self::Stopping | Self::KeeperUnavailable => 503,
            Self::AlreadyRunning
            | Self::StateDir
            | Self::InvalidConfig
            | Self::NewerSchema
            | Self::ForeignDatabase
            | Self::Internal => 500,
        }
    }

    /// Returns the kind of error in a few words, for the `title` of a problem document.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::UnknownExecution => "There is no such execution",
            Self::UnknownPlan => "There is no such plan",
            Self::PlanStopped => "The plan was stopped",
            Self::UnknownSchedule => "There is no such schedule",
            Self::NameTaken => "The name is taken",
            Self::TooManySchedules => "There are too many schedules",
            Self::UnknownGroup => "There is no such group",
            Self::UnknownToken => "There is no such token",
            Self::TooManyTokens => "There are too many tokens",
            Self::AmbiguousId => "The id is not unique",
            Self::UnknownAfter => "The execution to wait for is not known",
            Self::MissingEnv => "Values of variables are missing",
            Self::KeyReused => "The idempotency key was used for something else",
            Self::IdReused => "The id was used for something else",
            Self::AlreadyEnded => "The execution has ended",
            Self::NoInput => "The input cannot be written",
            Self::InputClosed => "The input is closed",
            Self::InputMoved => "The input ends elsewhere",
            Self::NotEnded => "The execution has not ended",
            Self::Pinned => "The execution is pinned",
            Self::NotStarted => "The execution has not started",
            Self::ControlFailed => "The processes could not be controlled",
            Self::KeeperOutdated => "The keeper is of an older version",
            Self::OutputGone => "The output is no longer kept",
            Self::StoreFull => "The store cannot be written",
            Self::Stopping => "The service is ending",
            Self::KeeperUnavailable => "No keeper is available",
            Self::AlreadyRunning => "Another service is running",
            Self::StateDir => "The state directory cannot be used",
            Self::InvalidConfig => "The configuration is not valid",
            Self::NewerSchema => "The database is of a newer version",
            Self::ForeignDatabase => "The database is not one of this program",
            Self::Internal => "The service failed",
        }
    }

    /// Returns the seconds after which trying again makes sense, if it does.
    pub fn retry_after(self) -> Option<u64> {
        match self {
            Self::StoreFull => Some(10),
            Self::Stopping | Self::KeeperUnavailable => Some(1),
            _ => None,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Error of the service: what failed, with which field or thing, and what to do.
///
/// ```
/// use execution_engine_server::{ErrorCode, ServiceError};
///
/// let error = ServiceError::new(ErrorCode::NotEnded, "execution 1a2b has not ended")
///     .fix("stop it first");
/// assert_eq!(error.to_string(), "execution 1a2b has not ended; stop it first");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceError {
    /// Kind of error.
    pub code: ErrorCode,
    /// What failed, with the name of the thing.
    pub detail: String,
    /// Field of the request that is wrong, as a path: `options.stdin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl ServiceError {
    /// Creates an error.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), field: None, fix: None }
    }

    /// Creates the error of a field that is not valid.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, detail).field(field)
    }

    /// Names the field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        self.fix.as_ref().map_or(Ok(()), |fix| write!(f, "; {fix}"))
    }
}

impl std::error::Error for ServiceError {}
