//! Launch: starts the program on the thread that calls it, and tries again on the execution's starter
//! if the system refuses it for the moment.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use execution_engine_process::{
    Child, Containment, Launch, Leftovers, Limits, PipeReader, Spawned, Stdin,
    is_transient_os_error,
};

use super::completion::AttemptOutcome;
use super::context::PhaseContext;
use super::pauses::StartPauses;
use super::run::boxed;
use super::state::StateInput;
use super::stdin::{StdinFeed, StdinFeeder, stdin_pair};
use super::termination::{self, StopSequence, stop_tree};
use crate::output::{ExecutionLogs, OutputReader, OutputSettings};
use crate::prepare;
use crate::runtime::Starter;
use crate::testing::{Player, ScriptedStart};
use crate::types::{Ending, StdinSource};

/// Everything that one attempt needs.
pub(crate) struct AttemptSpec {
    pub(crate) launch: Launch,
    /// What is played instead, in an engine for tests.
    pub(crate) scripted: Option<Box<ScriptedStart>>,
    pub(crate) stdin: StdinSource,
    /// Script that is looked at before the start, where no link is followed.
    pub(crate) script: Option<Box<Path>>,
    pub(crate) feed: StdinFeed,
    pub(crate) output: OutputSettings,
    pub(crate) params: ExecutionParams,
}

/// What the options of one execution ask of its phases.
#[derive(Debug, Clone)]
pub(crate) struct ExecutionParams {
    pub(crate) stop: StopSequence,
    /// Limit for reading what is left in the pipes when everything has ended.
    pub(crate) drain: Duration,
    pub(crate) leftovers: Leftovers,
    /// How long these may go on before; None not at all.
    pub(crate) leftovers_wait: Option<Duration>,
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
    Running(Spawned, Option<Box<Player>>),
    /// The system has refused it, perhaps only for the moment.
    Refused(Box<RefusedStart>),
    Failed(Ending),
    /// The execution was stopped before.
    Stopped,
}

/// A start that the system has refused.
struct RefusedStart {
    start: ProgramStart,
    failure: Ending,
    starter: Starter,
}

/// What is tried: to open the input, unless an earlier try has, and to start the program.
struct ProgramStart {
    launch: Launch,
    scripted: Option<Box<ScriptedStart>>,
    stdin: StdinSource,
    script: Option<Box<Path>>,
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
    /// None if another one was decided.
    ending: Option<Ending>,
    logs: ExecutionLogs,
    /// A program that runs, but whose descriptors could not be registered with the reactor.
    unsupervised: Option<(Child, StopSequence)>,
}

impl AttemptSpec {
    /// Returns a copy for another attempt, with an input of its own.
    pub(crate) fn for_another_attempt(&self) -> Self {
        Self {
            launch: self.launch.clone(),
            scripted: self.scripted.clone(),
            stdin: self.stdin.clone(),
            script: self.script.clone(),
            feed: stdin_pair(&self.stdin).1,
            output: self.output.clone(),
            params: self.params.clone(),
        }
    }

    /// Fixes the working directory for a program that starts later: the host may be elsewhere by
    /// then.
    pub(crate) fn stay_in_current_dir(&mut self) {
        stay_in_current_dir(&mut self.launch);
    }
}

fn stay_in_current_dir(launch: &mut Launch) {
    let dir = launch.working_dir.take();
    launch.working_dir = dir.or_else(prepare::current_dir);
}

/// Begins an attempt: starts its program, and publishes that it runs.
///
/// This happens on the calling thread, which it blocks for as long as `vfork` does: that of the
/// engine's caller, or the [`Starter`]. A single thread that starts all programs would be a queue in
/// front of every caller.
pub(crate) fn launch(
    cx: &mut PhaseContext,
    spec: AttemptSpec,
    logs: ExecutionLogs,
) -> Box<LaunchedProgram> {
    cx.begin_attempt();
    let AttemptSpec { launch, scripted, stdin, script, feed, output, params } = spec;
    let outcome = if may_start(cx) {
        let outcome = first_try(cx, ProgramStart { launch, scripted, stdin, script });
        tell(cx, outcome)
    } else {
        LaunchOutcome::Stopped
    };
    Box::new(LaunchedProgram { outcome, logs, feed, output, params })
}

/// Returns true if a start is granted: the execution has not been stopped. [`tell`] follows.
fn may_start(cx: &PhaseContext) -> bool {
    cx.active.apply(StateInput::Starting).is_ok()
}

/// Publishes that the program runs, or takes back the grant.
fn tell(cx: &PhaseContext, outcome: LaunchOutcome) -> LaunchOutcome {
    if let LaunchOutcome::Running(spawned, _) = &outcome {
        cx.publish_started(spawned.child.id());
    } else {
        let _granted = cx.active.apply(StateInput::NotStarted);
    }
    outcome
}

fn first_try(cx: &PhaseContext, mut start: ProgramStart) -> LaunchOutcome {
    match start.attempt(&cx.engine.containment) {
        Ok((spawned, player)) => LaunchOutcome::Running(spawned, player),
        Err(failure) if is_transient(&failure) => match cx.engine.runtime.starter() {
            Ok(starter) => {
                stay_in_current_dir(&mut start.launch);
                LaunchOutcome::Refused(Box::new(RefusedStart { start, failure, starter }))
            }
            // There is no thread to try it again on.
            Err(_) => LaunchOutcome::Failed(failure),
        },
        Err(failure) => LaunchOutcome::Failed(failure),
    }
}

impl ProgramStart {
    fn attempt(
        &mut self,
        containment: &Containment,
    ) -> Result<(Spawned, Option<Box<Player>>), Ending> {
        let launch = &mut self.launch;
        // Kept once it is open: to close a FIFO would cost its writer the reader.
        if !matches!(launch.stdin, Stdin::File(_)) {
            launch.stdin = prepare::open_stdin(&self.stdin, launch.links)?;
        }
        if let Some(scripted) = &self.scripted {
            let (spawned, player) = scripted.start(launch, containment.level())?;
            return Ok((spawned, Some(player)));
        }
        if let Some(script) = &self.script {
            prepare::check_script(script)?;
        }
        let failed = |error| prepare::spawn_failed(launch, &error);
        let spawned = containment.spawn(launch).map_err(failed)?;
        Ok((spawned, None))
    }
}

/// Tries again until it works, cannot work, or the execution has been stopped.
async fn try_again(cx: &PhaseContext, refused: Box<RefusedStart>) -> LaunchOutcome {
    let RefusedStart { mut start, mut failure, starter } = *refused;
    let mut pauses = StartPauses::new();
    while pauses.next(cx, os_error(&failure)).await {
        if !may_start(cx) {
            return LaunchOutcome::Stopped;
        }
        let containment = cx.engine.containment.clone();
        let tried = starter.run(move || (start.attempt(&containment), start)).await;
        let outcome = match tried {
            Some((Ok((spawned, player)), _)) => LaunchOutcome::Running(spawned, player),
            Some((Err(next), again)) if is_transient(&next) => {
                let _granted = cx.active.apply(StateInput::NotStarted);
                (start, failure) = (again, next);
                continue;
            }
            Some((Err(last), _)) => LaunchOutcome::Failed(last),
            None => LaunchOutcome::Failed(lost()),
        };
        return tell(cx, outcome);
    }
    LaunchOutcome::Failed(failure)
}

/// Returns the number of the system's error behind a failed start.
fn os_error(failure: &Ending) -> Option<i32> {
    if let Ending::SpawnFailed { os_error, .. } = failure { *os_error } else { None }
}

/// Returns true if the next try may work.
fn is_transient(failure: &Ending) -> bool {
    os_error(failure).is_some_and(is_transient_os_error)
}

/// Returns the ending of an execution whose starter has panicked.
fn lost() -> Ending {
    let reason = "internal error: the thread that was to start it ended unexpectedly".to_string();
    Ending::EngineFailed { reason }
}

impl LaunchedProgram {
    /// Waits until the program runs, and registers it with the reactor of this runtime.
    pub(super) async fn running(
        mut self: Box<Self>,
        cx: &PhaseContext,
    ) -> Result<Box<RunningProgram>, Box<FailedLaunch>> {
        if let LaunchOutcome::Refused(refused) = self.outcome {
            self.outcome = boxed(try_again(cx, refused)).await;
        }
        RunningProgram::register(cx, *self)
    }
}

impl RunningProgram {
    fn register(
        cx: &PhaseContext,
        launched: LaunchedProgram,
    ) -> Result<Box<Self>, Box<FailedLaunch>> {
        let LaunchedProgram { outcome, logs, feed, output, params } = launched;
        let started = match outcome {
            LaunchOutcome::Running(spawned, player) => Ok((spawned, player)),
            LaunchOutcome::Failed(ending) => Err(Some(ending)),
            LaunchOutcome::Refused(refused) => Err(Some(refused.failure)),
            LaunchOutcome::Stopped => Err(None),
        };
        let (Spawned { mut child, stdin, mut stdout, mut stderr }, player) = match started {
            Ok(started) => started,
            Err(ending) => {
                return Err(Box::new(FailedLaunch { ending, logs, unsupervised: None }));
            }
        };
        let registered = child
            .register()
            .and_then(|()| register(&mut stdout))
            .and_then(|()| register(&mut stderr))
            .and_then(|()| feed.start(stdin));
        if let Some(player) = player {
            tokio::spawn(player.run());
        }
        match registered {
            Ok(feeder) => {
                let mut reader = OutputReader::new([stdout, stderr], logs, output);
                if let Some(sink) = &cx.sink {
                    reader = reader.with_sink(Arc::clone(sink), cx.active.attempt(), child.id());
                }
                Ok(Box::new(Self { child, reader, feeder, params }))
            }
            Err(error) => {
                let reason = format!("the program cannot be watched: {error}");
                let ending = Some(Ending::EngineFailed { reason });
                let unsupervised = Some((child, params.stop));
                Err(Box::new(FailedLaunch { ending, logs, unsupervised }))
            }
        }
    }
}

fn register(pipe: &mut Option<PipeReader>) -> std::io::Result<()> {
    pipe.as_mut().map_or(Ok(()), PipeReader::register)
}

/// Decides the ending of an attempt that has no program to supervise, and stops one that runs all
/// the same.
pub(super) async fn finish_failed_launch(
    cx: &PhaseContext,
    failed: Box<FailedLaunch>,
) -> (ExecutionLogs, AttemptOutcome) {
    let FailedLaunch { ending, logs, unsupervised } = *failed;
    if let Some(ending) = ending {
        cx.decide(ending);
    }
    let mut receipt = cx.nothing_to_stop();
    if let Some((mut child, stop)) = unsupervised {
        let tree = termination::look(&mut child);
        receipt = stop_tree(&mut child, tree, stop, &cx.active).await;
    }
    (logs, AttemptOutcome::without_program(receipt))
}
