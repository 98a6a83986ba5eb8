//! One plan that is conducted, until it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use execution_engine::{Ending, PlanEnding, PlanRules, PlanSpec};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, Sleep, sleep_until};

use super::journal::Journal;
use super::machine::{Closed, Machine, Wanted};
use super::step::{Shared, Step};
use super::{Stop, ended, read_stop, stop_all};
use crate::client::{FleetEvent, Position};
use crate::cluster::{Cluster, Lane, LogSubject};
use crate::engine::FleetBackend;
use crate::engine::backend::now_ms;
use crate::error::FleetError;
use crate::pause::pause;
use crate::plan::client::push;
use crate::plan::event::{Lines, PlanEvent, PlanEventKind, StopCause, parse};
use crate::plan::ticket::open;
use crate::reader::{decisions, read_all};
use crate::record::{Start, Ticket};
use crate::seal::Opener;
use crate::wire::decode;

/// Pause before servers are asked again that gave no answer.
const AGAIN: Duration = Duration::from_secs(1);

/// How many steps read the output of others at a time.
const READERS: usize = 4;

/// How many others are submitted at a time.
const SUBMITTERS: usize = 64;

/// Longest wait for a deadline, far beyond what a clock of this process may hold.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A plan that is conducted.
struct Run {
    shared: Arc<Shared>,
    machine: Machine,
    start: Start,
    journal: Journal,
    /// Sequence of the last record that decides about the plan, as far as it was read.
    seen: u64,
    steps: JoinSet<(usize, Closed)>,
    wanted: BTreeMap<usize, (Id, watch::Sender<Wanted>)>,
    /// Steps whose last task has failed.
    failed: BTreeSet<usize>,
}

/// What a plan waits for.
struct Wakes {
    stops: mpsc::UnboundedReceiver<Stop>,
    running: mpsc::UnboundedReceiver<(usize, String)>,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Conducts a plan to its end, and tells that. It is ended from outside if its start is given up.
pub(super) async fn conduct(
    cluster: Arc<dyn Cluster>,
    opener: Arc<Opener>,
    ticket: Ticket,
    start: Start,
    journal: Journal,
    stops: mpsc::UnboundedReceiver<Stop>,
) {
    let id = (ticket.id, ticket.submitted_at_ms);
    let fleet = connect(&cluster, &ticket.tenant).await;
    let failed = async |reason: String| {
        let of_plan = PlanEnding::EngineFailed { reason };
        let ending = Ending::Unknown { reason: of_plan.to_string() };
        journal.end(ended(id, ending, &of_plan)).await;
    };
    let spec = open(&ticket, &opener).map_err(|error| error.to_string());
    let rules = |spec: PlanSpec| PlanRules::new(spec).map_err(|error| error.to_string());
    let spec = match spec.and_then(|spec| rules(spec.clone()).map(|rules| (spec, rules))) {
        Ok(spec) => spec,
        Err(reason) => return failed(reason).await,
    };
    let (spec, for_steps) = spec;
    let steps = spec.plan.commands.len();
    let deadline = deadline(&spec, ticket.submitted_at_ms);
    let before = stops_before(&*cluster, &opener, &ticket).await;
    let machine = match rules(spec) {
        Ok(rules) => replayed(Machine::new(rules), &fleet, &ticket, &start).await,
        Err(reason) => return failed(reason).await,
    };
    let Some(machine) = machine else {
        stop_until_done(&fleet, &ticket, steps).await;
        return failed(FleetError::EventsLost(ticket.id).to_string()).await;
    };
    let (running_sender, running) = mpsc::unbounded_channel();
    let shared = Shared {
        cluster,
        fleet,
        plan: ticket.id,
        rules: for_steps,
        readers: Semaphore::new(READERS),
        submitters: Semaphore::new(SUBMITTERS),
        running: running_sender,
    };
    let seen = start.fence;
    let (steps, wanted) = (JoinSet::new(), BTreeMap::new());
    let (shared, failed) = (Arc::new(shared), BTreeSet::new());
    let run = Run { shared, machine, start, journal, seen, steps, wanted, failed };
    run.conduct(id, before, Wakes { stops, running, deadline }).await;
}

/// Reads the pools of the fleet, for as long as that takes.
async fn connect(cluster: &Arc<dyn Cluster>, tenant: &str) -> FleetBackend {
    loop {
        match FleetBackend::connect(Arc::clone(cluster), tenant, "a plan").await {
            Ok(fleet) => return fleet,
            Err(error) => tracing::warn!(%error, "the pools could not be read; trying again"),
        }
        pause(AGAIN).await;
    }
}

async fn stop_until_done(fleet: &FleetBackend, ticket: &Ticket, steps: usize) {
    while let Err(error) = stop_all(fleet, ticket.id, steps).await {
        tracing::warn!(id = %ticket.id, %error, "steps could not be stopped; trying again");
        pause(AGAIN).await;
    }
}

/// Returns a wait for the deadline. By a clock that is never set: what is left is found out now.
fn deadline(spec: &PlanSpec, submitted_at_ms: u64) -> Option<Pin<Box<Sleep>>> {
    let at_ms = submitted_at_ms.saturating_add(spec.options.deadline_ms?);
    let left = Duration::from_millis(at_ms.saturating_sub(now_ms())).min(LONGEST);
    Some(Box::pin(sleep_until(Instant::now() + left)))
}

/// Returns the stops that came before this conductor: no step is started before they count.
async fn stops_before(cluster: &dyn Cluster, opener: &Opener, ticket: &Ticket) -> Vec<Stop> {
    let (tenant, id) = (ticket.tenant.clone(), ticket.id);
    let subject = LogSubject { tenant, id, lane: Lane::Input };
    let read = async || {
        let newest = cluster.newest(&subject).await?;
        read_all(cluster, &subject, 1, newest).await
    };
    loop {
        match read().await {
            Ok(part) => {
                let inputs = part.records.iter().filter_map(|(_, bytes)| decode(bytes).ok());
                let stop = |input| read_stop(opener, &ticket.tenant, id, input);
                return inputs.filter_map(stop).collect();
            }
            Err(error) => {
                tracing::warn!(%id, %error, "the stops of a plan could not be read; trying again");
            }
        }
        pause(AGAIN).await;
    }
}

/// Takes what earlier conductors told into account: all that counts is before the claim of this one.
/// `None` if the log has not all of it.
async fn replayed(
    mut machine: Machine,
    fleet: &FleetBackend,
    ticket: &Ticket,
    start: &Start,
) -> Option<Machine> {
    let mut follower = fleet.client().follow(ticket.id, Position::default());
    let (mut lines, mut is_first) = (Lines::default(), true);
    loop {
        match follower.next().await {
            Ok(Some((_, FleetEvent::Claimed { start: claimed, .. }))) => {
                if std::mem::replace(&mut is_first, false) && claimed.attempt != 1 {
                    return None;
                }
                if claimed.fence == start.fence {
                    return Some(machine);
                }
                lines.begin();
            }
            Ok(Some((_, FleetEvent::Output { runs, bytes }))) => push(&mut lines, &runs, bytes),
            Ok(Some((_, FleetEvent::Missed(..)))) => return None,
            Ok(Some(_)) => {}
            // The start was given up, and this task is about to be ended.
            Ok(None) => std::future::pending().await,
            Err(error) => {
                tracing::warn!(id = %ticket.id, %error, "the events of a plan could not be read; trying again");
                pause(AGAIN).await;
            }
        }
        while let Some(line) = lines.next() {
            let event = parse(&line).ok()?;
            if !machine.replay(&event) {
                return None;
            }
        }
    }
}

impl Run {
    async fn conduct(mut self, id: (uuid::Uuid, u64), before: Vec<Stop>, mut wakes: Wakes) {
        let mut events = self.machine.begin(&self.start.worker, now_ms());
        for (cause, input) in before {
            if let Some(kind) =
                self.machine.stop_of(cause, input).filter(|_| self.machine.over().is_none())
            {
                events.extend(self.machine.happened(kind, now_ms()));
            }
        }
        self.write(events).await;
        loop {
            if let Some(of_plan) = self.machine.over() {
                let ending = self.machine.execution_ending(of_plan);
                return self.journal.end(ended(id, ending, of_plan)).await;
            }
            self.act();
            let mut events = self.next(&mut wakes).await;
            // What happened meanwhile is written together with it.
            while let Some(kind) = self.next_now(&mut wakes) {
                events.extend(self.machine.happened(kind, now_ms()));
            }
            self.write(events).await;
        }
    }

    /// Writes events, and goes on if they count.
    async fn write(&mut self, events: Vec<PlanEvent>) {
        if !events.is_empty() {
            self.journal.write(&events).await;
            self.still_counts().await;
        }
    }

    /// Returns if what was written before this call counts for all readers, and never if it may not:
    /// then another worker conducts the plan.
    async fn still_counts(&mut self) {
        let subject = decisions(self.shared.fleet.tenant(), self.shared.plan);
        loop {
            let newest = self.shared.cluster.newest(&subject).await;
            let known = match newest {
                Ok(newest) if newest <= self.seen => return,
                Ok(newest) => self.shared.fleet.client().known(self.shared.plan, newest).await,
                Err(error) => Err(error.into()),
            };
            match known {
                Ok(known) => {
                    let running = known.state.running();
                    if running.is_none_or(|start| start.fence != self.start.fence) {
                        std::future::pending::<()>().await;
                    }
                    self.seen = known.last;
                    return;
                }
                Err(error) => {
                    tracing::warn!(plan = %self.shared.plan, %error, "records could not be read; trying again");
                    pause(AGAIN).await;
                }
            }
        }
    }

    /// Starts and stops steps.
    fn act(&mut self) {
        for (step, wanted) in self.machine.begun() {
            if let Some((_, sender)) = self.wanted.get(step) {
                sender.send_if_modified(|now| std::mem::replace(now, *wanted) != *wanted);
                continue;
            }
            let (sender, receiver) = watch::channel(*wanted);
            let (shared, step) = (Arc::clone(&self.shared), *step);
            let task = Step { shared, step, wanted: receiver, refusal: None };
            // A task that fails each time must not fail without a rest.
            let rest = if self.failed.remove(&step) { AGAIN } else { Duration::ZERO };
            let attending = self.steps.spawn(async move {
                pause(rest).await;
                task.attend().await
            });
            self.wanted.insert(step, (attending.id(), sender));
        }
    }

    /// Waits for the next thing that happens, and returns its events.
    async fn next(&mut self, wakes: &mut Wakes) -> Vec<PlanEvent> {
        let is_past = self.machine.is_past_deadline();
        let kind = tokio::select! {
            Some((cause, input)) = wakes.stops.recv() => self.machine.stop_of(cause, input),
            Some(closed) = self.steps.join_next() => self.end_of(closed),
            Some((step, worker)) = wakes.running.recv() => self.machine.run_of(step, worker),
            () = reached(&mut wakes.deadline), if !is_past => {
                self.machine.stop_of(StopCause::Deadline, 0)
            }
        };
        kind.map(|kind| self.machine.happened(kind, now_ms())).unwrap_or_default()
    }

    /// Returns what has happened already.
    fn next_now(&mut self, wakes: &mut Wakes) -> Option<PlanEventKind> {
        if self.machine.over().is_some() {
            return None;
        }
        while let Ok((cause, input)) = wakes.stops.try_recv() {
            if let Some(kind) = self.machine.stop_of(cause, input) {
                return Some(kind);
            }
        }
        while let Ok((step, worker)) = wakes.running.try_recv() {
            if let Some(kind) = self.machine.run_of(step, worker) {
                return Some(kind);
            }
        }
        let closed = self.steps.try_join_next()?;
        self.end_of(closed)
    }

    fn end_of(
        &mut self,
        closed: Result<(usize, Closed), tokio::task::JoinError>,
    ) -> Option<PlanEventKind> {
        match closed {
            Ok((step, closed)) => {
                self.wanted.remove(&step);
                Some(self.machine.end_of(step, closed))
            }
            Err(error) => {
                tracing::error!(%error, "the task of a step has failed; it gets another one");
                let failed = self.wanted.extract_if(.., |_, (task, _)| *task == error.id());
                self.failed.extend(failed.map(|(step, _)| step));
                None
            }
        }
    }
}

async fn reached(deadline: &mut Option<Pin<Box<Sleep>>>) {
    match deadline {
        Some(deadline) => deadline.await,
        None => std::future::pending().await,
    }
}
