use std::{fmt, io};

use crate::Level;

/// Why a child could not be started. There is no trace of it.
#[derive(Debug)]
pub struct SpawnError {
    /// Where it failed.
    pub stage: Stage,
    /// What the system said.
    pub source: io::Error,
}

/// The steps of starting a child that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
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

impl SpawnError {
    pub(crate) fn new(stage: Stage, source: impl Into<io::Error>) -> Self {
        Self { stage, source: source.into() }
    }

    /// Whether it may work a moment later: no room for another process or descriptor just now, or
    /// the program file is still open for writing.
    pub fn is_transient(&self) -> bool {
        is_transient(&self.source)
    }
}

pub(crate) fn is_transient(error: &io::Error) -> bool {
    let transient = [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::ETXTBSY];
    error.raw_os_error().is_some_and(|errno| transient.contains(&errno))
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match self.stage {
            Stage::Input => "preparing its arguments",
            Stage::Pipe => "making its pipes",
            Stage::Process => "making its process",
            Stage::Containment => "containing it",
            Stage::Limits => "setting its limits",
            Stage::WorkingDirectory => "entering its working directory",
            Stage::Stdio => "giving it its standard streams",
            Stage::Exec => "executing it",
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
pub struct Unavailable {
    /// The level.
    pub level: Level,
    /// Why not.
    pub reason: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not available on this host: {}", self.level, self.reason)
    }
}

impl std::error::Error for Unavailable {}
