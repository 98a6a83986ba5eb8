//! Launch: starts the program on the caller's thread, and again on a worker if the system refuses
//! it for the moment.

use std::path::Path;
use std::time::Duration;

use execution_engine_process::{
    Child, Containment, Launch, Leftovers, Limits, PipeReader, SpawnError, SpawnErrorKind,
    SpawnStage, Spawned,
};

use super::active::ActiveExecution;
use super::completion::AttemptOutcome;
use super::context::PhaseContext;
use super::run::boxed;
use super::stdin::{StdinFeed, StdinFeeder, stdin_pair};
use super::termination::{self, StopSequence, stop_tree};
use crate::output::{ExecutionLogs, OutputReader, OutputSettings};
use crate::prepare;
use crate::types::{Ending, StdinSource};

/// Delays between tries to start a program, some half a second in all. ETXTBSY lasts until another
/// thread's child has closed the file that it inherited for writing; EAGAIN until a process of this
/// user has exited.
const RETRY_DELAYS_MS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// Everything that one attempt needs.
pub(crate) struct AttemptSpec {
    pub(crate) launch: Launch,
    pub(crate) stdin: StdinSource,
    pub(crate) feed: StdinFeed,
    pub(crate) output: OutputSettings,
    pub(crate) params: ExecutionParams,
}

/// What the options of one execution ask of its phases.
#[derive(Debug, Clone)]
pub(crate) struct ExecutionParams {
    /// None is unlimited.
    pub(crate) timeout: Option<Duration>,
    pub(crate) stop: StopSequence,
    /// Limit for reading what is left in the pipes when everything has ended.
    pub(crate) drain: Duration,
    /// Limit for all pauses together.
    pub(crate) max_pause: Duration,
    pub(crate) leftovers: Leftovers,
    /// None without limits, which is most executions.
    pub(crate) limits: Option<Box<Limits>>,
}

/// A program that was launched, and what its supervision needs.
pub(crate) struct LaunchedProgram {
    outcome: LaunchOutcome,
    logs: ExecutionLogs,
    feed: StdinFeed,
    output: OutputSettings,
    params: ExecutionParams,
}

/// How starting a program went.
#[expect(clippy::large_enum_variant, reason = "nearly all are the largest, and they are boxed")]
enum LaunchOutcome {
    Running(Spawned),
    /// The system has refused it, perhaps only for the moment.
    Refused(Box<Launch>, SpawnError),
    Failed(Ending),
}

/// A running program, registered with the reactor of its worker.
pub(super) struct RunningProgram {
    pub(super) child: Child,
    pub(super) reader: OutputReader,
    pub(super) feeder: Option<StdinFeeder>,
    pub(super) params: ExecutionParams,
}

/// An attempt without a program to supervise.
pub(super) struct FailedLaunch {
    ending: Ending,
    logs: ExecutionLogs,
    /// A program that runs, but whose descriptors could not be registered with the reactor.
    unsupervised: Option<(Child, StopSequence)>,
}

impl AttemptSpec {
    /// Returns a copy for another attempt, with an input of its own.
    pub(crate) fn for_another_attempt(&self) -> Self {
        Self {
            launch: self.launch.clone(),
            stdin: self.stdin.clone(),
            feed: stdin_pair(&self.stdin).1,
            output: self.output.clone(),
            params: self.params.clone(),
        }
    }

    /// Fixes the working directory for a program that starts later: the host may be elsewhere by
    /// then.
    pub(crate) fn stay_in_current_dir(&mut self) {
        let dir = self.launch.working_dir.take();
        self.launch.working_dir = dir.or_else(prepare::current_dir);
    }
}

/// Begins an attempt: starts its program, and publishes that it runs.
///
/// This happens on the caller's thread, which it blocks for as long as `vfork` does. A single
/// thread that starts all programs would be a queue in front of every caller.
pub(crate) fn launch(
    cx: &mut PhaseContext,
    spec: AttemptSpec,
    logs: ExecutionLogs,
) -> Box<LaunchedProgram> {
    cx.begin_attempt();
    let AttemptSpec { mut launch, stdin, feed, output, params } = spec;
    let outcome = match prepare::open_stdin(&stdin) {
        Ok(stdin) => {
            launch.stdin = stdin;
            first_try(&cx.engine.containment, launch)
        }
        Err(error) => {
            LaunchOutcome::Failed(Ending::SpawnFailed { reason: error.to_string(), os_error: None })
        }
    };
    outcome.publish(cx);
    Box::new(LaunchedProgram { outcome, logs, feed, output, params })
}

fn first_try(containment: &Containment, launch: Launch) -> LaunchOutcome {
    match containment.spawn(&launch) {
        Ok(spawned) => LaunchOutcome::Running(spawned),
        Err(error) if error.is_transient() => LaunchOutcome::Refused(Box::new(launch), error),
        Err(error) => LaunchOutcome::Failed(spawn_failed(&error, &launch)),
    }
}

/// Tries again until it works, cannot work, or the execution has been stopped.
#[expect(clippy::disallowed_methods, reason = "waits out a refusal that passes, such as ETXTBSY")]
async fn try_again(
    containment: &Containment,
    launch: &Launch,
    error: &mut SpawnError,
    active: &ActiveExecution,
) -> Option<LaunchOutcome> {
    for delay in RETRY_DELAYS_MS {
        tokio::select! {
            () = active.ending_decided() => break,
            () = tokio::time::sleep(Duration::from_millis(delay)) => {}
        }
        match containment.spawn(launch) {
            Ok(spawned) => return Some(LaunchOutcome::Running(spawned)),
            Err(next) if next.is_transient() => *error = next,
            Err(last) => return Some(LaunchOutcome::Failed(spawn_failed(&last, launch))),
        }
    }
    None
}

impl LaunchedProgram {
    /// Waits until the program runs, and registers it with the reactor of this runtime.
    pub(super) async fn running(
        mut self: Box<Self>,
        cx: &PhaseContext,
    ) -> Result<Box<RunningProgram>, Box<FailedLaunch>> {
        if let LaunchOutcome::Refused(launch, error) = &mut self.outcome {
            let retried = try_again(&cx.engine.containment, launch, error, &cx.active);
            if let Some(outcome) = boxed(retried).await {
                outcome.publish(cx);
                self.outcome = outcome;
            }
        }
        RunningProgram::register(*self)
    }
}

impl LaunchOutcome {
    fn publish(&self, cx: &PhaseContext) {
        if let Self::Running(spawned) = self {
            cx.publish_started(spawned.child.id());
        }
    }
}

impl RunningProgram {
    fn register(launched: LaunchedProgram) -> Result<Box<Self>, Box<FailedLaunch>> {
        let LaunchedProgram { outcome, logs, feed, output, params } = launched;
        let started = match outcome {
            LaunchOutcome::Running(spawned) => Ok(spawned),
            LaunchOutcome::Failed(ending) => Err(ending),
            LaunchOutcome::Refused(launch, error) => Err(spawn_failed(&error, &launch)),
        };
        let Spawned { mut child, stdin, mut stdout, mut stderr } = match started {
            Ok(spawned) => spawned,
            Err(ending) => {
                return Err(Box::new(FailedLaunch { ending, logs, unsupervised: None }));
            }
        };
        let registered = child
            .register()
            .and_then(|()| stdout.register())
            .and_then(|()| stderr.as_mut().map_or(Ok(()), PipeReader::register))
            .and_then(|()| feed.start(stdin));
        match registered {
            Ok(feeder) => {
                let reader = OutputReader::new([Some(stdout), stderr], logs, output);
                Ok(Box::new(Self { child, reader, feeder, params }))
            }
            Err(error) => {
                let ending = Ending::EngineFailed { reason: error.to_string() };
                let unsupervised = Some((child, params.stop));
                Err(Box::new(FailedLaunch { ending, logs, unsupervised }))
            }
        }
    }
}

/// Decides the ending of an attempt that has no program to supervise, and stops one that runs all
/// the same.
pub(super) async fn finish_failed_launch(
    cx: &PhaseContext,
    failed: Box<FailedLaunch>,
) -> (ExecutionLogs, AttemptOutcome) {
    let FailedLaunch { ending, logs, unsupervised } = *failed;
    cx.decide(ending);
    let mut receipt = cx.nothing_to_stop();
    if let Some((mut child, stop)) = unsupervised {
        let tree = termination::look(&mut child);
        receipt = stop_tree(&mut child, tree, receipt, stop, &cx.active).await;
    }
    (logs, AttemptOutcome::without_program(receipt))
}

fn spawn_failed(error: &SpawnError, launch: &Launch) -> Ending {
    let reason = match hint(error.kind()) {
        // It existed when the request was checked.
        Some(_) if error.stage == SpawnStage::Exec && !exists(launch) => {
            format!("{error}; {} no longer exists", launch.program.display())
        }
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    Ending::SpawnFailed { reason, os_error: error.source.raw_os_error() }
}

fn exists(launch: &Launch) -> bool {
    let base = launch.working_dir.as_deref().unwrap_or(Path::new(""));
    base.join(&launch.program).exists()
}

/// Returns what to do about a failure, where the system's own message does not say it.
fn hint(kind: SpawnErrorKind) -> Option<&'static str> {
    Some(match kind {
        SpawnErrorKind::NotExecutable => {
            "not an executable for this platform, or a script without a #! line; set `interpreter`"
        }
        // The kernel reports a missing interpreter of a script as if the script were missing.
        SpawnErrorKind::NotFound => "the interpreter that its #! line names may be missing",
        SpawnErrorKind::TooLong => {
            "the arguments and the environment together are too long; pass data in a file"
        }
        SpawnErrorKind::NoNullDevice => {
            "this host has no /dev/null, which a program without input reads"
        }
        SpawnErrorKind::Busy => "the program file is still being written",
        SpawnErrorKind::ProcessLimit => {
            "the limit of processes is reached; raise it or run fewer at a time"
        }
        SpawnErrorKind::OpenFileLimit => {
            "the limit of open files is reached; raise it or run fewer at a time"
        }
        _ => return None,
    })
}
