//! `exeng run`: runs a command here and now, with the engine in this process.
//!
//! The program has the terminal and the streams of `exeng`, and is in its process group, so the shell
//! and the terminal treat both as one: see `signals` for what is left to do.

#[cfg(feature = "fleet")]
mod elsewhere;
mod idle;
mod prefix;
mod program;
pub(crate) mod relay;
pub(crate) mod report;
mod signals;
mod terminal_job;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use execution_engine::blocking::{Execution, ExecutionEngine};
use execution_engine::{
    Ending, ExecutionConfig, ExecutionEvent, ExecutionOptions, ExecutionRequest, ExecutionResult,
    OutputMode, PassedDescriptors, StdinSource, Terminal,
};

use crate::failure::{Failure, is_of_descriptors};
use crate::option_names::of_command_line;
use crate::request::{RequestOptions, UsageError};
use crate::{exit_code, message};
#[cfg(feature = "fleet")]
pub(crate) use elsewhere::run_elsewhere;
use idle::Activity;
use prefix::Prefix;
use program::Program;
use relay::{Bytes, Relay, RelayOptions};
use report::ReportTarget;
use signals::SignalWatch;
use terminal_job::TerminalJob;

/// Options of `run`.
///
/// Those of the last heading need the output, so it passes through pipes.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) request: RequestOptions,
    /// Write the result (ending, usage, receipt, bytes) to a file as JSON; `-` is stdout, with
    /// --output
    #[arg(long, value_name = "FILE", help_heading = PIPED)]
    pub(crate) json: Option<PathBuf>,
    /// Mark each line with its stream, its time, or both: --prefix=stream,time
    #[arg(long, value_name = "MARKS", value_parser = prefix::parse, help_heading = PIPED)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "stream")]
    pub(crate) prefix: Option<Prefix>,
    /// Write both streams to a file, in the order in which they come; `null` discards them
    #[arg(long, value_name = "FILE|null", help_heading = PIPED)]
    pub(crate) output: Option<PathBuf>,
}

const PIPED: &str = "Output (with these and --idle-timeout the program writes to pipes, not to the \
                     terminal; it passes byte for byte and at once)";

impl RunOptions {
    /// Returns `true` if the output is needed here.
    fn needs_output(&self) -> bool {
        self.json.is_some()
            || self.prefix.is_some()
            || self.output.is_some()
            || self.request.idle_timeout.is_some()
    }

    /// Returns what is done with the output; `None` if the program has our streams.
    fn relay(&self) -> Result<Option<RelayOptions>, UsageError> {
        if !self.needs_output() {
            return Ok(None);
        }
        let path = self.output.as_deref().map(|path| match path.to_str() {
            Some("null") => Path::new("/dev/null"),
            _ => path,
        });
        let create = |path: &Path| {
            let failed = |error| UsageError::new(format!("--output: {}: {error}", path.display()));
            File::create(path).map(Arc::new).map_err(failed)
        };
        Ok(Some(RelayOptions { prefix: self.prefix, to: path.map(create).transpose()? }))
    }

    /// Opens the file for the result.
    fn report(&self) -> Result<Option<ReportTarget>, UsageError> {
        let Some(path) = &self.json else { return Ok(None) };
        match ReportTarget::open(path).map_err(UsageError::new)? {
            ReportTarget::Stdout if self.output.is_none() => Err(UsageError::new(
                "--json -: the output of the program goes to stdout, too; name a file, or send the \
                 output elsewhere with --output FILE or --output null",
            )),
            target => Ok(Some(target)),
        }
    }
}

/// Everything that is to be done, with its files open.
struct Task {
    request: ExecutionRequest,
    options: ExecutionOptions,
    relay: Option<RelayOptions>,
    idle: Option<Duration>,
    report: Option<ReportTarget>,
    /// What the program gets beside its standard streams.
    passed: PassedDescriptors,
}

impl Task {
    fn of(options: &RunOptions) -> Result<Self, UsageError> {
        #[cfg(feature = "fleet")]
        options.request.check_is_here()?;
        // Before anything is opened here.
        let passed = PassedDescriptors::inherited();
        let (request, mut execution) = options.request.to_request(StdinSource::Inherit)?;
        // The engine does not read the output.
        execution.idle_timeout_ms = None;
        Ok(Self {
            request,
            options: execution.output(OutputMode::Inherit).terminal(Terminal::Shared),
            relay: options.relay()?,
            idle: options.request.idle_timeout,
            report: options.report()?,
            passed,
        })
    }
}

/// Runs the command, and returns the code to exit with.
pub(crate) fn run(options: &RunOptions) -> ExitCode {
    let task = match Task::of(options) {
        Ok(task) => task,
        Err(fault) => return refuse(fault, exit_code::OURS),
    };
    match execute(task) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let code = exit_code::of_error(&error);
            refuse(of_command_line(&error.to_string()), code)
        }
    }
}

/// Runs a command to its end, and returns the code to exit with.
fn execute(task: Task) -> execution_engine::Result<u8> {
    let Task { request, options, relay, idle, mut report, passed } = task;
    let job = TerminalJob::of_this_process().map(Arc::new);
    // The user waits for the program.
    let engine = execution_engine::ExecutionEngine::builder().config(config()).host_guard_beside();
    let engine = ExecutionEngine::from(engine.build()?);
    let activity = Arc::new(Activity::default());
    // Before the program is started, so that a signal meanwhile stops it.
    let signals = SignalWatch::new(job.is_some());
    let relay = match relay.map(|relay| Relay::begin(&relay, &activity)).transpose() {
        Ok(relay) => relay,
        Err(error) if is_of_descriptors(&error) => {
            return Ok(failed(Failure::of_descriptors(&error)));
        }
        Err(error) => return Ok(failed(format_args!("the output cannot be passed on: {error}"))),
    };
    let mut watch = Watch { engine, signals, job, program: Arc::new(Program::new(activity)), idle };
    let ended = watch.follow(request, options, passed);
    let (bytes, passed) = relay.map_or_else(|| (Bytes::default(), Ok(())), Relay::end);
    let result = ended?;
    if let Some(job) = &watch.job {
        job.restore(&result.ending);
    }
    tell(&result);
    let mut code = code(&result, &watch.signals);
    if let Err(error) = passed {
        code = failed(format_args!("output was lost: {error}"));
    }
    if let Some(Err(fault)) = report.as_mut().map(|report| report.write(&result, bytes)) {
        code = failed(fault);
    }
    Ok(code)
}

fn failed(reason: impl std::fmt::Display) -> u8 {
    message::print(reason);
    exit_code::OURS
}

/// What a running program is watched with.
struct Watch {
    engine: ExecutionEngine,
    signals: SignalWatch,
    /// `None` without a terminal.
    job: Option<Arc<TerminalJob>>,
    program: Arc<Program>,
    idle: Option<Duration>,
}

impl Watch {
    /// Starts the program, reacts to signals, and waits for the end.
    fn follow(
        &mut self,
        request: ExecutionRequest,
        options: ExecutionOptions,
        passed: PassedDescriptors,
    ) -> execution_engine::Result<ExecutionResult> {
        let execution = self.engine.start_passing(request, options, passed)?;
        if let Some(longest) = self.idle {
            self.program.activity().watch(&execution, longest);
        }
        let mut events = execution.events()?;
        // A start has been told by now, so that what comes first finds the program.
        events.next().into_iter().for_each(|record| self.note(&record.event, &execution));
        self.signals.begin(&self.engine, &execution, &self.program, self.job.as_ref());
        events.for_each(|record| self.note(&record.event, &execution));
        self.program.has_ended();
        let mut result = execution.wait()?;
        if let Some(longest) = self.idle
            && self.program.activity().has_expired()
            && result.ending == Ending::Cancelled
        {
            let idle_timeout_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
            result.ending = Ending::IdleTimedOut { idle_timeout_ms };
            result.status = result.ending.status();
            result.error = Some(result.ending.to_string());
        }
        Ok(result)
    }

    /// Notes which process is the program now.
    fn note(&self, event: &ExecutionEvent, execution: &Execution) {
        match event {
            ExecutionEvent::Started { pid, .. } => self.program.has_started(*pid),
            ExecutionEvent::Retrying { .. } => {
                self.program.has_ended();
                if self.program.is_interrupted() {
                    // The user has pressed Ctrl-C: that attempt was the last one.
                    let _ended = execution.cancel();
                }
            }
            _ => {}
        }
    }
}

/// Says what the exit code alone cannot tell. A program that ended by itself has said what it had to
/// say.
fn tell(result: &ExecutionResult) {
    match &result.ending {
        Ending::Exited { .. } | Ending::Signaled { .. } | Ending::Cancelled => {}
        ending => message::print(of_command_line(&ending.to_string())),
    }
    for survivor in &result.containment.survivors {
        let (pid, name) = (survivor.pid, &survivor.name);
        message::print(format_args!("process {pid} ({name}) is left: {}", survivor.reason));
    }
}

fn code(result: &ExecutionResult, signals: &SignalWatch) -> u8 {
    match result.ending {
        // Sent to the whole process group, and the program was faster than we.
        Ending::Signaled { signal, .. } if signals.has_got(signal) => exit_code::CANCELLED,
        ref ending => exit_code::of_end(ending, result.signal),
    }
}

/// Returns the configuration of an engine for one command, which has no bounds but those that were
/// asked for.
fn config() -> ExecutionConfig {
    ExecutionConfig {
        default_timeout_ms: u64::MAX,
        max_timeout_ms: u64::MAX,
        stream_output: false,
        ..ExecutionConfig::default()
    }
}

fn refuse(reason: impl std::fmt::Display, code: u8) -> ExitCode {
    message::print(reason);
    ExitCode::from(code)
}
