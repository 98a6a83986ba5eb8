//! Why this host does not offer a level.

use std::{fmt, io};

use crate::error::is_transient;

/// Reason why this host does not offer a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unavailable {
    reason: String,
    /// The number of a refusal that may pass: there is no descriptor or no process just now.
    passing: Option<i32>,
}

impl Unavailable {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), passing: None }
    }

    /// Returns the reason of a failure of the system, as it is told after `what`.
    pub(super) fn of(what: impl fmt::Display, error: &io::Error) -> Self {
        let passing = error.raw_os_error().filter(|_| is_transient(error));
        Self { reason: format!("{what}: {error}"), passing }
    }

    /// Returns the system's error if the level may be there a moment later.
    pub(super) fn passing(&self) -> Option<io::Error> {
        self.passing.map(io::Error::from_raw_os_error)
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
