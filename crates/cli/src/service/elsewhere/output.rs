//! `exeng logs --on`, and following an execution of a fleet.

use std::time::{Duration, Instant};

use execution_engine::{
    Backend as _, BackendEvent, BackendRecord, ExecutionError, ExecutionResult, OutputStream, Uuid,
};
use execution_engine_fleet::{FleetError, FleetEvent, Position, Stream};

use super::{Remote, refuse};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::fleet::rest;
use crate::message;
use crate::option_names::of_command_line;
use crate::service::logs::{LogsOptions, Printer};

/// Prints the output of executions.
pub(super) async fn logs(global: &GlobalOptions, options: &LogsOptions) -> Result<u8, Failure> {
    refuse(&[
        (options.tail.is_some(), "--tail"),
        (options.prefix, "--prefix"),
        (options.json, "--json"),
        (options.follow && options.ids.len() > 1, "--follow of several"),
    ])?;
    let remote = Remote::connect(global).await?;
    for name in &options.ids {
        let id = remote.id(name).await?;
        let wanted = options.stream.map(OutputStream::from);
        let mut printer = Printer::new(options.raw);
        let mut print = |stream, bytes: &[u8]| match wanted.is_none_or(|wanted| wanted == stream) {
            true => printer.print(bytes),
            false => Ok(()),
        };
        match options.follow {
            true => drop(follow(&remote, id, &mut print).await?),
            false => what_there_is(&remote, id, &mut print).await?,
        }
        printer.finish()?;
    }
    Ok(0)
}

/// Returns whether the fleet knows an execution.
pub(in crate::service) async fn is_known(remote: &Remote, id: Uuid) -> Result<bool, FleetError> {
    match remote.client.state(id).await {
        Ok(_) => Ok(true),
        Err(FleetError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives the output that there is now to a function, and tells what is missing.
pub(in crate::service) async fn what_there_is(
    remote: &Remote,
    id: Uuid,
    print: &mut impl FnMut(OutputStream, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let tell = |event: &FleetEvent| match event {
        FleetEvent::Missed(_, bytes) => missed(*bytes),
        FleetEvent::Lost(start) => lost(&start.worker),
        _ => {}
    };
    read_now(remote, id, print, tell).await
}

/// Gives the output that there is now to a function, and what else the log has to another one.
pub(in crate::service) async fn read_now(
    remote: &Remote,
    id: Uuid,
    print: &mut impl FnMut(OutputStream, &[u8]) -> Result<(), Failure>,
    tell: impl Fn(&FleetEvent),
) -> Result<(), Failure> {
    remote.client.state(id).await.map_err(Failure::new)?;
    let mut follower = remote.client.follow(id, Position::default());
    while let Some((_, event)) = follower.next_now().await.map_err(Failure::new)? {
        match event {
            FleetEvent::Output { runs, mut bytes } => {
                for (stream, length) in runs {
                    let stream = match stream {
                        Stream::Stdout => OutputStream::Stdout,
                        Stream::Stderr => OutputStream::Stderr,
                    };
                    print(stream, &bytes.split_to((length as usize).min(bytes.len())))?;
                }
            }
            other => tell(&other),
        }
    }
    Ok(())
}

fn missed(bytes: u64) {
    message::print(format!("{bytes} bytes of output are missing here"));
}

fn lost(worker: &str) {
    message::note(format!("worker {worker} is gone; another attempt follows"));
}

/// Gives all output of an execution to a function, as it comes, and returns the result. Servers that do not answer are
/// asked again, for as long as that takes: the execution goes on.
pub(crate) async fn follow(
    remote: &Remote,
    id: Uuid,
    print: &mut impl FnMut(OutputStream, &[u8]) -> Result<(), Failure>,
) -> Result<ExecutionResult, Failure> {
    let (mut cursor, mut silence) = (0, Silence::new());
    loop {
        let records = match remote.backend.next(id, cursor).await {
            Ok(records) => records,
            Err(error @ ExecutionError::Backend { .. }) => {
                silence.note(&error);
                rest(AFTER_FAILURE).await;
                continue;
            }
            Err(error) => return Err(Failure::new(error)),
        };
        silence.is_over();
        for BackendRecord { cursor: at, event } in records {
            cursor = at;
            match event {
                BackendEvent::Output { stream, bytes } => print(stream, &bytes)?,
                BackendEvent::OutputMissed { bytes, .. } => missed(bytes),
                BackendEvent::AttemptLost { ending, .. } => {
                    message::note(format!("{ending}; another attempt follows"));
                }
                BackendEvent::Ended(result) => return Ok(*result),
                _ => {}
            }
        }
    }
}

/// Tells once that no server answers, and once that one does again.
struct Silence {
    answered: Instant,
    is_told: bool,
}

impl Silence {
    fn new() -> Self {
        Self { answered: Instant::now(), is_told: false }
    }

    fn note(&mut self, error: &ExecutionError) {
        if !std::mem::replace(&mut self.is_told, true) {
            let since = self.answered.elapsed().as_secs().max(1);
            message::note(format!("no server answers since {since} s; trying again ({error})"));
        }
    }

    fn is_over(&mut self) {
        self.answered = Instant::now();
        if std::mem::take(&mut self.is_told) {
            message::note("the servers answer again");
        }
    }
}

/// Returns the result of an execution, once it has ended.
pub(crate) async fn result(remote: &Remote, id: Uuid) -> Result<ExecutionResult, Failure> {
    follow(remote, id, &mut |_, _| Ok(())).await
}

/// Pause after servers that gave no answer.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Waits for the end of an execution, with its output on the streams of this process or without, and says what its exit
/// code alone cannot tell.
pub(super) async fn follow_id(
    remote: &Remote,
    id: Uuid,
    shows: bool,
) -> Result<ExecutionResult, Failure> {
    let mut printer = Printer::new(false);
    let ended = match shows {
        true => follow(remote, id, &mut |_, bytes| printer.print(bytes)).await?,
        false => result(remote, id).await?,
    };
    printer.finish()?;
    tell(&ended);
    Ok(ended)
}

/// Says what was to be collected and was not.
pub(crate) fn tell_not_collected(ended: &ExecutionResult) {
    for error in &ended.collect_errors {
        message::print(format!("not collected: {error}"));
    }
}

/// Says what the exit code alone cannot tell.
pub(super) fn tell(ended: &ExecutionResult) {
    tell_not_collected(ended);
    use execution_engine::Ending;
    if !matches!(ended.ending, Ending::Exited { .. } | Ending::Signaled { .. }) {
        message::print(format!("{}: {}", ended.id, of_command_line(&ended.ending.to_string())));
    }
}
