//! The task that owns one execution from its start to its ending.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use execution_engine_process::{Child, Exit, Launch, Leftovers, Limits, SpawnError, Spawned, Tree};
use tokio::time::timeout;

use super::clock::Clock;
use super::control::{carry_out, go_on};
use super::duty::{Duty, LOG_PATIENCE, Outcome};
use super::ending::ending_of;
use super::retry::Again;
use super::spawn::{self, Start};
use super::stdin::{Feed, Feeding, ends_of};
use super::stop::{self, Ladder, leave_tree, stop_tree};
use crate::lookout::{Post, Sight};
use crate::model::{ContainmentReceipt, Ending, StdinSource};
use crate::output::{Logs, OutputStop, Pump, PumpPlan, Step};
use crate::submit;

/// What the pipes of a program may hold at its end, if it has made them as large as a user may.
const MOST_IN_PIPES: u64 = 2 * 1024 * 1024;

/// The deadlines of one execution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// None is unlimited.
    pub(crate) timeout: Option<Duration>,
    /// How the tree is stopped.
    pub(crate) ladder: Ladder,
    /// For reading what is left in the pipes when everything has ended.
    pub(crate) drain: Duration,
    /// How long it may be paused, all pauses together.
    pub(crate) longest_pause: Duration,
}

/// What the options of one execution ask of its supervisor.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) timing: Timing,
    pub(crate) leftovers: Leftovers,
    /// None without limits, which is most executions.
    pub(crate) limits: Option<Box<Limits>>,
    pub(crate) stdin: StdinSource,
    pub(crate) feed: Feed,
}

/// One execution on its way to the driver.
pub(crate) struct Job {
    duty: Duty,
    start: Start,
    logs: Logs,
    plan: PumpPlan,
    terms: Box<Terms>,
    again: Option<Box<Again>>,
}

/// A program that runs, and what its supervisor holds of it.
struct Running {
    child: Child,
    post: Post,
    pump: Pump,
    feeding: Option<Feeding>,
    timing: Timing,
    leftovers: Leftovers,
    limits: Option<Box<Limits>>,
}

/// Why there is nothing to see to.
enum NotRunning {
    /// The program runs, but the lookout cannot watch it.
    Unwatched { child: Child, ladder: Ladder, logs: Logs, error: io::Error },
    /// It could not be started.
    Failed { logs: Logs, ending: Ending },
}

impl Job {
    /// Begins an attempt: starts the program, and tells if it worked.
    pub(crate) fn attempt(
        mut duty: Duty,
        mut launch: Launch,
        logs: Logs,
        plan: PumpPlan,
        terms: Box<Terms>,
        again: Option<Box<Again>>,
    ) -> Box<Self> {
        duty.begin_attempt();
        let start = match submit::stdin_of_child(&terms.stdin) {
            Ok(stdin) => {
                launch.stdin = stdin;
                spawn::first_attempt(duty.containment(), launch)
            }
            Err(error) => {
                let reason = error.to_string();
                Start::Failed(Ending::SpawnFailed { reason, os_error: None })
            }
        };
        if let Start::Running(spawned) = &start {
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

impl Running {
    /// Must be called on the driver, whose lookout watches the program from now on.
    #[expect(
        clippy::boxed_local,
        reason = "the caller, a future, is to hold no more than a pointer"
    )]
    fn new(
        spawned: Box<Spawned>,
        logs: Logs,
        plan: PumpPlan,
        terms: Box<Terms>,
    ) -> Result<Box<Self>, Box<NotRunning>> {
        let Spawned { child, stdin, stdout, stderr } = *spawned;
        let Terms { timing, leftovers, limits, feed, .. } = *terms;
        let watched = || {
            let post = Post::new()?;
            post.watch(Sight::Exit, &child.exit_fd())?;
            post.watch(Sight::Stdout, &stdout)?;
            stderr.iter().try_for_each(|stderr| post.watch(Sight::Stderr, stderr))?;
            Ok((post, feed.into(stdin)?))
        };
        match watched() {
            Ok((post, feeding)) => {
                let pump = Pump::new([Some(stdout), stderr], logs, plan);
                Ok(Box::new(Self { child, post, pump, feeding, timing, leftovers, limits }))
            }
            Err(error) => {
                Err(Box::new(NotRunning::Unwatched { child, ladder: timing.ladder, logs, error }))
            }
        }
    }
}

impl Terms {
    /// The same for another attempt.
    pub(crate) fn again(&self) -> Box<Self> {
        let Self { timing, leftovers, ref limits, ref stdin, .. } = *self;
        let feed = ends_of(stdin).1;
        Box::new(Self { timing, leftovers, limits: limits.clone(), stdin: stdin.clone(), feed })
    }
}

impl Duty {
    /// From the first attempt to start the program to one that runs and is watched.
    async fn begin(
        &self,
        start: Start,
        logs: Logs,
        plan: PumpPlan,
        terms: Box<Terms>,
    ) -> Result<Box<Running>, Box<NotRunning>> {
        let started = match start {
            Start::Running(spawned) => Ok(spawned),
            Start::Failed(ending) => Err(ending),
            Start::Retry(launch, error) => Box::pin(self.started_late(&launch, error)).await,
        };
        match started {
            Ok(spawned) => Running::new(spawned, logs, plan, terms),
            Err(ending) => Err(Box::new(NotRunning::Failed { logs, ending })),
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
    async fn see_to(&self, mut running: Box<Running>) -> (Logs, Outcome) {
        let receipt = self.attend(&mut running).await;
        let Running { mut child, pump, feeding, .. } = *running;
        let counted = child.tree_usage();
        let reaped = child.reap().unwrap_or_else(|error| {
            tracing::warn!(%error, "a child could not be reaped");
            None
        });
        // What holds the tree is given back before anybody is told that the execution has ended.
        drop((child, feeding));
        let outcome = Outcome { containment: receipt, reaped, counted, output_error: None };
        match pump.has_files() {
            true => Box::pin(self.close_with_files(pump, outcome)).await,
            false => self.close(pump, outcome),
        }
    }

    async fn close_with_files(&self, mut pump: Pump, outcome: Outcome) -> (Logs, Outcome) {
        let output_error = complete_files(&mut pump).await;
        self.close(pump, Outcome { output_error, ..outcome })
    }

    fn close(&self, pump: Pump, outcome: Outcome) -> (Logs, Outcome) {
        let is_told = matches!(self.live().decision(), Some(Ending::OutputLost { .. }));
        let loss = if is_told { None } else { pump.loss() };
        let logs = pump.close();
        self.publisher().tell();
        (logs, Outcome { output_error: outcome.output_error.or(loss), ..outcome })
    }

    /// Waits until the tree is gone and everything it has written is read.
    ///
    /// First for the program, then for what is left of its tree: two futures, of which there is one at a
    /// time, so that the long wait does not hold what only the short one needs.
    async fn attend(&self, running: &mut Running) -> ContainmentReceipt {
        let exit = self.end_of_program(running).await;
        self.end_of_tree(running, exit).await
    }

    /// Waits for the program as [`exit_or_stop`](Self::exit_or_stop) does, and reads what it writes.
    async fn end_of_program(&self, running: &mut Running) -> Option<Exit> {
        let Running { child, post, pump, timing, .. } = running;
        let exit_or_stop = pin!(self.exit_or_stop(child, post, timing));
        self.pumping(pump, post, exit_or_stop).await
    }

    /// Decides the ending for a program that has ended by itself, and ends whoever is left.
    async fn end_of_tree(&self, running: &mut Running, exit: Option<Exit>) -> ContainmentReceipt {
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
    fn without_stopping(&self, running: &mut Running) -> Result<ContainmentReceipt, Tree> {
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
        let tree = stop::look(child);
        if tree.is_empty() { Ok(stop::left_after(tree, self.nothing_to_stop())) } else { Err(tree) }
    }

    async fn stop(&self, running: &mut Running, tree: Tree) -> ContainmentReceipt {
        let Running { child, post, pump, timing, .. } = running;
        let stop = pin!(stop_tree(child, tree, self.nothing_to_stop(), timing.ladder, self.live()));
        self.pumping(pump, post, stop).await
    }

    /// Waits for the program to end by itself, and returns how; None when the ending has been
    /// decided otherwise: by the timeout here, or by somebody else.
    async fn exit_or_stop(&self, child: &mut Child, post: &Post, timing: &Timing) -> Option<Exit> {
        let begun = self.attempt_begun();
        let mut clock = Clock::new(begun, timing.timeout, timing.longest_pause);
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
        pump: &mut Pump,
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
    async fn drain(&self, pump: &mut Pump, patience: Duration) {
        let first = pump.step_now();
        if first.is_some() || pump.has_files() {
            // On the heap, because most programs leave nothing.
            Box::pin(self.drain_on(pump, first, patience)).await;
        }
    }

    async fn drain_on(&self, pump: &mut Pump, first: Option<Step>, patience: Duration) {
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

    fn accept(&self, step: Step) {
        if step.has_lines {
            self.publisher().tell();
        }
        if let Some(stop) = step.stop {
            self.stop_for(stop);
        }
    }

    fn stop_for(&self, stop: OutputStop) {
        let ending = match stop {
            OutputStop::Limit { stream, limit } => Ending::OutputLimit { stream, limit },
            OutputStop::Lost { stream, reason } => Ending::OutputLost { stream, reason },
        };
        // Rings the supervisor's own bell; coming second is no failure.
        let _first = self.live().decide(ending);
    }

    /// Ends an attempt of which nothing runs that could be seen to.
    async fn give_up(&self, nothing: Box<NotRunning>) -> (Logs, Outcome) {
        match *nothing {
            NotRunning::Failed { logs, ending } => {
                self.decide(ending);
                (logs, self.no_outcome())
            }
            NotRunning::Unwatched { mut child, ladder, logs, error } => {
                self.decide(Ending::EngineFailed { reason: error.to_string() });
                let (tree, nothing) = (stop::look(&mut child), self.nothing_to_stop());
                let stop = stop_tree(&mut child, tree, nothing, ladder, self.live());
                (logs, Outcome::without_program(stop.await))
            }
        }
    }
}

/// The last bytes of the overflow files; what went wrong beside what the pump itself tells.
async fn complete_files(pump: &mut Pump) -> Option<String> {
    let completed = timeout(LOG_PATIENCE, pump.complete_files()).await;
    completed.err().map(|_| "the disk did not answer in time".to_string())
}
