//! Progress of a plan: the state of its steps, and what the end of one step means for the others.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::executor::PlanExecutor;
use super::inputs::ResolvedInput;
use super::schedule::{Schedule, StepOutcome};
use super::validate::label;
use crate::execution::ActiveExecution;
use crate::store::StepRecord;
use crate::types::{
    Ending, ExecutionEvent, ExecutionOptions, ExecutionRequest, ExecutionStatus, FailurePolicy,
    InputTarget, OutputStream, PlanEnding, SkipReason, StdinSource,
};

/// Records of all steps; `None` for one that is not over.
type StepRecords = Box<[Option<StepRecord>]>;

/// State of the steps. Its lock is short: no program is started, nothing is awaited and no event
/// is published under it.
pub(super) struct PlanProgress {
    pub(super) schedule: Schedule,
    /// The requests of steps that have not been started.
    pub(super) requests: Box<[Option<ExecutionRequest>]>,
    records: StepRecords,
    started: HashMap<usize, Arc<ActiveExecution>>,
    /// The ending of steps that are being started at this moment: nothing is to run any more.
    stop: Option<Ending>,
    first_failure: Option<usize>,
    /// Events that have not been published, in order.
    pub(super) events: VecDeque<(DateTime<Utc>, ExecutionEvent)>,
}

impl PlanProgress {
    pub(super) fn new(schedule: Schedule, commands: Vec<ExecutionRequest>) -> Self {
        Self {
            schedule,
            records: commands.iter().map(|_| None).collect(),
            requests: commands.into_iter().map(Some).collect(),
            started: HashMap::new(),
            stop: None,
            first_failure: None,
            events: VecDeque::new(),
        }
    }

    /// Adds to a request what the plan shares, and the outputs of earlier steps. Returns options if
    /// they differ from those of the step.
    pub(super) fn prepare_step(
        &self,
        plan: &PlanExecutor,
        step: usize,
        mut request: ExecutionRequest,
    ) -> Result<(ExecutionRequest, Option<ExecutionOptions>), SkipReason> {
        // It may have become ready just before the stop.
        if self.schedule.is_stopped() {
            return Err(plan.active.skip_reason());
        }
        plan.options.apply_shared(&mut request.env, &mut request.working_dir);
        let mut options = None;
        for input in plan.inputs.get(&step).into_iter().flatten() {
            let skipped =
                |reason| SkipReason::Input { from: label(&plan.options, input.from), reason };
            let bytes = self.input_bytes(input).map_err(skipped)?;
            match &input.to {
                InputTarget::Env(name) => {
                    let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
                        skipped("it is not UTF-8, which a variable has to be here".to_string())
                    })?;
                    request.env.insert(name.clone(), text);
                }
                InputTarget::Stdin => {
                    let own = plan.options.effective_options(step).clone();
                    options = Some(own.stdin(StdinSource::bytes(bytes)));
                }
            }
        }
        Ok((request, options))
    }

    fn input_bytes(&self, input: &ResolvedInput) -> Result<Bytes, String> {
        match &self.records[input.from] {
            Some(StepRecord::Ran(record)) => {
                let output = record.captured(OutputStream::Stdout);
                input.extract(&output.bytes(), output.stats().seen_bytes)
            }
            _ => Err("it never ran".to_string()),
        }
    }

    /// Notes that a step runs as this execution. If the plan has been stopped meanwhile, stops it.
    pub(super) fn started(
        &mut self,
        plan: &PlanExecutor,
        step: usize,
        active: &Arc<ActiveExecution>,
        command: &str,
    ) {
        self.report_step(plan, step, status_at_start(active), command.to_string());
        if let Some(ending) = &self.stop {
            // One that has just ended by itself keeps its own ending.
            let _first = active.decide(ending.clone());
        }
        self.started.insert(step, Arc::clone(active));
    }

    /// Notes that a step has ended or could not be started, and applies the failure policy.
    pub(super) fn finish_step(
        &mut self,
        plan: &PlanExecutor,
        step: usize,
        record: StepRecord,
        command: String,
    ) {
        let ending = record.record().ending().clone();
        self.started.remove(&step);
        plan.release_if_never_ran(&record);
        self.records[step] = Some(record);
        let outcome = if ending.is_success() { StepOutcome::Success } else { StepOutcome::Failure };
        let skipped = self.schedule.ended(step, outcome);
        plan.active.progress(self.schedule.over_count());
        self.report_step(plan, step, ending.status(), command);
        if matches!(
            ending,
            Ending::EngineClosed | Ending::NotRun { reason: SkipReason::EngineClosed }
        ) {
            plan.active.decide(PlanEnding::EngineClosed);
            self.skip(plan, skipped, &SkipReason::EngineClosed);
            self.stop(plan, &Ending::EngineClosed);
        } else if outcome == StepOutcome::Failure {
            self.first_failure.get_or_insert(step);
            self.apply_failure_policy(plan, step, skipped);
        }
    }

    /// Skips the steps that will never run because `failed` did, and stops what the policy stops.
    fn apply_failure_policy(&mut self, plan: &PlanExecutor, failed: usize, skipped: Vec<usize>) {
        let step = label(&plan.options, failed);
        match plan.policy {
            FailurePolicy::Continue => {}
            FailurePolicy::FinishIndependent => {
                self.skip(plan, skipped, &SkipReason::DependencyFailed { step });
            }
            FailurePolicy::StopAtFirstError | FailurePolicy::CancelAtFirstError => {
                plan.active.decide(PlanEnding::Failed { step: step.clone() });
                self.skip(plan, skipped, &SkipReason::PlanStopped { step });
                if plan.policy == FailurePolicy::CancelAtFirstError {
                    self.stop(plan, &Ending::Cancelled);
                }
            }
        }
    }

    /// Starts nothing any more, and stops what runs.
    pub(super) fn stop(&mut self, plan: &PlanExecutor, ending: &Ending) {
        self.stop.get_or_insert_with(|| ending.clone());
        for active in self.started.values() {
            // One that has just ended by itself keeps its own ending.
            let _first = active.decide(ending.clone());
        }
        let skipped = self.schedule.stop();
        self.skip(plan, skipped, &plan.active.skip_reason());
    }

    /// Stores records of steps that will never run.
    fn skip(&mut self, plan: &PlanExecutor, steps: Vec<usize>, reason: &SkipReason) {
        plan.active.progress(self.schedule.over_count());
        for step in steps {
            let Some(request) = self.requests[step].take() else { continue };
            let ending = Ending::NotRun { reason: reason.clone() };
            self.report_step(plan, step, ending.status(), request.command.to_string());
            let record = plan.active.never(request.id, ending);
            plan.release_if_never_ran(&record);
            self.records[step] = Some(record);
        }
    }

    /// Takes the records and the first failure once every step is over. Returns `None` before, and
    /// for all but the first caller.
    pub(super) fn take_records(&mut self) -> Option<(Option<usize>, StepRecords)> {
        let is_complete = self.schedule.is_over() && !self.records.is_empty();
        is_complete.then(|| (self.first_failure, std::mem::take(&mut self.records)))
    }

    fn report_step(
        &mut self,
        plan: &PlanExecutor,
        step: usize,
        status: ExecutionStatus,
        current_command: String,
    ) {
        self.report(ExecutionEvent::Progress {
            plan_id: plan.active.info().id,
            completed: self.schedule.over_count(),
            total: plan.active.info().total,
            step: label(&plan.options, step),
            execution_id: plan.ids[step],
            status,
            current_command,
        });
    }

    /// Leaves an event to be published.
    pub(super) fn report(&mut self, event: ExecutionEvent) {
        self.events.push_back((Utc::now(), event));
    }
}

/// Returns the status of an execution when it had just been started, even if it has ended by now.
fn status_at_start(active: &ActiveExecution) -> ExecutionStatus {
    match (active.status(), active.decision()) {
        (status, _) if !status.is_terminal() => status,
        (_, Some(Ending::SpawnFailed { .. })) => ExecutionStatus::Pending,
        _ => ExecutionStatus::Running,
    }
}
