//! Why a call to the service failed.

use std::io;
use std::path::PathBuf;

use crate::error::ServiceError;
use crate::problem::Problem;

/// Reason why a call to the service failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The service has refused it.
    #[error("{0}")]
    Refused(#[from] Problem),
    /// No service answers, and none was to be started.
    #[error("no service answers on {}; start one with `exeng serve`, or leave --no-start out", .socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
    },
    /// The service of this state directory listens on another socket.
    #[error("the service of {} (process {pid}) listens on {}; {fix}", .state_dir.display(), .socket.display())]
    Elsewhere {
        /// The state directory.
        state_dir: PathBuf,
        /// Process id of the service.
        pid: u32,
        /// Its socket.
        socket: PathBuf,
        /// What to do.
        fix: String,
    },
    /// The service was started and ended at once, or does not come to answer.
    #[error("the service could not be started: {reason}")]
    Start {
        /// What it said, or what failed.
        reason: String,
    },
    /// The state directory cannot be used.
    #[error("{0}")]
    State(#[from] ServiceError),
    /// The system refuses to connect.
    #[error("the socket {} cannot be connected to: {source}; check who owns it, or set EXENG_STATE_DIR to a directory of yours", .socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The service belongs to another user. Nothing was sent to it.
    #[error("the service on {} belongs to user {owner}, and this is user {user}, so nothing was sent to it; run exeng as that user, or set EXENG_STATE_DIR to a directory of yours", .socket.display())]
    NotYours {
        /// The socket.
        socket: PathBuf,
        /// Effective user id of the process that listens.
        owner: u32,
        /// Effective user id of this process.
        user: u32,
    },
    /// The connection broke off before the answer came, and the call must not be repeated unseen.
    #[error(
        "the answer was lost ({0}), so it is not known whether it was done; look at the execution, and repeat it"
    )]
    OutcomeUnknown(String),
    /// The connection broke off more often than it can be mended, or the answer is not one of the
    /// service.
    #[error("the service did not answer as expected: {0}; see `exeng doctor`")]
    Protocol(String),
}

impl ClientError {
    /// Returns the code of the service's refusal, if it is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => Some(&problem.code),
            _ => None,
        }
    }
}
