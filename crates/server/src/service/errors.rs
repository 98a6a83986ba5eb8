//! What errors of the store and of journals are to a caller of the service.

use execution_engine_journal::JournalError;
use execution_engine_store::StoreError;
use uuid::Uuid;

use crate::error::{ErrorCode, ServiceError};

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        let new = |code| Self::new(code, text.clone());
        match error {
            StoreError::Full { .. } | StoreError::ReadOnly { .. } => new(ErrorCode::StoreFull)
                .fix("programs go on meanwhile, and the service recovers by itself"),
            StoreError::NewerSchema { .. } => new(ErrorCode::NewerSchema),
            StoreError::ForeignDatabase { .. } => new(ErrorCode::ForeignDatabase),
            StoreError::KeyFile { .. } => new(ErrorCode::StateDir),
            StoreError::NotFound { id } => unknown(id),
            StoreError::UnknownSchedule { id } => unknown_schedule(&id.to_string()),
            StoreError::NotEnded { id } => not_ended(id),
            StoreError::Pinned { id } => {
                Self::new(ErrorCode::Pinned, format!("execution {id} is pinned"))
                    .fix("unpin it first (exeng pin --remove)")
            }
            StoreError::PlanNotFound { id } => unknown_plan(id),
            StoreError::PlanEnded { id } => already_ended_plan(id),
            StoreError::PlanNotEnded { id } => not_ended_plan(id),
            StoreError::PlanStopped { .. } => new(ErrorCode::PlanStopped),
            StoreError::Query { field, .. } => new(ErrorCode::InvalidRequest).field(field),
            StoreError::Closed => stopping(),
            _ => new(ErrorCode::Internal),
        }
    }
}

impl From<JournalError> for ServiceError {
    fn from(error: JournalError) -> Self {
        let text = error.to_string();
        match error {
            JournalError::NoRecord { position, .. } => {
                let text = format!("no event of this execution ends at the cursor {position}");
                Self::invalid("after", text).fix("use the id of an event, or 0 for the beginning")
            }
            _ => Self::new(ErrorCode::Internal, text),
        }
    }
}

/// Returns the error of an id that nothing has.
pub(crate) fn unknown(id: Uuid) -> ServiceError {
    let text = format!("there is no execution {id}");
    ServiceError::new(ErrorCode::UnknownExecution, text).fix("list the executions to find its id")
}

/// Returns the error of a schedule that there is not.
pub(crate) fn unknown_schedule(name: &str) -> ServiceError {
    let text = format!("there is no schedule {name}");
    ServiceError::new(ErrorCode::UnknownSchedule, text)
        .fix("list the schedules to find it (exeng schedule ls)")
}

/// Returns the error of an execution that would have to have ended.
pub(crate) fn not_ended(id: Uuid) -> ServiceError {
    ServiceError::new(ErrorCode::NotEnded, format!("execution {id} has not ended"))
        .fix("stop it first")
}

/// Returns the error of an execution that would have to run, and waits in the queue.
pub(crate) fn not_started(id: Uuid) -> ServiceError {
    let text = format!("execution {id} waits in the queue, so it has no process");
    ServiceError::new(ErrorCode::NotStarted, text).fix("wait until it runs, or stop it")
}

/// Returns the error of an execution that has ended.
pub(crate) fn already_ended(id: Uuid) -> ServiceError {
    ServiceError::new(ErrorCode::AlreadyEnded, format!("execution {id} has ended already"))
}

/// Returns the error of an id that no plan has.
pub(crate) fn unknown_plan(id: Uuid) -> ServiceError {
    ServiceError::new(ErrorCode::UnknownPlan, format!("there is no plan {id}"))
        .fix("list the plans to find its id (exeng plan ls)")
}

/// Returns the error of a plan that has ended.
pub(crate) fn already_ended_plan(id: Uuid) -> ServiceError {
    ServiceError::new(ErrorCode::AlreadyEnded, format!("plan {id} has ended already"))
}

/// Returns the error of a plan that would have to have ended.
pub(crate) fn not_ended_plan(id: Uuid) -> ServiceError {
    ServiceError::new(ErrorCode::NotEnded, format!("plan {id} has not ended"))
        .fix("wait for it (exeng plan wait), or stop it first (exeng plan stop)")
}

/// Returns the error of a service that is ending.
pub(crate) fn stopping() -> ServiceError {
    ServiceError::new(ErrorCode::Stopping, "the service is ending")
        .fix("try again with the next one")
}

/// Returns the error of a task of the service that panicked.
pub(crate) fn internal(what: impl std::fmt::Display) -> ServiceError {
    ServiceError::new(ErrorCode::Internal, format!("the service failed: {what}"))
}
