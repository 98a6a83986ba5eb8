use execution_engine::ExecutionError;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::scope::{Refusal, RefusedStep};

/// Why a command of this plugin failed. A window gets it as
/// `{ "code": .., "message": .., "retryable": .. }`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] ExecutionError),
    /// The scope does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The scope does not allow a command of a plan.
    #[error("commands[{index}]: {refusal}")]
    RefusedStep {
        /// The index of the command.
        index: usize,
        /// Why.
        refusal: Refusal,
    },
    /// What was sent does not have the shape it should. It names the place and never what is there.
    #[error("{place}: unknown, missing or of a wrong type")]
    Malformed {
        /// The place, from the name of the argument on.
        place: String,
    },
}

impl Error {
    /// A stable name, as [`ExecutionError::error_code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.error_code(),
            Self::Refused(_) | Self::RefusedStep { .. } => "refused",
            Self::Malformed { .. } => "malformed",
        }
    }

    /// Whether the same call may succeed later without any change.
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
