//! Errors of starting a child.

use std::io;

use crate::Level;

/// Error of a child that could not be started. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", .stage.doing())]
#[non_exhaustive]
pub struct SpawnError {
    /// The step that failed.
    pub stage: SpawnStage,
    /// The system's error.
    pub source: io::Error,
}

/// Steps of starting a child that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnStage {
    /// Preparing the strings of the launch: one has a NUL byte in it.
    Input,
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
    /// Giving it its standard streams.
    Stdio,
    /// Executing the program.
    Exec,
}

/// Cause of a failed start, where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpawnErrorKind {
    /// The program does not exist, or the interpreter that its `#!` line names does not.
    NotFound,
    /// The file is not an executable for this platform, or is a script without a `#!` line.
    NotExecutable,
    /// The program file is open for writing.
    Busy,
    /// The arguments and the environment are too long.
    TooLong,
    /// The limit of processes is reached.
    ProcessLimit,
    /// The limit of open files is reached, of this process or of the system.
    OpenFileLimit,
    /// The host has no null device, which a child without input reads.
    NoNullDevice,
    /// There is no memory for another process.
    OutOfMemory,
    /// Anything else; [`SpawnError::source`] says what.
    Other,
}

impl SpawnError {
    pub(crate) fn new(stage: SpawnStage, source: impl Into<io::Error>) -> Self {
        Self { stage, source: source.into() }
    }

    /// Returns the kind of the failure, for a hint on what to do.
    pub fn kind(&self) -> SpawnErrorKind {
        let Some(number) = self.source.raw_os_error() else { return SpawnErrorKind::Other };
        match (self.stage, number) {
            (SpawnStage::Exec, libc::ENOENT) => SpawnErrorKind::NotFound,
            (SpawnStage::Exec, libc::ENOEXEC) => SpawnErrorKind::NotExecutable,
            (SpawnStage::Exec, libc::ETXTBSY) => SpawnErrorKind::Busy,
            (SpawnStage::Exec, libc::E2BIG) => SpawnErrorKind::TooLong,
            (SpawnStage::Pipe, libc::ENOENT) => SpawnErrorKind::NoNullDevice,
            (_, libc::EAGAIN) => SpawnErrorKind::ProcessLimit,
            (_, libc::EMFILE | libc::ENFILE) => SpawnErrorKind::OpenFileLimit,
            (_, libc::ENOMEM) => SpawnErrorKind::OutOfMemory,
            _ => SpawnErrorKind::Other,
        }
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

impl SpawnStage {
    fn doing(self) -> &'static str {
        match self {
            Self::Input => "preparing its arguments",
            Self::Pipe => "making its pipes",
            Self::Process => "making its process",
            Self::Containment => "containing it",
            Self::Limits => "setting its limits",
            Self::WorkingDirectory => "entering its working directory",
            Self::Stdio => "giving it its standard streams",
            Self::Exec => "executing it",
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_that_of_the_step_and_the_number() {
        let kind =
            |stage, number| SpawnError::new(stage, io::Error::from_raw_os_error(number)).kind();
        assert_eq!(kind(SpawnStage::Exec, libc::ENOENT), SpawnErrorKind::NotFound);
        assert_eq!(kind(SpawnStage::Pipe, libc::ENOENT), SpawnErrorKind::NoNullDevice);
        assert_eq!(kind(SpawnStage::WorkingDirectory, libc::ENOENT), SpawnErrorKind::Other);
        assert_eq!(kind(SpawnStage::Process, libc::EAGAIN), SpawnErrorKind::ProcessLimit);
        assert_eq!(kind(SpawnStage::Pipe, libc::EMFILE), SpawnErrorKind::OpenFileLimit);
        let nul = SpawnError::new(SpawnStage::Input, io::ErrorKind::InvalidInput);
        assert_eq!(nul.kind(), SpawnErrorKind::Other);
    }
}
