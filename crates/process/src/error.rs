use std::{fmt, io};

use crate::Level;

/// Why a child could not be started. There is no trace of it.
#[derive(Debug)]
pub struct SpawnError {
    /// Where it failed.
    pub stage: SpawnStage,
    /// What the system said.
    pub source: io::Error,
}

/// The steps of starting a child that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnStage {
    /// A string has a NUL byte in it.
    Input,
    /// Making the pipes.
    Pipe,
    /// Making the process.
    Process,
    /// Putting it into its containment: session, process group, control group.
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

/// What stopped a child from being started, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpawnErrorKind {
    /// The program does not exist, or the interpreter that its `#!` line names does not.
    NotFound,
    /// The file is no program for this machine, or a script without a `#!` line.
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
    /// Anything else; see [`SpawnError::source`].
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

    /// Whether it may work a moment later: no room for another process or descriptor just now, or
    /// the program file is still open for writing.
    pub fn is_transient(&self) -> bool {
        is_transient(&self.source)
    }
}

pub(crate) fn is_transient(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(is_transient_os_error)
}

/// Returns true if what failed with this error number of the system may work a moment later: there is
/// no room for another process or descriptor just now, or a program file is still open for writing.
pub fn is_transient_os_error(number: i32) -> bool {
    [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::ETXTBSY].contains(&number)
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match self.stage {
            SpawnStage::Input => "preparing its arguments",
            SpawnStage::Pipe => "making its pipes",
            SpawnStage::Process => "making its process",
            SpawnStage::Containment => "containing it",
            SpawnStage::Limits => "setting its limits",
            SpawnStage::WorkingDirectory => "entering its working directory",
            SpawnStage::Stdio => "giving it its standard streams",
            SpawnStage::Exec => "executing it",
        };
        write!(f, "{doing}: {}", self.source)
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A containment level that this host does not offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelUnavailable {
    /// The level.
    pub level: Level,
    /// Why not.
    pub reason: String,
}

impl fmt::Display for LevelUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not available on this host: {}", self.level, self.reason)
    }
}

impl std::error::Error for LevelUnavailable {}
