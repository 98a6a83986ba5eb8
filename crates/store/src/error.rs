//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execution_engine_journal::JournalError;
use rusqlite::ErrorCode;
use uuid::Uuid;

use crate::schema;

/// Error of the store.
///
/// [`code`](Self::code) is stable, the texts are for people.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room to store it. What is stored can be read, and writing goes on by itself once
    /// there is room.
    #[error("the disk of the store is full ({reason}); free some space, then try again")]
    Full {
        /// What the system said.
        reason: String,
    },
    /// The store cannot be written for another reason than a full disk. What is stored can be read,
    /// and writing goes on by itself once the cause is gone.
    #[error("the store cannot be written ({reason}); see to the disk, then try again")]
    ReadOnly {
        /// What the system said.
        reason: String,
    },
    /// A later version has written the database. It was left as it is.
    #[error(
        "{path} has schema {found}, and this version knows schemas up to {known}; use the version \
         that wrote it, or a state directory of its own"
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The latest schema that this version knows.
        known: i64,
    },
    /// The file is the database of another program, or none at all. It was left as it is.
    #[error(
        "{path} is not a database of this program ({what}); move it away, or use another state directory"
    )]
    ForeignDatabase {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: String,
    },
    /// The database or a file of output is damaged.
    #[error("{path} is damaged: {what}; restore it from a copy, or move it away to begin anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The key file cannot be used.
    #[error("the key file {path} cannot be used: {what}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do about it.
        what: String,
    },
    /// A value was sealed with another key than that of the key file, so it cannot be read.
    #[error(
        "{what} {id} was sealed with another key than that of {path}; put the former key \
         file back, or remove it and submit it again"
    )]
    OtherKey {
        /// The execution, plan or schedule.
        id: Uuid,
        /// What cannot be read.
        what: &'static str,
        /// The key file.
        path: PathBuf,
    },
    /// Another process has the history open.
    #[error("{path} is in use by another process; end it, or use a directory of your own")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// There is no such execution.
    #[error("there is no execution {id}; it was never accepted, or it was removed")]
    NotFound {
        /// Its id.
        id: Uuid,
    },
    /// There is no such schedule.
    #[error("there is no schedule {id}; it was never made, or it was removed")]
    UnknownSchedule {
        /// Its id.
        id: Uuid,
    },
    /// The execution has not ended, so it cannot be removed.
    #[error("execution {id} has not ended; stop it first")]
    NotEnded {
        /// The execution.
        id: Uuid,
    },
    /// The execution is pinned, so it cannot be removed.
    #[error("execution {id} is pinned; unpin it first")]
    Pinned {
        /// The execution.
        id: Uuid,
    },
    /// There is no such plan, or not in this round, or it has completed and all that must not be read of it is erased.
    #[error(
        "there is no plan {id} that could go on; it was never accepted, has ended, or was removed"
    )]
    PlanNotFound {
        /// Its id.
        id: Uuid,
    },
    /// The plan has ended.
    #[error("plan {id} has ended")]
    PlanEnded {
        /// The plan.
        id: Uuid,
    },
    /// The plan was stopped, and the caller that starts a step of it does not know that yet.
    #[error("plan {id} was stopped")]
    PlanStopped {
        /// The plan.
        id: Uuid,
    },
    /// The plan has not ended, so it can neither be resumed nor removed.
    #[error("plan {id} has not ended; stop it first, or wait for it")]
    PlanNotEnded {
        /// The plan.
        id: Uuid,
    },
    /// A value of a query is not valid.
    #[error("{field} is not valid: {what}")]
    Query {
        /// The field.
        field: &'static str,
        /// What is wrong, and what to do about it.
        what: String,
    },
    /// A journal cannot be read.
    #[error(transparent)]
    Journal(Arc<JournalError>),
    /// The system refused something.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The database refused something.
    #[error("the database failed: {reason}")]
    Database {
        /// What it said.
        reason: String,
    },
    /// The store was closed meanwhile.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Returns a stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "store_full",
            Self::ReadOnly { .. } => "store_read_only",
            Self::NewerSchema { .. } => "newer_schema",
            Self::ForeignDatabase { .. } => "foreign_database",
            Self::Damaged { .. } => "store_damaged",
            Self::KeyFile { .. } => "key_file",
            Self::OtherKey { .. } => "other_key",
            Self::InUse { .. } => "in_use",
            Self::NotFound { .. } => "not_found",
            Self::UnknownSchedule { .. } => "unknown_schedule",
            Self::NotEnded { .. } => "not_ended",
            Self::Pinned { .. } => "pinned",
            Self::PlanNotFound { .. } => "plan_not_found",
            Self::PlanEnded { .. } => "plan_ended",
            Self::PlanNotEnded { .. } => "plan_not_ended",
            Self::PlanStopped { .. } => "plan_stopped",
            Self::Query { .. } => "invalid_query",
            Self::Journal(_) => "journal",
            Self::Io { .. } => "store_io",
            Self::Database { .. } => "store_database",
            Self::Closed => "store_closed",
        }
    }

    /// Returns `true` if nothing can be written at present: the same call may succeed later.
    pub fn is_unwritable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::ReadOnly { .. })
    }

    /// Returns the error of a store in this directory: SQLite does not say which file is damaged.
    pub(crate) fn in_dir(self, dir: &Path) -> Self {
        match self {
            Self::Damaged { path, what } => Self::Damaged { path: dir.join(path), what },
            other => other,
        }
    }

    /// Returns a function that makes an error of one of the system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { reason: format!("{action} {}: {source}", path.display()) }
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { reason: format!("{action} {}: {source}", path.display()) }
            }
            _ => Self::Io { action, path, source: Arc::new(source) },
        }
    }
}

impl From<JournalError> for StoreError {
    fn from(error: JournalError) -> Self {
        Self::Journal(Arc::new(error))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { reason },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path: PathBuf::from(schema::FILE), what: reason }
            }
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied,
            ) => Self::ReadOnly { reason },
            _ => Self::Database { reason },
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Database {
            reason: format!("a stored value is not the JSON that is expected: {error}"),
        }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Full { .. } => io::ErrorKind::StorageFull,
            StoreError::ReadOnly { .. } => io::ErrorKind::ReadOnlyFilesystem,
            StoreError::NotFound { .. } => io::ErrorKind::NotFound,
            StoreError::Query { .. } => io::ErrorKind::InvalidInput,
            StoreError::InUse { .. } => io::ErrorKind::ResourceBusy,
            StoreError::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Result of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
