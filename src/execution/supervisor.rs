//! The task that owns one execution from its start to its ending.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use execution_engine_process::{
    Child, Containment, Exit, Launch, Leftovers, Limits, Reaped, Signal, SpawnError, Spawned,
    TreeUsage as Counted, Usage, Watch,
};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::clock::Clock;
use super::control::{Action, Control};
use super::live::Live;
use super::retry::Again;
use super::spawn::{self, Start};
use super::state::Input;
use super::stdin::{Feed, Feeding, ends_of};
use super::stop::{self, Ladder, leave_tree, stop_tree};
use crate::config::LogRetention;
use crate::model::{
    Attempt, ContainmentReceipt, Ending, ExecutionEvent, ResourceLimit, ResourceUsage, StdinSource,
    TreeUsage,
};
use crate::moment;
use crate::notify::{Hub, Publisher};
use crate::output::{Journal, Logs, OutputStop, OverflowDir, Pump, PumpPlan, Step};
use crate::record::{Record, Registry, Retention};
use crate::submit::{self, Admitted};

/// How long completing a log may hold up an ending.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// What the executions of one engine share.
pub(crate) struct Shared {
    pub(crate) registry: Arc<Registry<Live>>,
    pub(crate) containment: Containment,
    /// Enforced whenever an execution ends; None leaves that to explicit calls.
    pub(crate) retention: Option<Retention>,
    /// Rung when an execution has ended.
    pub(crate) ended: Notify,
    /// Those who watch all executions.
    pub(crate) hub: Arc<Hub>,
    pub(crate) logs: LogRetention,
    pub(crate) overflow_dir: Arc<OverflowDir>,
}

impl Shared {
    /// What goes with records that are remembered no more.
    pub(crate) fn forget(&self, records: &[Arc<Record>]) {
        if self.logs == LogRetention::Keep {
            return;
        }
        let logs = records.iter().filter_map(|record| record.profile.own_log.as_deref());
        for log in logs {
            if let Err(error) = std::fs::remove_file(log) {
                tracing::debug!(%error, log = %log.display(), "a log could not be removed");
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.hub.close();
        // Those who watch all executions may hold records for longer.
        self.overflow_dir.remove();
    }
}

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
    pub(crate) limits: Limits,
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
    watch: Watch,
    pump: Pump,
    feeding: Option<Feeding>,
    terms: Box<Terms>,
}

/// A program that runs and that the reactor cannot watch.
struct Unwatched {
    child: Child,
    terms: Box<Terms>,
    error: io::Error,
}

/// The duty to end an execution exactly once. Dropped undone, by a panic or with its runtime, it
/// still ends it.
pub(crate) struct Duty {
    live: Arc<Live>,
    shared: Arc<Shared>,
    publisher: Publisher,
    /// Taken when the duty is done.
    admitted: Option<Admitted>,
    /// Since when the attempt has been going on; None between attempts.
    attempt_begun: Option<Instant>,
    /// The attempts before.
    earlier: Vec<Attempt>,
}

/// What there is to tell of an execution beside its ending.
pub(super) struct Outcome {
    containment: ContainmentReceipt,
    reaped: Option<Reaped>,
    counted: Option<Counted>,
    output_error: Option<String>,
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
        let is_first = duty.earlier.is_empty();
        duty.attempt_begun = Some(if is_first { duty.live.begun() } else { Instant::now() });
        let start = match submit::stdin_of_child(&terms.stdin) {
            Ok(stdin) => {
                launch.stdin = stdin;
                spawn::first_attempt(&duty.shared.containment, launch)
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
            let Self { mut duty, start, logs, plan, terms, again } = *job;
            let started = match start {
                Start::Running(spawned) => Ok(spawned),
                Start::Failed(ending) => Err(ending),
                Start::Retry(launch, error) => Box::pin(duty.started_late(&launch, error)).await,
            };
            let (mut logs, outcome) = match started {
                Ok(spawned) => match Running::new(spawned, logs, plan, terms) {
                    Ok(running) => duty.see_to(running).await,
                    Err(unwatched) => {
                        (Logs::default(), Box::pin(duty.end_unwatched(unwatched)).await)
                    }
                },
                Err(ending) => {
                    duty.decide(ending);
                    (logs, duty.no_outcome())
                }
            };
            let rested = match &again {
                Some(again) => Box::pin(duty.rest(again, &mut logs, outcome)).await,
                None => Err(outcome),
            };
            match (rested, again) {
                (Ok(()), Some(again)) => job = duty.again(again, logs),
                (rested, _) => {
                    let outcome = rested.err().unwrap_or_else(|| duty.no_outcome());
                    let outcome = duty.collect(logs, outcome).await;
                    return duty.end(outcome);
                }
            }
        }
    }
}

impl Running {
    /// Must be called on the driver, whose reactor watches the program from now on.
    fn new(
        spawned: Spawned,
        logs: Logs,
        plan: PumpPlan,
        mut terms: Box<Terms>,
    ) -> Result<Box<Self>, Box<Unwatched>> {
        let Spawned { child, stdin, stdout, stderr } = spawned;
        let feed = std::mem::replace(&mut terms.feed, Feed::Nothing);
        let watched = || {
            let pump = Pump::new([Some(stdout), stderr], logs, plan)?;
            Ok((pump, Watch::exit_of(&child)?, feed.into(stdin)?))
        };
        match watched() {
            Ok((pump, watch, feeding)) => Ok(Box::new(Self { child, watch, pump, feeding, terms })),
            Err(error) => Err(Box::new(Unwatched { child, terms, error })),
        }
    }
}

impl Terms {
    /// The same for another attempt.
    pub(crate) fn again(&self) -> Box<Self> {
        let feed = ends_of(&self.stdin).1;
        Box::new(Self { stdin: self.stdin.clone(), feed, ..*self })
    }
}

impl Duty {
    pub(crate) fn new(
        live: Arc<Live>,
        shared: Arc<Shared>,
        publisher: Publisher,
        admitted: Admitted,
    ) -> Self {
        let admitted = Some(admitted);
        Self { live, shared, publisher, admitted, attempt_begun: None, earlier: Vec::new() }
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    pub(super) fn journal(&self) -> &Journal {
        self.publisher.journal()
    }

    pub(super) fn tell(&self, event: ExecutionEvent) {
        self.publisher.event(Utc::now(), event);
    }

    /// Keeps what is to be told of an attempt that is over.
    pub(super) fn note_attempt(&mut self, ending: Ending, outcome: Outcome) {
        let begun = self.attempt_begun.take().unwrap_or_else(|| self.live.begun());
        self.earlier.push(Attempt {
            number: self.live.attempt(),
            ending,
            started_at: self.live.time_of(begun),
            duration: begun.elapsed(),
            usage: outcome.reaped.map(|reaped| usage(&reaped.usage, outcome.counted)),
            containment: outcome.containment,
        });
    }

    /// Waits for the permit. False if the execution was stopped before. Cancel safe.
    pub(super) async fn admitted(&mut self) -> bool {
        let Some(Admitted::Ticket(ticket)) = &mut self.admitted else { return true };
        let permit = tokio::select! {
            biased;
            () = self.live.stopped() => return false,
            permit = ticket.permit() => permit,
        };
        self.admitted = Some(Admitted::Permit(permit));
        self.live.begin();
        true
    }

    /// Tells that the program runs. If the execution was stopped before, its ending stands and the
    /// program is stopped as soon as it is attended.
    fn started(&self, pid: u32) {
        let from = self.live.status();
        if self.live.apply(Input::Started).is_err() {
            return;
        }
        self.publisher.started(pid);
        let to = self.live.status();
        if from != to {
            self.publisher.status(Utc::now(), from, to);
        }
    }

    /// Decides the ending unless it is decided.
    pub(super) fn decide(&self, ending: Ending) {
        // The first cause wins, so coming second is no failure.
        let _first = self.live.apply(Input::Decide(ending));
    }

    /// Starts the program where the system has said "not now".
    async fn started_late(&self, launch: &Launch, error: SpawnError) -> Result<Spawned, Ending> {
        let spawned = spawn::retry(&self.shared.containment, launch, error, &self.live).await;
        spawned.inspect(|spawned| self.started(spawned.child.id()))
    }

    /// From a running program to its outcome: tree gone, output drained.
    async fn see_to(&self, mut running: Box<Running>) -> (Logs, Outcome) {
        let receipt = self.attend(&mut running).await;
        let Running { mut child, watch, mut pump, feeding, .. } = *running;
        let counted = child.tree_usage();
        let reaped = child.reap().unwrap_or_else(|error| {
            tracing::warn!(%error, "a child could not be reaped");
            None
        });
        // What holds the tree is given back before anybody is told that the execution has ended.
        drop((watch, child, feeding));
        let output_error = complete_files(&mut pump).await;
        let logs = pump.close();
        self.publisher.tell();
        (logs, Outcome { containment: receipt, reaped, counted, output_error })
    }

    /// Waits until the tree is gone and everything it has written is read.
    async fn attend(&self, running: &mut Running) -> ContainmentReceipt {
        let Running { child, watch, pump, terms, .. } = running;
        let Terms { timing, leftovers, limits, .. } = &**terms;
        let exit = {
            let exit_or_stop = pin!(self.exit_or_stop(child, watch, timing));
            self.pumping(pump, exit_or_stop).await
        };
        self.live.inbox().close();
        if let Some(exit) = exit {
            // What the program wrote before its end counts before it, also against the limit.
            self.drain(pump, timing.drain).await;
            self.decide(ending_of(exit, limits, child));
        }
        let level = self.shared.containment.level();
        let has_ended_by_itself = self.live.decision().is_some_and(|ending| ending.is_own());
        let left = match leftovers {
            // Nothing of an attempt may be in the way of the next one.
            Leftovers::Leave if has_ended_by_itself && !self.live.tries_again() => {
                leave_tree(child, level)
            }
            _ => None,
        };
        let receipt = match left {
            Some(receipt) => receipt,
            None => {
                let (tree, nothing) = (stop::look(child), self.nothing_to_stop());
                if tree.is_empty() {
                    stop::left_after(tree, nothing)
                } else {
                    let mut stop =
                        Box::pin(stop_tree(child, tree, nothing, timing.ladder, &self.live));
                    self.pumping(pump, stop.as_mut()).await
                }
            }
        };
        self.drain(pump, timing.drain).await;
        receipt
    }

    /// Waits for the program to end by itself, and returns how; None when the ending has been
    /// decided otherwise: by the timeout here, or by somebody else.
    async fn exit_or_stop(
        &self,
        child: &mut Child,
        watch: &Watch,
        timing: &Timing,
    ) -> Option<Exit> {
        let begun = self.attempt_begun.unwrap_or_else(|| self.live.begun());
        let mut clock = Clock::new(begun, timing.timeout, timing.longest_pause);
        loop {
            tokio::select! {
                biased;
                () = self.live.called() => {
                    let controls = self.live.inbox().take();
                    controls.into_iter().for_each(|control| carry_out(child, control, &mut clock));
                    if self.live.decision().is_some() {
                        if clock.is_paused() {
                            go_on(child, &mut clock);
                        }
                        return None;
                    }
                }
                ready = watch.ended() => {
                    match ready.and_then(|()| child.exit()) {
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
                () = moment::reached(clock.rings_at()) => {
                    if clock.is_paused() {
                        tracing::info!(id = %self.live.profile().id, "paused for too long; it goes on");
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
    async fn pumping<T>(&self, pump: &mut Pump, mut work: Pin<&mut impl Future<Output = T>>) -> T {
        while pump.is_open() {
            let step = async {
                self.publisher.room().await;
                pump.step().await
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
    /// hold this up: what a pipe can hold fits beside its queue.
    async fn drain(&self, pump: &mut Pump, patience: Duration) {
        let work = async {
            while let Some(step) = pump.step_now() {
                self.accept(step);
                if let Some(stop) = pump.write_pending().await {
                    self.stop_for(stop);
                }
                // A survivor may write on and on, and others live on this thread, too.
                tokio::task::consume_budget().await;
            }
            pump.complete_files().await
        };
        if let Ok(Some(stop)) = timeout(patience, work).await {
            self.stop_for(stop);
        }
    }

    fn accept(&self, step: Step) {
        if step.has_lines {
            self.publisher.tell();
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
        let _first = self.live.decide(ending);
    }

    /// Ends a program that the reactor cannot watch.
    async fn end_unwatched(&self, unwatched: Box<Unwatched>) -> Outcome {
        let Unwatched { mut child, terms, error } = *unwatched;
        self.decide(Ending::EngineFailed { reason: error.to_string() });
        let (tree, nothing) = (stop::look(&mut child), self.nothing_to_stop());
        let stop = stop_tree(&mut child, tree, nothing, terms.timing.ladder, &self.live);
        Outcome::without_program(stop.await)
    }

    /// Completes the logs.
    async fn collect(&self, mut logs: Logs, outcome: Outcome) -> Outcome {
        if let Some(ending) = self.live.decision() {
            let seen = self.publisher.journal().seen();
            logs.footer(&ending, self.live.begun().elapsed(), seen);
        }
        let output_error = match logs.is_empty() {
            true => None,
            false => Box::pin(logs.finish(LOG_PATIENCE)).await,
        };
        Outcome { output_error: output_error.or(outcome.output_error), ..outcome }
    }

    pub(super) fn no_outcome(&self) -> Outcome {
        Outcome::without_program(self.nothing_to_stop())
    }

    fn nothing_to_stop(&self) -> ContainmentReceipt {
        ContainmentReceipt::nothing(self.shared.containment.level())
    }

    /// In this order: record stored, permit back, waiters awake, terminal event out.
    fn end(mut self, outcome: Outcome) {
        self.fulfil(outcome);
    }

    pub(super) fn end_without_program(self) {
        let nothing = self.no_outcome();
        self.end(nothing);
    }

    fn fulfil(&mut self, outcome: Outcome) {
        let from = self.live.status();
        self.decide(Ending::EngineFailed { reason: "its supervisor was lost".to_string() });
        let _closed = self.live.apply(Input::Closed);
        let Some(ending) = self.live.decision() else { return };
        let Outcome { containment, reaped, counted, output_error } = outcome;
        let signal = reaped.as_ref().and_then(|reaped| match reaped.exit {
            Exit::Signaled { signal, .. } => Some(signal),
            _ => None,
        });
        let record = Arc::new(Record {
            profile: Arc::clone(self.live.profile()),
            ending,
            waited: self.live.waited(),
            duration: self.live.begun().elapsed(),
            signal,
            usage: reaped.map(|reaped| usage(&reaped.usage, counted)),
            published: self.publisher.journal().seal(),
            containment,
            output_error: output_error.map(String::into_boxed_str),
            lines_missed: self.publisher.missed(),
            earlier: std::mem::take(&mut self.earlier).into_boxed_slice(),
        });
        let evicted = self.shared.registry.end(&record, Instant::now(), self.shared.retention);
        drop(self.admitted.take());
        self.live.end(Some(Arc::clone(&record)));
        let at = record.completed_at();
        self.publisher.status(at, from, record.ending.status());
        self.publisher.last(at, record.terminal_event(), record.containment.clone());
        self.shared.ended.notify_one();
        // Last, because there may be files to remove.
        self.shared.forget(&evicted);
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if self.admitted.is_some() {
            let containment = ContainmentReceipt { proven: false, ..self.nothing_to_stop() };
            self.fulfil(Outcome::without_program(containment));
        }
    }
}

impl Outcome {
    fn without_program(containment: ContainmentReceipt) -> Self {
        Self { containment, reaped: None, counted: None, output_error: None }
    }
}

/// The last bytes of the overflow files; what went wrong.
async fn complete_files(pump: &mut Pump) -> Option<String> {
    match timeout(LOG_PATIENCE, pump.complete_files()).await {
        Ok(Some(OutputStop::Lost { stream, reason })) => Some(format!("{stream}: {reason}")),
        Ok(_) => None,
        Err(_) => Some("the disk did not answer in time".to_string()),
    }
}

fn carry_out(child: &mut Child, control: Control, clock: &mut Clock) {
    let done = match control.action {
        Action::Signal(signal) => child.signal(signal).inspect(|_| {
            // It ends a pause, whatever the pause was made of.
            if signal == Signal::Continue {
                clock.resume(Instant::now());
            }
        }),
        Action::Pause => child.pause().map(|()| {
            clock.pause(Instant::now());
            0
        }),
        Action::Resume => child.resume().map(|()| {
            clock.resume(Instant::now());
            0
        }),
    };
    // Whoever asked may have gone meanwhile.
    let _nobody = control.reply.send(done);
}

/// Ends a pause that nobody has ended.
fn go_on(child: &mut Child, clock: &mut Clock) {
    if let Err(error) = child.resume() {
        tracing::warn!(%error, "a paused tree could not be resumed");
    }
    clock.resume(Instant::now());
}

/// How the program ended, or which limit the system ended it for.
fn ending_of(exit: Exit, limits: &Limits, child: &Child) -> Ending {
    if !limits.is_empty()
        && let Some(limit) = reached(exit, limits, child)
    {
        return Ending::ResourceLimit { limit };
    }
    match exit {
        Exit::Code(code) => Ending::Exited { code },
        Exit::Signaled { signal, core_dumped } => Ending::Signaled { signal, core_dumped },
        Exit::Unknown => Ending::StatusUnknown,
    }
}

fn reached(exit: Exit, limits: &Limits, child: &Child) -> Option<ResourceLimit> {
    let killed_for_memory = || child.tree_usage().is_some_and(|tree| tree.memory_kills > 0);
    if limits.tree_memory_bytes.is_some() && killed_for_memory() {
        return Some(ResourceLimit::TreeMemory);
    }
    let Exit::Signaled { signal, .. } = exit else { return None };
    match (limits.cpu_seconds, limits.file_size_bytes) {
        (Some(_), _) if signal == Signal::CpuLimit.number() => Some(ResourceLimit::CpuTime),
        // One that ignores SIGXCPU is killed a second of CPU time later. The system counts in ticks
        // for that, and tells the exact time, which may be shorter.
        (Some(seconds), _) if signal == Signal::Kill.number() => {
            let used_up = Duration::from_secs(seconds.saturating_add(1)).mul_f64(0.95);
            let used = child.cpu_time()? + Duration::from_millis(500);
            (used >= used_up).then_some(ResourceLimit::CpuTime)
        }
        (_, Some(_)) if signal == Signal::FileSizeLimit.number() => Some(ResourceLimit::FileSize),
        _ => None,
    }
}

fn usage(usage: &Usage, counted: Option<Counted>) -> ResourceUsage {
    ResourceUsage {
        tree: counted.map(|tree| TreeUsage {
            user: tree.user,
            system: tree.system,
            peak_memory_bytes: tree.peak_memory_bytes,
        }),
        user: usage.user,
        system: usage.system,
        peak_memory_bytes: usage.peak_memory_bytes,
        voluntary_switches: usage.voluntary_switches,
        involuntary_switches: usage.involuntary_switches,
    }
}
