//! The task that carries out one plan: it starts what may start, and waits for whichever comes
//! first: the end of a step, a cancel, the deadline.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use uuid::Uuid;

use super::check::{Checked, House, label, options_of};
use super::input::Input;
use super::live::{Never, PlanLive, StepRecord};
use super::schedule::{Outcome, Schedule};
use crate::error::{ExecutionError, Result};
use crate::execution::Live;
use crate::model::{
    Ending, ExecutionEvent, ExecutionOptions, ExecutionPlan, ExecutionRequest, ExecutionStatus,
    FailurePolicy, InputTarget, NotRun, PlanEnding, PlanOptions, PlanSummary, StdinSource, Stream,
};
use crate::moment;
use crate::notify::Publisher;
use crate::record::Record;

/// What a runner asks of the engine.
pub(crate) trait Hands: House + Send + 'static {
    /// Starts an execution, or lets it wait its turn, however long that takes.
    fn start(&self, request: ExecutionRequest, options: &ExecutionOptions) -> Result<Arc<Live>>;

    /// The plan has its record.
    fn plan_ended(&self, plan: &PlanLive);
}

/// Carries out one plan. Dropped half-way, by a panic or with its runtime, it still ends it.
pub(crate) struct Runner<H: Hands> {
    hands: H,
    live: Arc<PlanLive>,
    publisher: Publisher,
    options: PlanOptions,
    policy: FailurePolicy,
    schedule: Schedule,
    /// What has not been started.
    requests: Box<[Option<ExecutionRequest>]>,
    inputs: HashMap<usize, Vec<Input>>,
    records: Box<[Option<StepRecord>]>,
    started: HashMap<usize, Arc<Live>>,
    running: FuturesUnordered<BoxFuture<'static, (usize, Option<Arc<Record>>)>>,
    first_failure: Option<usize>,
    is_done: bool,
}

impl<H: Hands> Runner<H> {
    pub(crate) fn new(
        hands: H,
        live: Arc<PlanLive>,
        publisher: Publisher,
        (plan, options): (ExecutionPlan, PlanOptions),
        checked: Checked,
    ) -> Self {
        let Checked { graph, policy, room, turns, inputs } = checked;
        Self {
            hands,
            live,
            publisher,
            options,
            policy,
            schedule: Schedule::new(graph, policy, room, &turns),
            records: plan.commands.iter().map(|_| None).collect(),
            requests: plan.commands.into_iter().map(Some).collect(),
            inputs,
            started: HashMap::new(),
            running: FuturesUnordered::new(),
            first_failure: None,
            is_done: false,
        }
    }

    pub(crate) async fn run(mut self) {
        let begun = self.live.profile().begun;
        let mut deadline = self
            .options
            .deadline_ms
            .and_then(|ms| begun.checked_add(std::time::Duration::from_millis(ms)));
        loop {
            while let Some(Some((step, record))) = self.running.next().now_or_never() {
                self.step_ended(step, record);
            }
            if self.schedule.is_over() {
                return self.end(None);
            }
            if self.live.takes_stop() {
                self.stop(&Ending::Cancelled);
            }
            if deadline.is_some_and(|at| at <= Instant::now()) {
                deadline = None;
                self.deadline_passed();
            }
            if let Some(step) = self.schedule.next() {
                self.start(step);
                // Other plans live on this thread, too.
                tokio::task::yield_now().await;
            } else if self.running.is_empty() {
                // The schedule never says so; a plan that hangs would be worse than one that fails.
                return self.end(Some("none of its steps could go on"));
            } else {
                tokio::select! {
                    Some((step, record)) = self.running.next() => self.step_ended(step, record),
                    () = self.live.called() => {}
                    () = moment::reached(deadline) => {}
                }
            }
        }
    }

    fn start(&mut self, step: usize) {
        let Some(request) = self.requests[step].take() else { return };
        let (id, command) = (request.id, request.command.to_string());
        let started = match self.equip(step, request) {
            Ok((request, None)) => self.hands.start(request, options_of(&self.options, step)),
            Ok((request, Some(options))) => self.hands.start(request, &options),
            Err(reason) => {
                let ending = Ending::NotRun { reason };
                return self.over(step, StepRecord::never(id, ending), command);
            }
        };
        match started {
            Ok(live) => {
                self.tell((step, id), at_start(&live), command);
                self.started.insert(step, Arc::clone(&live));
                self.running.push(async move { (step, live.ended().await) }.boxed());
            }
            Err(ExecutionError::ShuttingDown) => {
                let ending = Ending::NotRun { reason: NotRun::EngineClosed };
                self.over(step, StepRecord::never(id, ending), command);
            }
            Err(error) => {
                let ending = Ending::SpawnFailed { reason: error.to_string(), os_error: None };
                self.over(step, StepRecord::never(id, ending), command);
            }
        }
    }

    /// Adds what the plan shares, and the outputs of earlier steps.
    fn equip(
        &self,
        step: usize,
        mut request: ExecutionRequest,
    ) -> Result<(ExecutionRequest, Option<ExecutionOptions>), NotRun> {
        for (name, value) in &self.options.env {
            request.env.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if let Some(shared) = &self.options.working_dir {
            let own = request.working_dir.as_deref().unwrap_or(Path::new(""));
            request.working_dir =
                Some(if own.as_os_str().is_empty() { shared.clone() } else { shared.join(own) });
        }
        let mut options = None;
        for input in self.inputs.get(&step).map_or(&[][..], Vec::as_slice) {
            let wrong =
                |reason: String| NotRun::Input { from: label(&self.options, input.from), reason };
            let bytes = match &self.records[input.from] {
                Some(StepRecord::Ran(record)) => {
                    let output = record.captured(Stream::Stdout);
                    let seen = output.stats().seen_bytes;
                    input.take(&output.bytes(), seen).map_err(wrong)?
                }
                _ => return Err(wrong("it never ran".to_string())),
            };
            match &input.to {
                InputTarget::Env(name) => {
                    let text = String::from_utf8(bytes.to_vec());
                    let text = text.map_err(|_| {
                        wrong("it is not UTF-8, which a variable has to be here".to_string())
                    })?;
                    request.env.insert(name.clone(), text);
                }
                InputTarget::Stdin => {
                    let own = options_of(&self.options, step).clone();
                    options = Some(own.stdin(StdinSource::bytes(bytes)));
                }
            }
        }
        Ok((request, options))
    }

    fn step_ended(&mut self, step: usize, record: Option<Arc<Record>>) {
        let Some(live) = self.started.remove(&step) else { return };
        let id = live.profile().id;
        let Some(record) = record else {
            // It was refused after all.
            let ending = Ending::EngineFailed { reason: "it left no record".to_string() };
            let command = live.profile().command.to_string();
            return self.over(step, StepRecord::never(id, ending), command);
        };
        let command = record.profile.command.to_string();
        self.over(step, StepRecord::Ran(record), command);
    }

    /// A started step has ended, or could not be started.
    fn over(&mut self, step: usize, record: StepRecord, command: String) {
        let id = record.id();
        let ending = record.ending().clone();
        self.records[step] = Some(record);
        let outcome = if ending.is_success() { Outcome::Success } else { Outcome::Failure };
        let given_up = self.schedule.ended(step, outcome);
        self.live.progress(self.schedule.over_count());
        self.tell((step, id), ending.status(), command);
        if matches!(ending, Ending::EngineClosed | Ending::NotRun { reason: NotRun::EngineClosed })
        {
            self.live.decide(PlanEnding::EngineClosed);
            self.give_up(given_up, &NotRun::EngineClosed);
            let rest = self.schedule.stop();
            return self.give_up(rest, &NotRun::EngineClosed);
        }
        if outcome == Outcome::Success {
            return;
        }
        self.first_failure.get_or_insert(step);
        let failed = label(&self.options, step);
        match self.policy {
            FailurePolicy::Continue => {}
            FailurePolicy::FinishIndependent => {
                self.give_up(given_up, &NotRun::DependencyFailed { step: failed });
            }
            FailurePolicy::StopAtFirstError => {
                self.live.decide(PlanEnding::Failed { step: failed.clone() });
                self.give_up(given_up, &NotRun::PlanStopped { step: failed });
            }
            FailurePolicy::CancelAtFirstError => {
                self.live.decide(PlanEnding::Failed { step: failed.clone() });
                self.give_up(given_up, &NotRun::PlanStopped { step: failed });
                self.stop(&Ending::Cancelled);
            }
        }
    }

    fn deadline_passed(&mut self) {
        let deadline_ms = self.options.deadline_ms.unwrap_or_default();
        self.live.decide(PlanEnding::DeadlineReached { deadline_ms });
        self.stop(&Ending::PlanDeadline { deadline_ms });
    }

    /// Starts nothing any more, and stops what runs.
    fn stop(&mut self, ending: &Ending) {
        for live in self.started.values() {
            // One that has just ended by itself keeps its own ending.
            let _first = live.decide(ending.clone());
        }
        let given_up = self.schedule.stop();
        let reason = match self.live.decision() {
            Some(PlanEnding::DeadlineReached { .. }) => NotRun::PlanDeadline,
            Some(PlanEnding::Failed { step }) => NotRun::PlanStopped { step },
            _ => NotRun::PlanCancelled,
        };
        self.give_up(given_up, &reason);
    }

    /// Notes why steps will never run.
    fn give_up(&mut self, steps: Vec<usize>, reason: &NotRun) {
        self.live.progress(self.schedule.over_count());
        for step in steps {
            let Some(request) = self.requests[step].take() else { continue };
            let ending = Ending::NotRun { reason: reason.clone() };
            self.tell((step, request.id), ending.status(), request.command.to_string());
            self.records[step] = Some(StepRecord::never(request.id, ending));
        }
    }

    fn tell(&self, (step, id): (usize, Uuid), status: ExecutionStatus, command: String) {
        let event = ExecutionEvent::Progress {
            plan_id: self.live.profile().id,
            completed: self.schedule.over_count(),
            total: self.live.profile().total,
            step: label(&self.options, step),
            execution_id: id,
            status,
            current_command: command,
        };
        self.publisher.event(Utc::now(), event);
    }

    /// In this order: record stored, waiters awake, last event out.
    fn end(&mut self, failed: Option<&str>) {
        self.is_done = true;
        let ending = match (failed, self.first_failure) {
            (Some(reason), _) => PlanEnding::EngineFailed { reason: reason.to_string() },
            (None, Some(step)) => PlanEnding::Failed { step: label(&self.options, step) },
            (None, None) => PlanEnding::Completed,
        };
        let records = std::mem::take(&mut self.records).into_iter().zip(&self.requests);
        let steps = records.map(|(record, request)| {
            record.unwrap_or_else(|| {
                let reason = failed.unwrap_or("its end was lost").to_string();
                let id = request.as_ref().map(|request| request.id).unwrap_or_default();
                StepRecord::never(id, Ending::EngineFailed { reason })
            })
        });
        self.live.close(ending, steps.collect());
        self.hands.plan_ended(&self.live);
        self.live.wake();
        let plan_id = self.live.profile().id;
        let summary = self.live.summary();
        let PlanSummary { status, duration, .. } = summary;
        self.publisher.event(Utc::now(), ExecutionEvent::PlanEnded { plan_id, status, duration });
    }
}

impl<H: Hands> Drop for Runner<H> {
    fn drop(&mut self) {
        if !self.is_done {
            self.stop(&Ending::EngineClosed);
            self.end(Some("its runner was lost"));
        }
    }
}

impl StepRecord {
    fn never(id: Uuid, ending: Ending) -> Self {
        Self::Never(Box::new(Never { id, ending, at: Utc::now() }))
    }
}

/// Where an execution stood when it had just been started, even if it has ended by now.
fn at_start(live: &Live) -> ExecutionStatus {
    match (live.status(), live.decision()) {
        (status, _) if !status.is_terminal() => status,
        (_, Some(Ending::SpawnFailed { .. })) => ExecutionStatus::Pending,
        _ => ExecutionStatus::Running,
    }
}
