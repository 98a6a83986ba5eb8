//! `exeng logs --on`, and following an execution of a fleet.

use std::time::{Duration, Instant};

use execution_engine::{
    Backend as _, BackendEvent, BackendRecord, ExecutionError, ExecutionResult, OutputStream, Uuid,
};
use execution_engine_fleet::FleetError;

use super::last_lines::LastLines;
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
        (options.prefix, "--prefix"),
        (options.json, "--json"),
        (options.follow && options.ids.len() > 1, "--follow of several"),
    ])?;
    let remote = Remote::connect(global).await?;
    for name in &options.ids {
        let id = remote.id(name).await?;
        let wanted = options.stream.map(OutputStream::from);
        let mut printer = Printer::new(options.raw);
        let mut reading = Reading::new(&remote, id);
        let ended = match options.tail {
            Some(lines) => reading.last_lines(lines, wanted, &mut printer).await?,
            None => None,
        };
        let mut print = |stream, bytes: &[u8]| match is_wanted(wanted, stream) {
            true => printer.print(bytes),
            false => Ok(()),
        };
        match (options.follow, options.tail, ended) {
            (_, _, Some(_)) | (false, Some(_), _) => {}
            (true, _, None) => drop(reading.until_end(&mut print).await?),
            (false, None, None) => drop(reading.now(&mut print).await?),
        }
        printer.finish()?;
    }
    Ok(0)
}

fn is_wanted(wanted: Option<OutputStream>, stream: OutputStream) -> bool {
    wanted.is_none_or(|wanted| wanted == stream)
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
    Reading::new(remote, id).now(print).await.map(drop)
}

/// Gives the output that there is now to a function, and says nothing about what is missing.
pub(in crate::service) async fn read_now(
    remote: &Remote,
    id: Uuid,
    print: &mut impl FnMut(OutputStream, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reading = Reading { say: |_| {}, ..Reading::new(remote, id) };
    reading.now(print).await.map(drop)
}

/// Gives all output of an execution to a function, as it comes, and returns the result. Servers that do not answer are
/// asked again, for as long as that takes: the execution goes on.
pub(crate) async fn follow(
    remote: &Remote,
    id: Uuid,
    print: &mut impl FnMut(OutputStream, &[u8]) -> Result<(), Failure>,
) -> Result<ExecutionResult, Failure> {
    Reading::new(remote, id).until_end(print).await
}

/// An execution that is being read.
pub(super) struct Reading<'a> {
    remote: &'a Remote,
    id: Uuid,
    /// That of the last record.
    cursor: u64,
    /// Says what happened beside output.
    say: fn(&BackendEvent),
}

impl<'a> Reading<'a> {
    /// Creates one that begins with the first record.
    pub(super) fn new(remote: &'a Remote, id: Uuid) -> Self {
        Self { remote, id, cursor: 0, say }
    }

    /// Gives the output that there is now to a function. Returns the result if it has ended.
    pub(super) async fn now(
        &mut self,
        print: &mut impl FnMut(OutputStream, &[u8]) -> Result<(), Failure>,
    ) -> Result<Option<ExecutionResult>, Failure> {
        loop {
            let read = self.remote.backend.next_now(self.id, self.cursor).await;
            let records = read.map_err(Failure::new)?;
            if records.is_empty() {
                return Ok(None);
            }
            if let Some(ended) = self.take(records, print)? {
                return Ok(Some(ended));
            }
        }
    }

    /// Prints the last lines that there are now, of one stream or both. Returns the result if it has ended.
    pub(super) async fn last_lines(
        &mut self,
        lines: u64,
        wanted: Option<OutputStream>,
        printer: &mut Printer,
    ) -> Result<Option<ExecutionResult>, Failure> {
        let mut last = LastLines::new(lines);
        let mut keep = |stream, bytes: &[u8]| {
            if is_wanted(wanted, stream) {
                last.push(bytes);
            }
            Ok(())
        };
        let ended = self.now(&mut keep).await?;
        last.into_lines().try_for_each(|line| printer.print(&line))?;
        Ok(ended)
    }

    /// Gives the output that follows to a function, as it comes, and returns the result.
    pub(super) async fn until_end(
        &mut self,
        print: &mut impl FnMut(OutputStream, &[u8]) -> Result<(), Failure>,
    ) -> Result<ExecutionResult, Failure> {
        let mut silence = Silence::new();
        loop {
            let records = match self.remote.backend.next(self.id, self.cursor).await {
                Ok(records) => records,
                Err(error @ ExecutionError::Backend { .. }) => {
                    silence.note(&error);
                    rest(AFTER_FAILURE).await;
                    continue;
                }
                Err(error) => return Err(Failure::new(error)),
            };
            silence.is_over();
            if let Some(ended) = self.take(records, print)? {
                return Ok(ended);
            }
        }
    }

    /// Takes records. Returns the result if the last one is among them.
    fn take(
        &mut self,
        records: Vec<BackendRecord>,
        print: &mut impl FnMut(OutputStream, &[u8]) -> Result<(), Failure>,
    ) -> Result<Option<ExecutionResult>, Failure> {
        for BackendRecord { cursor, event } in records {
            self.cursor = cursor;
            match event {
                BackendEvent::Output { stream, bytes } => print(stream, &bytes)?,
                BackendEvent::Ended(result) => return Ok(Some(*result)),
                other => (self.say)(&other),
            }
        }
        Ok(None)
    }
}

/// Says what is missing of the output, and which attempts are lost.
fn say(event: &BackendEvent) {
    match event {
        BackendEvent::OutputMissed { bytes, .. } => {
            message::print(format!("{bytes} bytes of output are missing here"));
        }
        BackendEvent::AttemptLost { ending, .. } => {
            message::note(format!("{ending}; another attempt follows"));
        }
        _ => {}
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
pub(super) const AFTER_FAILURE: Duration = Duration::from_secs(1);

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
