//! `exeng run --on`: runs a command on a machine of a fleet, as if it ran here.

use std::future::poll_fn;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::task::{Context, Poll};

use execution_engine::{Execution, ExecutionResult, OutputStream, Signal, StdinSource};
use execution_engine_process::is_ignored;
use rustix::fs::{FileType, fstat};
use tokio::signal::unix::{SignalKind, signal};

use super::prefix::Prefixed;
use super::relay::Bytes;
use super::{RunOptions, exit_code, tell};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::service::block_on;
use crate::service::elsewhere::{Remote, output};
use crate::service::pieces::Pieces;
use crate::{data, message};

/// Runs the command, and returns the code to exit with.
pub(crate) fn run_elsewhere(global: &GlobalOptions, options: &RunOptions) -> ExitCode {
    block_on(run(global, options))
}

async fn run(global: &GlobalOptions, options: &RunOptions) -> Result<u8, Failure> {
    let input = input(options);
    let (request, mut execution) = options.request.to_request(input)?;
    options.request.of_fleet(&mut execution)?;
    let (mut report, mut written) = (options.report()?, Written::new(options)?);
    let passes_input = execution.stdin == StdinSource::Piped;
    // Before the submit, so that a signal meanwhile stops it.
    let stop = stops().map_err(Failure::new)?;
    let remote = Remote::connect(global).await?;
    options.request.store_inputs(&remote.backend, &mut execution).await?;
    let started = remote.engine.start_with(request, execution).await;
    let started = started.map_err(|error| Failure::of_execution(&error))?;
    if passes_input {
        tokio::spawn(pass_input(started.clone()));
    }
    let result = follow(&remote, &started, stop, &mut written).await?;
    tell(&result);
    output::tell_not_collected(&result);
    let bytes = written.bytes;
    if let Some(Err(fault)) = report.as_mut().map(|report| report.write(&result, bytes)) {
        return Err(Failure::new(fault));
    }
    Ok(exit_code::of_end(&result.ending, result.signal))
}

/// Returns what gives each signal to stop.
fn stops() -> io::Result<impl AsyncFnMut()> {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ];
    // What the caller ignores stays ignored.
    let is_for_us = |kind: &SignalKind| !is_ignored(Signal::from_number(kind.as_raw_value()));
    let signals = kinds.into_iter().filter(is_for_us).map(signal);
    let mut signals = signals.collect::<io::Result<Vec<_>>>()?;
    Ok(async move || {
        let came =
            |cx: &mut Context<'_>| match signals.iter_mut().any(|it| it.poll_recv(cx).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            };
        poll_fn(came).await;
    })
}

/// Shows what the execution does until its end, and cancels it at the first signal.
async fn follow(
    remote: &Remote,
    started: &Execution,
    mut stop: impl AsyncFnMut(),
    written: &mut Written,
) -> Result<ExecutionResult, Failure> {
    let id = started.id();
    let mut print = |stream, bytes: &[u8]| written.write(stream, bytes);
    let followed = output::follow(remote, id, &mut print);
    tokio::pin!(followed);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = &mut followed => return ended,
            () = stop() => {
                if std::mem::replace(&mut is_stopping, true) {
                    return Err(Failure::interrupted(format!("{id} is being stopped; its end is not waited for")));
                }
                let stopping = started.clone();
                // What comes meanwhile is still shown.
                tokio::spawn(async move {
                    if let Err(error) = stopping.cancel().await {
                        message::print(error);
                    }
                });
            }
        }
    }
}

/// Returns what the program reads if nothing is said about it: what this process reads, unless that is a device such as
/// /dev/null.
fn input(options: &RunOptions) -> StdinSource {
    // A name of a file is put in its place.
    if options.request.stdin.is_some() {
        return StdinSource::Inherit;
    }
    let is_device = fstat(rustix::stdio::stdin())
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice);
    match is_device && !io::stdin().is_terminal() {
        true => StdinSource::Null,
        false => StdinSource::Piped,
    }
}

/// Passes what this process reads on, to its end.
async fn pass_input(execution: Execution) {
    let stdin = execution.stdin();
    let Ok(mut pieces) = Pieces::read(io::stdin()) else { return };
    loop {
        match pieces.next().await {
            Ok(Some(piece)) => {
                if let Err(error) = stdin.write(piece).await {
                    // One that has ended reads no more.
                    tracing::debug!(%error, "input is not passed on");
                    return;
                }
            }
            Ok(None) => break,
            Err(error) => {
                message::print(format!("the input cannot be read: {error}"));
                break;
            }
        }
    }
    if let Err(error) = stdin.close().await {
        tracing::debug!(%error, "the end of the input is not passed on");
    }
}

/// Where the output goes, and how much came.
struct Written {
    to: Option<std::sync::Arc<std::fs::File>>,
    prefixed: Option<[Prefixed; 2]>,
    bytes: Bytes,
}

impl Written {
    fn new(options: &RunOptions) -> Result<Self, Failure> {
        let to = options.relay()?.and_then(|relay| relay.to);
        let prefixed = options
            .prefix
            .map(|prefix| [Prefixed::new(prefix, "stdout"), Prefixed::new(prefix, "stderr")]);
        Ok(Self { to, prefixed, bytes: Bytes::default() })
    }

    fn write(&mut self, stream: OutputStream, bytes: &[u8]) -> Result<(), Failure> {
        let is_stdout = stream == OutputStream::Stdout;
        let count = match is_stdout {
            true => &mut self.bytes.stdout,
            false => &mut self.bytes.stderr,
        };
        *count += bytes.len() as u64;
        let marked = self.prefixed.as_mut().map(|both| both[usize::from(!is_stdout)].lines(bytes));
        let bytes = marked.as_deref().unwrap_or(bytes);
        match &self.to {
            Some(file) => io::Write::write_all(&mut &**file, bytes)
                .map_err(|error| Failure::of_output(&error)),
            None if is_stdout => data::bytes(bytes),
            None => data::error_bytes(bytes),
        }
    }
}
