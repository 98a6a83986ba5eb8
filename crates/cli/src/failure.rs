//! Why a verb failed, and the code to exit with.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use execution_engine_server::ServiceError;
use execution_engine_server::client::ClientError;

use crate::option_names::of_command_line;
use crate::request::UsageError;
use crate::{exit_code, message};

/// End of a verb that did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What to say; None says nothing.
    text: Option<String>,
    code: u8,
}

impl Failure {
    /// Creates one of ours, with a text that says what failed and what to do.
    pub(crate) fn new(text: impl Display) -> Self {
        Self { text: Some(text.to_string()), code: exit_code::OURS }
    }

    /// Creates the one for data that could not be written.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            // Who has seen enough wants no message, and gets the code that SIGPIPE would give.
            return Self { text: None, code: exit_code::BROKEN_PIPE };
        }
        Self::new(format!("the output cannot be written: {error}"))
    }

    /// Creates the one of a verb that was interrupted.
    pub(crate) fn interrupted(text: impl Display) -> Self {
        Self { code: exit_code::CANCELLED, ..Self::new(text) }
    }

    /// Creates one for a lack of [descriptors](is_of_descriptors).
    pub(crate) fn of_descriptors(error: &io::Error) -> Self {
        Self::new(format!(
            "exeng needs more open files than it may have: {error}; raise the limit: ulimit -n 64"
        ))
    }

    /// Creates the one of an engine's error, with the code that it has.
    #[cfg(feature = "fleet")]
    pub(crate) fn of_execution(error: &execution_engine::ExecutionError) -> Self {
        let code = exit_code::of_error(error);
        Self { code, ..Self::new(of_command_line(&error.to_string())) }
    }

    /// Puts the time before what it says, for a log.
    pub(crate) fn at(self, time: impl Display) -> Self {
        Self { text: self.text.map(|text| format!("{time}: {text}")), ..self }
    }

    /// Says it, and returns the code to exit with.
    pub(crate) fn report(self) -> ExitCode {
        if let Some(text) = self.text {
            message::print(text);
        }
        ExitCode::from(self.code)
    }
}

/// Returns `true` if the limit of open files leaves no room.
pub(crate) fn is_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(execution_engine_process::is_open_file_limit)
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text.as_deref().unwrap_or("the output was closed"))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Connect { source, .. } if is_of_descriptors(&source) => {
                Self::of_descriptors(&source)
            }
            error => Self::new(of_command_line(&error.to_string())),
        }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::new(error)
    }
}

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Self {
        Self::new(error)
    }
}
