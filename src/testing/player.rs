//! Plays a scripted program: writes what it writes, and reacts to signals.

use std::io;

use execution_engine_process::{Exit, PipeWriter, PlayedProgram, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::program::{End, ScriptedProgram, Step};
use crate::time;
use crate::types::OutputStream;

/// Bytes of input that are copied at a time.
const COPIED_AT_ONCE: usize = 8 * 1024;

/// Program that is about to be played.
pub(crate) struct Player {
    pub(super) program: ScriptedProgram,
    pub(super) played: PlayedProgram,
    /// Closed when the child was dropped.
    pub(super) signals: mpsc::UnboundedReceiver<Signal>,
}

impl Player {
    /// Plays the program to its end. Must be called on a worker, whose threads hold back the SIGPIPE
    /// of a write that is not read.
    pub(crate) async fn run(self) {
        let Self { program, mut played, mut signals } = self;
        let exit = tokio::select! {
            biased;
            exit = stopped(&program, &mut signals) => exit,
            exit = play(&program, &mut played) => exit,
        };
        played.exit(exit);
    }
}

/// Waits for a signal that ends the program.
async fn stopped(program: &ScriptedProgram, signals: &mut mpsc::UnboundedReceiver<Signal>) -> Exit {
    while let Some(signal) = signals.recv().await {
        if let Some(exit) = program.end_by(signal) {
            return exit;
        }
    }
    // As a child is killed when it is dropped.
    Exit::Signaled { signal: Signal::Kill.number(), core_dumped: false }
}

async fn play(program: &ScriptedProgram, played: &mut PlayedProgram) -> Exit {
    for step in &program.steps {
        // Output that is read no more does not end it, as it does not end a program that ignores
        // SIGPIPE.
        let _closed = perform(step, played).await;
    }
    match program.end {
        End::Exit(exit) => exit,
        End::Never | End::NotStarted(_) => std::future::pending().await,
    }
}

async fn perform(step: &Step, played: &mut PlayedProgram) -> io::Result<()> {
    let PlayedProgram { stdin, stdout, stderr, .. } = played;
    match step {
        Step::Write(OutputStream::Stdout, bytes) => write(stdout, bytes).await,
        // Without a pipe of its own it goes to the other one, as both streams are merged then.
        Step::Write(OutputStream::Stderr, bytes) if stderr.is_some() => write(stderr, bytes).await,
        Step::Write(OutputStream::Stderr, bytes) => write(stdout, bytes).await,
        Step::Wait(duration) => {
            time::sleep_until(std::time::Instant::now().checked_add(*duration)).await;
            Ok(())
        }
        Step::CopyInput => {
            let Some(stdin) = stdin else { return Ok(()) };
            let mut bytes = [0; COPIED_AT_ONCE];
            loop {
                match stdin.read(&mut bytes).await? {
                    0 => return Ok(()),
                    found => write(stdout, &bytes[..found]).await?,
                }
            }
        }
    }
}

async fn write(pipe: &mut Option<PipeWriter>, bytes: &[u8]) -> io::Result<()> {
    match pipe {
        Some(pipe) => pipe.write_all(bytes).await,
        None => Ok(()),
    }
}
