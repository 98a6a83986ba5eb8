//! Errors of starting a child.

use std::io;

use crate::{Launch, Level, start_failure};

/// Error of a child that could not be started. Nothing of it is left.
///
/// Its text names the program or the directory, and the cause where that can be found out: which
/// interpreter or loader is missing, which argument is too long, which directory may not be
/// searched.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
#[non_exhaustive]
pub struct SpawnError {
    /// The step that failed.
    pub stage: SpawnStage,
    /// The system's error.
    pub source: io::Error,
    text: String,
}

/// Steps of starting a child that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnStage {
    /// Preparing the strings of the launch: one has a NUL byte in it.
    Input,
    /// Opening the null device, which a child without input reads.
    NullDevice,
    /// Making the pipes.
    Pipe,
    /// Making the process.
    Process,
    /// Containing it: session, process group, control group.
    Containment,
    /// Setting its limits.
    Limits,
    /// Entering the working directory.
    WorkingDirectory,
    /// Giving it its standard streams and the descriptors that are passed on.
    Stdio,
    /// Changing its user and groups.
    User,
    /// Executing the program.
    Exec,
}

impl SpawnError {
    pub(crate) fn new(stage: SpawnStage, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        Self { stage, text: source.to_string(), source }
    }

    /// Replaces the system's words by a text that has them, and the reason.
    #[cfg(all(target_os = "linux", not(execution_engine_portable)))]
    pub(crate) fn with_text(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// Completes the text, for the launch that failed.
    pub(crate) fn of(self, launch: &Launch) -> Self {
        let step = start_failure::step(self.stage, launch);
        let number = self.source.raw_os_error();
        let cause = number.and_then(|number| start_failure::cause(self.stage, number, launch));
        let cause = cause.map_or_else(String::new, |cause| format!("; {cause}"));
        Self { text: format!("{step}: {}{cause}", self.text), ..self }
    }

    /// Returns `true` if the start may work a moment later: see [`is_transient_os_error`].
    pub fn is_transient(&self) -> bool {
        is_transient(&self.source)
    }
}

pub(crate) fn is_transient(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(is_transient_os_error)
}

/// Returns `true` if a start that failed with this error number of the system may work a moment
/// later.
///
/// There is no room for another process (EAGAIN, ENOMEM) or descriptor (EMFILE, ENFILE) just now,
/// or the program file is still open for writing (ETXTBSY): a child of another thread may have
/// inherited it for the moment between its fork and its exec.
pub fn is_transient_os_error(number: i32) -> bool {
    [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::ETXTBSY].contains(&number)
}

/// Returns `true` for the error numbers of a process or a system that may have no more descriptors.
pub fn is_open_file_limit(number: i32) -> bool {
    [libc::EMFILE, libc::ENFILE].contains(&number)
}

/// Containment level that this host does not offer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{level} is not available on this host: {reason}")]
#[non_exhaustive]
pub struct LevelUnavailable {
    /// The level.
    pub level: Level,
    /// Why not.
    pub reason: String,
}
