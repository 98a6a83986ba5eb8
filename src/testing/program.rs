//! What a scripted program does.

use std::time::Duration;

use bytes::Bytes;
use execution_engine_process::{Exit, Signal};

use crate::types::OutputStream;

/// What a scripted program does, step by step, and how it ends: with exit code 0 unless another end is
/// set.
///
/// ```
/// use execution_engine::testing::{Script, ScriptedProgram};
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// let build = ScriptedProgram::new()
///     .stdout("compiling\n")
///     .after(Duration::from_millis(20))
///     .stderr("error: no such type\n")
///     .exit_code(2);
/// let engine = ExecutionEngine::builder().scripted(Script::new().otherwise(build)).build()?;
/// let result = engine.run(ExecutionRequest::program("make")).await?;
/// assert_eq!((result.exit_code, result.stderr.as_str()), (2, "error: no such type\n"));
/// # Ok(()) }
/// ```
///
/// A signal ends it as it ends a program that does not handle it, so a cancel and a timeout do, too.
/// [`ignores`](Self::ignores) and [`exits_on`](Self::exits_on) change that, but not for SIGKILL.
#[derive(Debug, Clone)]
#[must_use]
pub struct ScriptedProgram {
    pub(super) steps: Vec<Step>,
    pub(super) end: End,
    pub(super) reactions: Vec<(Signal, Reaction)>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Write(OutputStream, Bytes),
    Wait(Duration),
    CopyInput,
}

#[derive(Debug, Clone)]
pub(super) enum End {
    Exit(Exit),
    /// It runs until a signal ends it.
    Never,
    /// It cannot be started, for this reason.
    NotStarted(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    Ignore,
    Exit(i32),
}

impl Default for ScriptedProgram {
    fn default() -> Self {
        Self { steps: Vec::new(), end: End::Exit(Exit::Code(0)), reactions: Vec::new() }
    }
}

impl ScriptedProgram {
    /// Creates a program that exits with code 0 at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Then it writes this to stdout.
    pub fn stdout(self, output: impl Into<Bytes>) -> Self {
        self.then(Step::Write(OutputStream::Stdout, output.into()))
    }

    /// Then it writes this to stderr.
    pub fn stderr(self, output: impl Into<Bytes>) -> Self {
        self.then(Step::Write(OutputStream::Stderr, output.into()))
    }

    /// Then it waits so long. A pause of the execution does not hold this up.
    pub fn after(self, time: Duration) -> Self {
        self.then(Step::Wait(time))
    }

    /// Then it copies its standard input to stdout until that ends, like `cat`. Only input that is
    /// [piped](crate::StdinSource::Piped) or given as [bytes](crate::StdinSource::Bytes) is read.
    pub fn copy_stdin(self) -> Self {
        self.then(Step::CopyInput)
    }

    /// At the end it exits with this code.
    pub fn exit_code(self, code: i32) -> Self {
        Self { end: End::Exit(Exit::Code(code)), ..self }
    }

    /// At the end this signal kills it.
    pub fn killed_by(self, signal: Signal) -> Self {
        let signal = signal.number();
        Self { end: End::Exit(Exit::Signaled { signal, core_dumped: false }), ..self }
    }

    /// At the end it runs on until a signal ends it: a cancel, a timeout, or one that is sent.
    pub fn runs_until_stopped(self) -> Self {
        Self { end: End::Never, ..self }
    }

    /// It cannot be started at all, for this reason: the execution ends with
    /// [`Ending::SpawnFailed`](crate::Ending::SpawnFailed).
    pub fn fails_to_start(self, reason: impl Into<String>) -> Self {
        Self { end: End::NotStarted(reason.into()), ..self }
    }

    /// It ignores this signal.
    pub fn ignores(self, signal: Signal) -> Self {
        self.reacts(signal, Reaction::Ignore)
    }

    /// It exits with this code when it gets this signal.
    pub fn exits_on(self, signal: Signal, code: i32) -> Self {
        self.reacts(signal, Reaction::Exit(code))
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn reacts(mut self, signal: Signal, reaction: Reaction) -> Self {
        self.reactions.insert(0, (signal, reaction));
        self
    }

    /// Returns how a signal ends it, if it does.
    pub(super) fn end_by(&self, signal: Signal) -> Option<Exit> {
        let killed = Exit::Signaled { signal: signal.number(), core_dumped: false };
        if signal == Signal::Kill {
            return Some(killed);
        }
        match self.reactions.iter().find(|(other, _)| *other == signal) {
            Some((_, Reaction::Ignore)) => None,
            Some((_, Reaction::Exit(code))) => Some(Exit::Code(*code)),
            None => signal.ends_by_default().then_some(killed),
        }
    }
}
