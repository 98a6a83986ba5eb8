//! One start, from its claim until it is over.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};
use uuid::Uuid;

use super::publisher::{Publisher, StartState};
use super::runner::{Program, ProgramEvent, ProgramEvents, RunningProgram};
use super::{Core, Phase, Running};
use crate::cluster::{Changes, Delivery, Expect, LogSubject, NewRecord, Settle};
use crate::pause::pause;
use crate::record::{End, Hold, Record, Start, Ticket, TicketDigest};

/// How a start was over.
pub(super) enum StartOutcome {
    /// The program ended, by itself or by a cancel.
    Ended(Box<End>),
    /// It was stopped for this reason, which is not about the execution.
    GivenUp(&'static str),
}

/// Why a start is given up that a fault of this program has interrupted.
const PANICKED: &str = "a task of its worker has panicked; see the log of the worker";

/// A start in the list of what runs, for as long as this lives. Then its program is stopped, if it is
/// not over.
struct Registered<'a> {
    core: &'a Core,
    running: Arc<Running>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.core.running.lock().remove(&self.running.subject);
        self.running.program.kill();
    }
}

/// What a start has to do beside its program.
struct Chores<'a> {
    core: &'a Core,
    delivery: &'a Delivery,
    start: &'a Start,
    running: &'a Running,
    state: Arc<Mutex<StartState>>,
    /// The grace with which the program was last told to stop, if it was.
    stopping: Option<Option<u64>>,
}

impl Core {
    /// Makes a start: runs the program, publishes its output, and stops it if it has to end. A panic gives the
    /// start up: else it would never end.
    pub(super) async fn make_start(
        &self,
        subject: &LogSubject,
        delivery: &Delivery,
        ticket: Ticket,
        start: &Start,
    ) -> StartOutcome {
        let is_plan = ticket.plan.is_some();
        let runner = self.runner_of(is_plan);
        let started = AssertUnwindSafe(runner.start(ticket, start)).catch_unwind().await;
        let Ok(RunningProgram { program, mut events }) = started else {
            return StartOutcome::GivenUp(PANICKED);
        };
        let registered = self.register(subject, start, program, is_plan);
        let running = &*registered.running;
        let conducted = self.conduct(delivery, start, running, &mut *events);
        let given_up = match AssertUnwindSafe(conducted).catch_unwind().await {
            Ok(StartOutcome::GivenUp(reason)) => reason,
            Ok(ended) => return ended,
            Err(_) => PANICKED,
        };
        // Without grace: another worker may make the next start soon.
        running.program.kill();
        let over = async { while !matches!(events.next().await, ProgramEvent::Ended { .. }) {} };
        // One that panics again has nothing more to tell.
        let _over = AssertUnwindSafe(over).catch_unwind().await;
        StartOutcome::GivenUp(given_up)
    }

    /// Publishes what a program does until its end, or until the start is to be given up.
    async fn conduct(
        &self,
        delivery: &Delivery,
        start: &Start,
        running: &Running,
        events: &mut dyn ProgramEvents,
    ) -> StartOutcome {
        let mut publisher = Publisher::new(self, running, start);
        let state = publisher.state();
        let chores = Chores {
            core: self,
            delivery,
            start,
            running,
            state: Arc::clone(&state),
            stopping: None,
        };
        // What conducts a plan can be any worker, and a plan may last longer than others are to wait.
        let given_up_in = if running.is_plan { Phase::Draining } else { Phase::Evicting };
        let stopped = async {
            let reason = tokio::select! {
                biased;
                () = self.reached(given_up_in) => "the worker was told to give up what it runs",
                () = chores.run() => "another record gave the start up",
            };
            if state.lock().is_over {
                // What is left is to tell it.
                std::future::pending::<()>().await;
            }
            reason
        };
        tokio::select! {
            biased;
            end = publisher.publish(events) => StartOutcome::Ended(Box::new(end)),
            reason = stopped => StartOutcome::GivenUp(reason),
        }
    }
}

impl Core {
    /// Adds a start to the list of what runs.
    fn register(
        &self,
        subject: &LogSubject,
        start: &Start,
        program: Arc<dyn Program>,
        is_plan: bool,
    ) -> Registered<'_> {
        let running = Arc::new(Running {
            subject: subject.clone(),
            fence: start.fence,
            is_plan,
            program,
            seen: Mutex::new(start.fence),
            changed: Notify::new(),
        });
        self.running.lock().insert(subject.clone(), Arc::clone(&running));
        Registered { core: self, running }
    }
}

impl Chores<'_> {
    /// Does what there is to do beside the program. Returns if the start counts no more.
    async fn run(mut self) {
        let times = &self.core.options.times;
        let mut changes = None;
        let progress = pause(times.progress_every);
        let hold = pause(times.hold_every);
        let subscribe = pause(Duration::ZERO);
        let input = self.core.feed(&self.running.subject, &*self.running.program);
        tokio::pin!(progress, hold, subscribe, input);
        let mut input_is_open = self.running.program.takes_input();
        loop {
            tokio::select! {
                biased;
                () = self.running.changed.notified() => {
                    if !self.obey().await {
                        return;
                    }
                }
                () = next_change(&mut changes) => self.running.changed.notify_one(),
                () = &mut progress => {
                    self.core.give_back(self.delivery, Settle::Progress).await;
                    again(progress.as_mut(), times.progress_every);
                }
                () = &mut hold => {
                    self.hold().await;
                    again(hold.as_mut(), times.hold_every);
                }
                () = &mut input, if input_is_open => input_is_open = false,
                () = &mut subscribe, if changes.is_none() => {
                    changes = self.core.cluster.changes(&self.running.subject).await.ok();
                    // What came before woke nothing.
                    self.running.changed.notify_one();
                    again(subscribe.as_mut(), times.look_every);
                }
            }
        }
    }

    /// Reads what decides, and stops the program if it has to end. Returns `false` if the start counts
    /// no more.
    async fn obey(&mut self) -> bool {
        let subject = &self.running.subject;
        let known = match self.core.known(subject, self.start.fence).await {
            Ok(known) => known,
            Err(error) => {
                // The next look wakes again: what was seen is not moved.
                tracing::debug!(id = %subject.id, %error, "the records could not be read");
                return true;
            }
        };
        *self.running.seen.lock() = known.last;
        if known.state.running().is_none_or(|running| running.fence != self.start.fence) {
            return false;
        }
        let grace_ms = known.state.grace_ms();
        if known.state.outcome().is_some() && self.stopping != Some(grace_ms) {
            self.stopping = Some(grace_ms);
            self.running.program.cancel(grace_ms.map(Duration::from_millis));
        }
        true
    }

    /// Restates the claim, so that the log has it for another while.
    async fn hold(&self) {
        let subject = self.running.subject.clone();
        let hold = Record::Hold(Hold {
            start: self.start.clone(),
            ticket: TicketDigest::of(&self.delivery.ticket),
            delivery: self.delivery.handle.clone(),
            output: self.state.lock().sent,
        });
        let bytes = match self.core.signed(&subject, &hold) {
            Ok(bytes) => bytes,
            Err(error) => return tracing::error!(%error, "a claim could not be restated"),
        };
        let id = subject.id;
        let name = self.core.record_name(&subject, &format!("hold.{}", Uuid::new_v4().simple()));
        let record = NewRecord { subject, bytes, name, expect: Expect::Anything };
        if let Err(error) = self.core.cluster.append(record).await {
            tracing::warn!(%id, %error, "a claim was not restated; trying again later");
        }
    }
}

fn again(timer: std::pin::Pin<&mut Sleep>, after: Duration) {
    timer.reset(Instant::now() + after);
}

/// Waits for the next change; for ever without a subscription.
pub(super) async fn next_change(changes: &mut Option<Changes>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}
