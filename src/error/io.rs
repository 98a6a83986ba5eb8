//! I/O errors that can be cloned and compared, as the source of the engine's errors.

use std::io;

use crate::types::OneLine;

/// I/O error as plain data.
///
/// [`std::io::Error`] can neither be cloned nor compared, while every waiter of an execution gets a
/// copy of its error. So the parts that a program acts on are copied out of it. It is what
/// [`source()`](std::error::Error::source) of the errors that carry it returns.
///
/// ```
/// use execution_engine::*;
///
/// let error = IoError::from(std::io::Error::from_raw_os_error(2));
/// assert_eq!(error.kind, std::io::ErrorKind::NotFound);
/// assert_eq!(error.os_error, Some(2));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", OneLine(.message))]
#[non_exhaustive]
pub struct IoError {
    /// Category, the same on all platforms.
    pub kind: io::ErrorKind,
    /// Error number of the system, if the error came from it.
    pub os_error: Option<i32>,
    /// Text of the system or of the reader that failed.
    pub message: String,
}

impl From<&io::Error> for IoError {
    fn from(error: &io::Error) -> Self {
        Self { kind: error.kind(), os_error: error.raw_os_error(), message: error.to_string() }
    }
}

impl From<io::Error> for IoError {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}
