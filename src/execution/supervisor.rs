//! The task that owns one execution from its start to its ending.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use execution_engine_process::{Child, Exit, Launch, Leftovers, Limits, SpawnError, Spawned, Tree};
use tokio::time::timeout;

use super::classify::ending_of;
use super::completion::{AttemptOutcome, CompletionGuard, LOG_PATIENCE};
use super::control::{carry_out, go_on};
use super::deadline::PausableDeadline;
use super::retry::RetryContext;
use super::spawn::{self, LaunchOutcome};
use super::stdin::{StdinFeed, StdinFeeder, stdin_pair};
use super::termination::{self, StopSequence, leave_tree, stop_tree};
use crate::lookout::{Post, Sight};
use crate::output::{ExecutionLogs, OutputFailure, OutputReader, OutputSettings, ReadStep};
use crate::prepare;
use crate::types::{ContainmentReceipt, Ending, StdinSource};

/// What the pipes of a program may hold at its end, if it has made them as large as a user may.
const MOST_IN_PIPES: u64 = 2 * 1024 * 1024;

/// The deadlines of one execution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimits {
    /// None is unlimited.
    pub(crate) timeout: Option<Duration>,
    /// How the tree is stopped.
    pub(crate) ladder: StopSequence,
    /// For reading what is left in the pipes when everything has ended.
    pub(crate) drain: Duration,
    /// How long it may be paused, all pauses together.
    pub(crate) max_pause: Duration,
}

/// What the options of one execution ask of its supervisor.
#[derive(Debug)]
pub(crate) struct ExecutionParams {
    pub(crate) timing: TimeLimits,
    pub(crate) leftovers: Leftovers,
    /// None without limits, which is most executions.
    pub(crate) limits: Option<Box<Limits>>,
    pub(crate) stdin: StdinSource,
    pub(crate) feed: StdinFeed,
}

/// One execution on its way to the driver.
pub(crate) struct StartedExecution {
    duty: CompletionGuard,
    start: LaunchOutcome,
    logs: ExecutionLogs,
    plan: OutputSettings,
    terms: Box<ExecutionParams>,
    again: Option<Box<RetryContext>>,
}

/// A program that runs, and what its supervisor holds of it.
struct RunningProgram {
    child: Child,
    post: Post,
    pump: OutputReader,
    feeding: Option<StdinFeeder>,
    timing: TimeLimits,
    leftovers: Leftovers,
    limits: Option<Box<Limits>>,
}

/// Why there is nothing to see to.
enum FailedLaunch {
    /// The program runs, but the lookout cannot watch it.
    Unwatched { child: Child, ladder: StopSequence, logs: ExecutionLogs, error: io::Error },
    /// It could not be started.
    Failed { logs: ExecutionLogs, ending: Ending },
}

impl StartedExecution {
    /// Begins an attempt: starts the program, and tells if it worked.
    pub(crate) fn attempt(
        mut duty: CompletionGuard,
        mut launch: Launch,
        logs: ExecutionLogs,
        plan: OutputSettings,
        terms: Box<ExecutionParams>,
        again: Option<Box<RetryContext>>,
    ) -> Box<Self> {
        duty.begin_attempt();
        let start = match prepare::stdin_of_child(&terms.stdin) {
            Ok(stdin) => {
                launch.stdin = stdin;
                spawn::first_attempt(duty.containment(), launch)
            }
            Err(error) => {
                let reason = error.to_string();
                LaunchOutcome::Failed(Ending::SpawnFailed { reason, os_error: None })
            }
        };
        if let LaunchOutcome::Running(spawned) = &start {
            duty.started(spawned.child.id());
        }
        Box::new(Self { duty, start, logs, plan, terms, again })
    }

    /// Attempts until one is the last, and ends the execution.
    ///
    /// This future is most of what a live execution takes. So what is rare, short, or comes at the
    /// end has futures of its own on the heap, and what lasts is passed by reference: a future holds
    /// its arguments beside what it makes of them.
    pub(crate) async fn run(self: Box<Self>) {
        let mut job = self;
        loop {
            let Self { mut duty, start, logs, plan, terms, again } = unboxed(job);
            let (mut logs, outcome) = match duty.begin(start, logs, plan, terms).await {
                Ok(running) => duty.see_to(running).await,
                Err(nothing) => Box::pin(duty.give_up(nothing)).await,
            };
            let rested = match &again {
                Some(again) => Box::pin(duty.rest(again, &mut logs, outcome)).await,
                None => Err(outcome),
            };
            match (rested, again) {
                (Ok(()), Some(again)) => job = duty.again(again, logs),
                (rested, _) => {
                    let outcome = rested.err().unwrap_or_else(|| duty.no_outcome());
                    return match logs.is_empty() {
                        true => duty.end(outcome),
                        false => Box::pin(duty.complete_and_end(logs, outcome)).await,
                    };
                }
            }
        }
    }
}

/// What was in a box, whose memory is given back at once: moving the parts out of it one by one keeps
/// it for as long as they are there.
#[expect(clippy::boxed_local, reason = "giving the box back is what it is for")]
fn unboxed<T>(boxed: Box<T>) -> T {
    *boxed
}

impl RunningProgram {
    /// Must be called on the driver, whose lookout watches the program from now on.
    #[expect(
        clippy::boxed_local,
        reason = "the caller, a future, is to hold no more than a pointer"
    )]
    fn new(
        spawned: Box<Spawned>,
        logs: ExecutionLogs,
        plan: OutputSettings,
        terms: Box<ExecutionParams>,
    ) -> Result<Box<Self>, Box<FailedLaunch>> {
        let Spawned { child, stdin, stdout, stderr } = *spawned;
        let ExecutionParams { timing, leftovers, limits, feed, .. } = *terms;
        let watched = || {
            let post = Post::new()?;
            post.watch(Sight::Exit, &child.exit_fd())?;
            post.watch(Sight::Stdout, &stdout)?;
            stderr.iter().try_for_each(|stderr| post.watch(Sight::Stderr, stderr))?;
            Ok((post, feed.into(stdin.map(Into::into))?))
        };
        match watched() {
            Ok((post, feeding)) => {
                let pump =
                    OutputReader::new([Some(stdout.into()), stderr.map(Into::into)], logs, plan);
                Ok(Box::new(Self { child, post, pump, feeding, timing, leftovers, limits }))
            }
            Err(error) => {
                Err(Box::new(FailedLaunch::Unwatched { child, ladder: timing.ladder, logs, error }))
            }
        }
    }
}

impl ExecutionParams {
    /// The same for another attempt.
    pub(crate) fn again(&self) -> Box<Self> {
        let Self { timing, leftovers, ref limits, ref stdin, .. } = *self;
        let feed = stdin_pair(stdin).1;
        Box::new(Self { timing, leftovers, limits: limits.clone(), stdin: stdin.clone(), feed })
    }
}

impl CompletionGuard {
    /// From the first attempt to start the program to one that runs and is watched.
    async fn begin(
        &self,
        start: LaunchOutcome,
        logs: ExecutionLogs,
        plan: OutputSettings,
        terms: Box<ExecutionParams>,
    ) -> Result<Box<RunningProgram>, Box<FailedLaunch>> {
        let started = match start {
            LaunchOutcome::Running(spawned) => Ok(spawned),
            LaunchOutcome::Failed(ending) => Err(ending),
            LaunchOutcome::Retry(launch, error) => {
                Box::pin(self.started_late(&launch, error)).await
            }
        };
        match started {
            Ok(spawned) => RunningProgram::new(spawned, logs, plan, terms),
            Err(ending) => Err(Box::new(FailedLaunch::Failed { logs, ending })),
        }
    }

    /// Starts the program where the system has said "not now".
    async fn started_late(
        &self,
        launch: &Launch,
        error: SpawnError,
    ) -> Result<Box<Spawned>, Ending> {
        let spawned = spawn::retry(self.containment(), launch, error, self.live()).await;
        spawned.inspect(|spawned| self.started(spawned.child.id()))
    }

    /// From a running program to its outcome: tree gone, output drained.
    async fn see_to(&self, mut running: Box<RunningProgram>) -> (ExecutionLogs, AttemptOutcome) {
        let receipt = self.attend(&mut running).await;
        let RunningProgram { mut child, pump, feeding, .. } = *running;
        let counted = child.tree_usage();
        let reaped = child.reap().unwrap_or_else(|error| {
            tracing::warn!(%error, "a child could not be reaped");
            None
        });
        // What holds the tree is given back before anybody is told that the execution has ended.
        drop((child, feeding));
        let outcome = AttemptOutcome { containment: receipt, reaped, counted, output_error: None };
        match pump.has_files() {
            true => Box::pin(self.close_with_files(pump, outcome)).await,
            false => self.close(pump, outcome),
        }
    }

    async fn close_with_files(
        &self,
        mut pump: OutputReader,
        outcome: AttemptOutcome,
    ) -> (ExecutionLogs, AttemptOutcome) {
        let output_error = complete_files(&mut pump).await;
        self.close(pump, AttemptOutcome { output_error, ..outcome })
    }

    fn close(
        &self,
        pump: OutputReader,
        outcome: AttemptOutcome,
    ) -> (ExecutionLogs, AttemptOutcome) {
        let is_told = matches!(self.live().decision(), Some(Ending::OutputLost { .. }));
        let loss = if is_told { None } else { pump.loss() };
        let logs = pump.close();
        self.publisher().tell();
        (logs, AttemptOutcome { output_error: outcome.output_error.or(loss), ..outcome })
    }

    /// Waits until the tree is gone and everything it has written is read.
    ///
    /// First for the program, then for what is left of its tree: two futures, of which there is one at a
    /// time, so that the long wait does not hold what only the short one needs.
    async fn attend(&self, running: &mut RunningProgram) -> ContainmentReceipt {
        let exit = self.end_of_program(running).await;
        self.end_of_tree(running, exit).await
    }

    /// Waits for the program as [`exit_or_stop`](Self::exit_or_stop) does, and reads what it writes.
    async fn end_of_program(&self, running: &mut RunningProgram) -> Option<Exit> {
        let RunningProgram { child, post, pump, timing, .. } = running;
        let exit_or_stop = pin!(self.exit_or_stop(child, post, timing));
        self.pumping(pump, post, exit_or_stop).await
    }

    /// Decides the ending for a program that has ended by itself, and ends whoever is left.
    async fn end_of_tree(
        &self,
        running: &mut RunningProgram,
        exit: Option<Exit>,
    ) -> ContainmentReceipt {
        if let Some(exit) = exit {
            // What the program wrote before its end counts before it, also against the limit.
            self.drain(&mut running.pump, running.timing.drain).await;
            self.decide(ending_of(exit, running.limits.as_deref(), &running.child));
        }
        // Not before it is decided: whoever is turned away is told how it has ended.
        self.live().inbox().close();
        let receipt = match self.without_stopping(running) {
            Ok(receipt) => receipt,
            Err(tree) => Box::pin(self.stop(running, tree)).await,
        };
        self.drain(&mut running.pump, running.timing.drain).await;
        receipt
    }

    /// The receipt if nobody is to be stopped, otherwise who is.
    fn without_stopping(&self, running: &mut RunningProgram) -> Result<ContainmentReceipt, Tree> {
        let child = &mut running.child;
        // Nothing of an attempt may be in the way of the next one. Asked first, for a cancel leaves no next
        // one, and is an ending of ours.
        let is_the_last = !self.live().tries_again();
        let has_ended_by_itself = self.live().decision().is_some_and(|ending| ending.is_own());
        if running.leftovers == Leftovers::Leave
            && is_the_last
            && has_ended_by_itself
            && let Some(receipt) = leave_tree(child, self.containment().level())
        {
            return Ok(receipt);
        }
        let tree = termination::look(child);
        if tree.is_empty() {
            Ok(termination::left_after(tree, self.nothing_to_stop()))
        } else {
            Err(tree)
        }
    }

    async fn stop(&self, running: &mut RunningProgram, tree: Tree) -> ContainmentReceipt {
        let RunningProgram { child, post, pump, timing, .. } = running;
        let stop = pin!(stop_tree(child, tree, self.nothing_to_stop(), timing.ladder, self.live()));
        self.pumping(pump, post, stop).await
    }

    /// Waits for the program to end by itself, and returns how; None when the ending has been
    /// decided otherwise: by the timeout here, or by somebody else.
    async fn exit_or_stop(
        &self,
        child: &mut Child,
        post: &Post,
        timing: &TimeLimits,
    ) -> Option<Exit> {
        let begun = self.attempt_begun();
        let mut clock = PausableDeadline::new(begun, timing.timeout, timing.max_pause);
        loop {
            tokio::select! {
                biased;
                () = self.live().called() => {
                    let controls = self.live().inbox().take();
                    controls.into_iter().for_each(|control| carry_out(child, control, &mut clock));
                    if self.live().decision().is_some() {
                        if clock.is_paused() {
                            go_on(child, &mut clock);
                        }
                        return None;
                    }
                }
                () = poll_fn(|cx| post.poll_ready(Sight::Exit, cx)) => {
                    match child.exit() {
                        Ok(Some(exit)) => {
                            if clock.is_paused() {
                                // Those that are left of its tree still stand still.
                                go_on(child, &mut clock);
                            }
                            return Some(exit);
                        }
                        Ok(None) => {}
                        Err(error) => {
                            self.decide(Ending::EngineFailed { reason: error.to_string() });
                            return None;
                        }
                    }
                }
                () = poll_fn(|cx| post.poll_reached(clock.rings_at(), cx)) => {
                    if clock.is_paused() {
                        tracing::info!(id = %self.live().profile().id, "paused for too long; it goes on");
                        go_on(child, &mut clock);
                        continue;
                    }
                    let timeout = timing.timeout.unwrap_or_default();
                    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                    self.decide(Ending::TimedOut { timeout_ms });
                    return None;
                }
            }
        }
    }

    /// Lets the output flow while `work` goes on: the child must never block on a full pipe while
    /// it is waited for or stopped.
    async fn pumping<T>(
        &self,
        pump: &mut OutputReader,
        post: &Post,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> T {
        while pump.is_open() {
            let step = async {
                self.publisher().room().await;
                pump.step(post).await
            };
            tokio::select! {
                biased;
                done = &mut work => return done,
                step = step => self.accept(step),
            }
        }
        work.await
    }

    /// Reads what is there, whatever still holds the pipes open. A handler that is behind does not
    /// hold this up: what pipes can hold fits beside its queue. It does hold up whoever writes on.
    async fn drain(&self, pump: &mut OutputReader, patience: Duration) {
        let first = pump.step_now();
        if first.is_some() || pump.has_files() {
            // On the heap, because most programs leave nothing.
            Box::pin(self.drain_on(pump, first, patience)).await;
        }
    }

    async fn drain_on(&self, pump: &mut OutputReader, first: Option<ReadStep>, patience: Duration) {
        let begun = self.journal().end();
        let work = async {
            let mut next = first;
            while let Some(step) = next {
                self.accept(step);
                if let Some(stop) = pump.write_pending().await {
                    self.stop_for(stop);
                }
                if self.journal().end() - begun > MOST_IN_PIPES {
                    self.publisher().room().await;
                }
                // A survivor may write on and on, and others live on this thread, too.
                tokio::task::consume_budget().await;
                next = pump.step_now();
            }
            pump.complete_files().await
        };
        match timeout(patience, work).await {
            Ok(stop) => stop.into_iter().for_each(|stop| self.stop_for(stop)),
            // A file that is not written in time costs none of what the pipes hold, which is not much.
            Err(_) => {
                let enough = self.journal().end() + MOST_IN_PIPES;
                while self.journal().end() < enough
                    && let Some(step) = pump.step_now()
                {
                    self.accept(step);
                }
            }
        }
    }

    fn accept(&self, step: ReadStep) {
        if step.has_lines {
            self.publisher().tell();
        }
        if let Some(stop) = step.stop {
            self.stop_for(stop);
        }
    }

    fn stop_for(&self, stop: OutputFailure) {
        let ending = match stop {
            OutputFailure::Limit { stream, limit } => Ending::OutputLimit { stream, limit },
            OutputFailure::Lost { stream, reason } => Ending::OutputLost { stream, reason },
        };
        // Rings the supervisor's own bell; coming second is no failure.
        let _first = self.live().decide(ending);
    }

    /// Ends an attempt of which nothing runs that could be seen to.
    async fn give_up(&self, nothing: Box<FailedLaunch>) -> (ExecutionLogs, AttemptOutcome) {
        match *nothing {
            FailedLaunch::Failed { logs, ending } => {
                self.decide(ending);
                (logs, self.no_outcome())
            }
            FailedLaunch::Unwatched { mut child, ladder, logs, error } => {
                self.decide(Ending::EngineFailed { reason: error.to_string() });
                let (tree, nothing) = (termination::look(&mut child), self.nothing_to_stop());
                let stop = stop_tree(&mut child, tree, nothing, ladder, self.live());
                (logs, AttemptOutcome::without_program(stop.await))
            }
        }
    }
}

/// The last bytes of the overflow files; what went wrong beside what the pump itself tells.
async fn complete_files(pump: &mut OutputReader) -> Option<String> {
    let completed = timeout(LOG_PATIENCE, pump.complete_files()).await;
    completed.err().map(|_| "the disk did not answer in time".to_string())
}
