//! Error of the plugin's commands.

use execution_engine::ExecutionError;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::scope::{Refusal, RefusedStep};

/// Error of a command of this plugin. A window receives it as
/// `{ "code": .., "message": .., "retryable": .. }`; one of the engine also has the fields of
/// [`ExecutionError`] in JSON (`field`, `program`, `limit`, ..).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine refused the request, or it failed.
    #[error(transparent)]
    Engine(#[from] ExecutionError),
    /// The scope does not allow the request.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The scope does not allow a command of a plan.
    #[error("commands[{index}]: {refusal}")]
    #[non_exhaustive]
    RefusedStep {
        /// Index of the command.
        index: usize,
        /// Reason.
        refusal: Refusal,
    },
    /// An argument cannot be read. The error has the path of the value and never the value, which
    /// may be a secret.
    #[error("{path}: unknown or missing field, or wrong type")]
    #[non_exhaustive]
    Malformed {
        /// Path of the value, starting with the name of the argument.
        path: String,
    },
    /// The pattern of a search is too long, or no regular expression, or one that is too large.
    #[error("the pattern cannot be used: {reason}")]
    #[non_exhaustive]
    InvalidPattern {
        /// Reason.
        reason: String,
    },
    /// The thread that read output has failed.
    #[error("the output cannot be read: {reason}")]
    #[non_exhaustive]
    ReaderFailed {
        /// Reason.
        reason: String,
    },
}

impl Error {
    /// Returns a stable name for programs to compare: `refused`, `malformed`, `invalid_pattern`,
    /// `reader_failed`, or that of [`ExecutionError::error_code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.error_code(),
            Self::Refused(_) | Self::RefusedStep { .. } => "refused",
            Self::Malformed { .. } => "malformed",
            Self::InvalidPattern { .. } => "invalid_pattern",
            Self::ReaderFailed { .. } => "reader_failed",
        }
    }

    /// Returns `true` if the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_retryable(),
            Self::Refused(_)
            | Self::RefusedStep { .. }
            | Self::Malformed { .. }
            | Self::InvalidPattern { .. }
            | Self::ReaderFailed { .. } => false,
        }
    }
}

impl From<RefusedStep> for Error {
    fn from(RefusedStep { index, refusal }: RefusedStep) -> Self {
        Self::RefusedStep { index, refusal }
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if let Self::Engine(error) = self {
            return error.serialize(to);
        }
        let mut error = to.serialize_struct("Error", 3)?;
        error.serialize_field("code", self.code())?;
        error.serialize_field("message", &self.to_string())?;
        error.serialize_field("retryable", &false)?;
        error.end()
    }
}
