use std::io;
use std::path::{Path, PathBuf};

use crate::ErrorCode;

/// Why a keeper could not be started, reached or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperError {
    /// The system refused something.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// What it was tried with.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A living keeper has the directory.
    #[error("a keeper runs in {}; use another directory", .0.display())]
    AlreadyRunning(PathBuf),
    /// A keeper had the directory before.
    #[error("{} was the directory of a keeper that has ended; use a new directory", .0.display())]
    UsedBefore(PathBuf),
    /// The engine of the keeper could not be made.
    #[error("the engine of the keeper cannot be made: {0}")]
    Engine(#[from] execution_engine::ExecutionError),
    /// A keeper that was started did not become ready.
    #[error("the keeper in {} did not become ready: {reason}; its log is {}", .dir.display(), .dir.join("log").display())]
    NotReady {
        /// Its directory.
        dir: PathBuf,
        /// What happened instead.
        reason: String,
    },
    /// The connection is gone: the keeper has ended, or has dropped this client. Whether the call was carried out is
    /// not known; it may be repeated.
    #[error("the connection to the keeper is gone; connect again, and repeat the call")]
    Disconnected,
    /// The other side does not speak the protocol.
    #[error("the keeper in {} answered with something else than its protocol: {reason}", .dir.display())]
    Protocol {
        /// Directory of the keeper.
        dir: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// A call is larger than a keeper takes.
    #[error(
        "the call has {bytes} bytes, and a keeper takes at most {}; make the request smaller",
        crate::frame::MAX_BYTES
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The keeper refused the call.
    #[error("{message}")]
    Refused {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        message: String,
    },
}

impl KeeperError {
    /// Makes an error of the system into one that names what was tried.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }

    /// Returns the code of a refusal by the keeper.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}
