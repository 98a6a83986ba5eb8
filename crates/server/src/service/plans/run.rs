//! How a plan runs: what has happened to it is read from the store in order, and what follows from that is
//! started or stopped. After a restart the same is read again, so the same follows.

use std::collections::HashMap;
use std::sync::Arc;

use execution_engine::{Ending, PlanChange, PlanEnding, PlanRules, SkipReason};
use execution_engine_store::{PlanStop, StepOf, StoredEvent, StoredPlan, StoredStep};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::active::{ActivePlan, StepState};
use super::outcome::Outcome;
use super::secret::Secret;
use super::views::{counts, status_in};
use crate::error::ErrorCode;
use crate::faults;
use crate::service::inner::Inner;
use crate::view::{StepStatus, StopMode};

/// How many steps read the output of others at a time.
const READERS: usize = 4;

/// A plan while it runs. One task has it.
pub(super) struct Run {
    pub(super) inner: Arc<Inner>,
    pub(super) plan: Arc<ActivePlan>,
    pub(super) secret: Secret,
    pub(super) rules: PlanRules,
    /// The last event that was taken into account.
    event: u64,
    /// Steps of an earlier round that are not run again, and those that were begun in this one.
    pub(super) known: HashMap<usize, StoredStep>,
    /// Steps that may start and were not submitted.
    pub(super) ready: Vec<usize>,
    /// Steps that may not start any more and were not submitted.
    pub(super) withdrawn: Vec<usize>,
    skipped: Vec<(usize, SkipReason)>,
    /// Who reads the output of other steps: it is in memory until the step is stored.
    pub(super) readers: Semaphore,
}

impl Inner {
    /// Runs a plan to its end, or until the service ends. `steps` are those that are stored.
    pub(super) async fn run_plan(self: Arc<Self>, plan: Arc<ActivePlan>, steps: Vec<StoredStep>) {
        let id = plan.stored.id;
        let secret = self.until_stored(|| async {
            match self.store.plan_secret(id).await {
                Err(error) if error.is_unwritable() => Err(error.into()),
                other => Ok(other),
            }
        });
        let begun = match secret.await {
            Some(secret) => secret.map_err(|error| error.to_string()).and_then(|secret| {
                let (secret, spec) = Secret::read(&secret)?;
                Ok((secret, PlanRules::new(spec).map_err(|error| error.to_string())?))
            }),
            None => return,
        };
        match begun {
            Ok((secret, rules)) => Run::new(self, plan, secret, rules, steps).run().await,
            Err(reason) => self.hold_unreadable(&plan, steps, reason).await,
        }
    }

    /// Keeps a plan that cannot be read, with another key file for instance, until the next service can. What runs goes
    /// on. Once it is stopped, it ends when its steps have.
    async fn hold_unreadable(
        self: &Arc<Self>,
        plan: &Arc<ActivePlan>,
        steps: Vec<StoredStep>,
        reason: String,
    ) {
        tracing::error!(reason, plan = %plan.stored.id, "a plan cannot go on");
        plan.set_trouble(reason.clone());
        for step in steps {
            let index = step.step;
            match step.execution.filter(|_| step.ending.is_none()) {
                Some(execution) => self.watch_step(plan, index, execution),
                None => plan.set(index, StepState::Ended(step), false),
            }
        }
        let StoredPlan { id, .. } = plan.stored;
        loop {
            let stored = self.until_stored(|| async { Ok(self.store.plan(id).await?) });
            let Some(Some(stored)) = stored.await else { return };
            let running = stored.steps.iter().filter(|step| step.ending.is_none());
            let running: Vec<Uuid> = running.filter_map(|step| step.execution).collect();
            if !stored.stops.is_empty() {
                plan.note_stop(false);
                if running.is_empty() {
                    let ending = PlanEnding::EngineFailed { reason };
                    return self.end_plan(plan, ending, Vec::new(), Vec::new()).await;
                }
                running.into_iter().for_each(|execution| self.stop_step(execution));
            }
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = plan.wake.notified() => {}
            }
        }
    }

    /// Stores the end of a plan, and tells it.
    async fn end_plan(
        &self,
        plan: &Arc<ActivePlan>,
        ending: PlanEnding,
        skipped: Vec<(usize, SkipReason)>,
        allowed: Vec<usize>,
    ) {
        faults::at("plan_before_end");
        let (id, status) = (plan.stored.id, ending.status());
        let counts = plan.look(|steps, _| counts(steps));
        let outcome = Outcome { ending, skipped, allowed, counts };
        let stored = self.until_stored(|| async {
            let json = serde_json::to_value(&outcome).unwrap_or_default();
            Ok(self.store.end_plan(id, status, json).await?)
        });
        if stored.await.is_some() {
            let mut plans = self.plans.lock();
            // A client may have resumed it since it is stored.
            if plans.get(&id).is_some_and(|current| Arc::ptr_eq(current, plan)) {
                plans.remove(&id);
            }
            drop(plans);
            plan.end();
        }
    }

    /// Stops the execution of a step, in a task of its own.
    fn stop_step(self: &Arc<Self>, execution: Uuid) {
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            match inner.stop(execution, StopMode::Polite).await {
                Ok(_) => {}
                Err(error)
                    if matches!(error.code, ErrorCode::AlreadyEnded | ErrorCode::Stopping) => {}
                Err(error) => tracing::warn!(%error, "a step of a plan could not be stopped"),
            }
        });
    }

    /// Tells the plan when a step of it is queued, runs and has ended.
    fn watch_step(self: &Arc<Self>, plan: &Arc<ActivePlan>, step: usize, execution: Uuid) {
        plan.set(step, StepState::Begun(execution), false);
        let (inner, plan) = (Arc::clone(self), Arc::clone(plan));
        self.tasks.spawn(async move {
            if let Some(active) = inner.find(execution) {
                let mut live = active.subscribe();
                let mut shown = StepStatus::Queued;
                loop {
                    let (status, is_final) = {
                        let live = live.borrow_and_update();
                        (status_in(&live.phase), live.phase.is_final())
                    };
                    if status != shown {
                        shown = status;
                        plan.set_status(step, status);
                    }
                    let changed =
                        live.wait_for(|now| now.phase.is_final() || status_in(&now.phase) != shown);
                    if is_final || inner.unless_closing(changed).await.is_err() {
                        break;
                    }
                }
            }
            plan.wake.notify_one();
        });
    }
}

impl Run {
    fn new(
        inner: Arc<Inner>,
        plan: Arc<ActivePlan>,
        secret: Secret,
        rules: PlanRules,
        steps: Vec<StoredStep>,
    ) -> Self {
        Self {
            inner,
            plan,
            secret,
            rules,
            event: 0,
            known: steps.into_iter().map(|step| (step.step, step)).collect(),
            ready: Vec::new(),
            withdrawn: Vec::new(),
            skipped: Vec::new(),
            readers: Semaphore::new(READERS),
        }
    }

    async fn run(mut self) {
        self.take_next();
        loop {
            let StoredPlan { id, round, .. } = self.plan.stored;
            let after = self.event;
            let events = self.inner.until_stored(|| async {
                Ok(self.inner.store.plan_events(id, round, after).await?)
            });
            let Some(events) = events.await else { return };
            events.into_iter().for_each(|event| self.take(event));
            if let Some(ending) = self.rules.ending() {
                let steps = self.plan.spec.plan.commands.len();
                let is_allowed = |step: &usize| self.rules.report(*step).failure_allowed;
                let allowed = (0..steps).filter(is_allowed).collect();
                return self.inner.end_plan(&self.plan, ending, self.skipped, allowed).await;
            }
            if !self.submit_some().await {
                return;
            }
            tokio::select! {
                () = self.inner.closing.cancelled() => return,
                () = self.plan.wake.notified() => {}
                () = self.deadline() => self.note_deadline().await,
            }
        }
    }

    /// Waits for the deadline, if it has not been noted.
    async fn deadline(&self) {
        match self.plan.deadline() {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }

    async fn note_deadline(&self) {
        let id = self.plan.stored.id;
        let stop = || async { Ok(self.inner.store.stop_plan(id, PlanStop::Deadline).await?) };
        if self.inner.until_stored(stop).await.is_some() {
            self.plan.note_stop(true);
            self.plan.wake.notify_one();
        }
    }

    /// Takes the next event into account.
    fn take(&mut self, event: StoredEvent) {
        let change = match event {
            StoredEvent::Ended(step) => {
                self.event = step.event.unwrap_or(self.event);
                self.take_end(step)
            }
            StoredEvent::Stopped(stop) => {
                self.event = stop.event;
                self.plan.note_stop(stop.stop == PlanStop::Deadline);
                let change = match stop.stop {
                    PlanStop::Cancel => self.rules.cancel(),
                    PlanStop::CancelAll => self.rules.cancel_all(),
                    PlanStop::Deadline => self.rules.deadline_reached(),
                };
                change.unwrap_or_default()
            }
        };
        self.apply(change);
        self.take_next();
    }

    fn take_end(&mut self, step: StoredStep) -> PlanChange {
        let Some(ending) = step.ending.clone() else { return PlanChange::default() };
        let index = step.step;
        self.ready.retain(|other| *other != index);
        self.withdrawn.retain(|other| *other != index);
        self.known.insert(index, step.clone());
        let change = self.rules.ended(index, &ending);
        let failure_allowed = self.rules.report(index).failure_allowed;
        self.plan.set(index, StepState::Ended(step), failure_allowed);
        change
    }

    /// Takes the steps that may start now.
    fn take_next(&mut self) {
        while let Some(step) = self.rules.next_step() {
            match self.known.get(&step) {
                // Of an earlier round.
                Some(kept) if kept.event.is_none() && kept.ending.is_some() => {
                    let change = self.take_end(kept.clone());
                    self.apply(change);
                }
                // Its ending is an event that comes later, or has not come yet.
                Some(StoredStep { execution: Some(execution), .. }) => {
                    self.inner.watch_step(&self.plan, step, *execution);
                }
                Some(StoredStep { execution: None, .. }) => {}
                None => self.ready.push(step),
            }
        }
    }

    fn apply(&mut self, change: PlanChange) {
        for (step, reason) in change.skipped {
            self.plan.set(step, StepState::Skipped(reason.clone()), false);
            self.skipped.push((step, reason));
        }
        for step in change.stopped {
            match self.unended(step) {
                Some(execution) => {
                    if !self.take_out_of_queue(step, execution) {
                        self.inner.stop_step(execution);
                    }
                }
                None => self.withdraw(step),
            }
        }
        for step in change.withdrawn {
            match self.unended(step) {
                // One that has a slot goes on.
                Some(execution) => drop(self.take_out_of_queue(step, execution)),
                None => self.withdraw(step),
            }
        }
    }

    /// Returns the execution of a step that has been submitted and has not ended.
    fn unended(&self, step: usize) -> Option<Uuid> {
        self.known.get(&step).filter(|step| step.ending.is_none())?.execution
    }

    /// Does not submit a step that was to be.
    fn withdraw(&mut self, step: usize) {
        if let Some(at) = self.ready.iter().position(|ready| *ready == step) {
            self.ready.remove(at);
            self.withdrawn.push(step);
        }
    }

    /// Ends the execution of a step that waits in the queue: it never runs. Returns `false` if it is not in the queue.
    fn take_out_of_queue(&self, step: usize, execution: Uuid) -> bool {
        let Some(active) = self.inner.find(execution) else { return false };
        if !self.inner.leave_queue(&active) {
            return false;
        }
        let ending = Ending::NotRun { reason: self.reason(step) };
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn(async move { inner.end_unstarted(&active, ending).await });
        true
    }

    /// Returns why a step is not to start any more.
    pub(super) fn reason(&self, step: usize) -> SkipReason {
        self.rules.stopped_because(step).unwrap_or(SkipReason::PlanCancelled)
    }

    /// Notes that a step has become an execution.
    pub(super) fn begin(&mut self, step: usize, execution: Uuid) {
        let begun = StoredStep {
            step,
            execution: Some(execution),
            event: None,
            ending: None,
            started_at: None,
            ended_at: None,
            duration_ms: None,
            attempts: 0,
        };
        self.known.insert(step, begun);
        self.inner.watch_step(&self.plan, step, execution);
    }

    pub(super) fn of(&self, step: usize) -> StepOf {
        let StoredPlan { id, round, .. } = self.plan.stored;
        StepOf { plan: id, round, step, event: self.event }
    }
}
