//! Error of the plugin's commands.

use execution_engine::ExecutionError;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::scope::{Refusal, RefusedStep};

/// Error of a command of this plugin. A window receives it as
/// `{ "code": .., "message": .., "retryable": .. }`.
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
}

impl Error {
    /// Returns a stable name for programs to compare: `refused`, `malformed`, or that of
    /// [`ExecutionError::error_code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.error_code(),
            Self::Refused(_) | Self::RefusedStep { .. } => "refused",
            Self::Malformed { .. } => "malformed",
        }
    }

    /// Returns `true` if the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_retryable(),
            Self::Refused(_) | Self::RefusedStep { .. } | Self::Malformed { .. } => false,
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
        let mut error = to.serialize_struct("Error", 3)?;
        error.serialize_field("code", self.code())?;
        error.serialize_field("message", &self.to_string())?;
        error.serialize_field("retryable", &self.is_retryable())?;
        error.end()
    }
}
