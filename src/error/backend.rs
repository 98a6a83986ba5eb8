//! Errors that implementations of [`Backend`](crate::Backend) make. Variants with a text cannot be made
//! outside of this crate otherwise, because they may get more fields.

use uuid::Uuid;

use super::{ExecutionError, ValidationError};

impl ExecutionError {
    /// Creates the error of a backend that failed, or cannot be reached: for implementations of
    /// [`Backend`](crate::Backend).
    pub fn backend(reason: impl Into<String>) -> Self {
        Self::Backend { reason: reason.into() }
    }

    /// Creates the error of a request whose answer was lost: for implementations of
    /// [`Backend`](crate::Backend).
    pub fn outcome_unknown(id: Uuid, reason: impl Into<String>) -> Self {
        Self::OutcomeUnknown { id, reason: reason.into() }
    }

    /// Creates the error of an execution that cannot be controlled now: for implementations of
    /// [`Backend`](crate::Backend).
    pub fn control(id: Uuid, reason: impl Into<String>) -> Self {
        Self::Control { id, reason: reason.into() }
    }
}

impl ValidationError {
    /// Creates the error of an option that cannot be had: its field, and what is wrong with it and the
    /// fix. For implementations of [`Backend`](crate::Backend).
    ///
    /// ```
    /// use execution_engine::ValidationError;
    ///
    /// let error = ValidationError::invalid_option("user", "the workers run as one user; leave it out");
    /// assert_eq!(error.to_string(), "options: user: the workers run as one user; leave it out");
    /// ```
    pub fn invalid_option(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidOption { field, reason: reason.into() }
    }
}
