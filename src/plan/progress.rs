//! Progress of a plan: the state of its steps, and what the end of one step means for the others.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::Utc;

use super::executor::PlanExecutor;
use super::inputs::ResolvedInput;
use super::schedule::{Schedule, Skip, StepOutcome, StopLevel};
use super::validate::label;
use crate::execution::ActiveExecution;
use crate::store::StepRecord;
use crate::types::{
    Ending, ExecutionEvent, ExecutionOptions, ExecutionRequest, ExecutionStatus, FailurePolicy,
    InputTarget, OutputStream, PlanEnding, SkipReason, StdinSource, StepReport,
};

/// Records of all steps; `None` for one that is not over.
type StepRecords = Box<[Option<StepRecord>]>;

/// Stop of all steps of a level. Those that have not started never will.
struct Stop {
    level: StopLevel,
    cause: PlanEnding,
    /// Whether steps that have started are stopped, too, as soon as they are admitted.
    halts: bool,
}

/// State of the steps. Its lock is short: no program is started, nothing is awaited and no reader
/// is woken under it.
pub(super) struct PlanProgress {
    pub(super) schedule: Schedule,
    /// The requests of steps that have not been started.
    pub(super) requests: Box<[Option<ExecutionRequest>]>,
    records: StepRecords,
    /// The steps that were admitted and are not over.
    admitted: HashMap<usize, Arc<ActiveExecution>>,
    /// The stops so far, each of a higher level than the one before.
    stops: Vec<Stop>,
    /// Whether the next cancel stops also the steps that run always.
    was_cancelled: bool,
    /// The first cause that stopped a step or kept one from starting.
    ending: Option<PlanEnding>,
    first_failure: Option<usize>,
}

impl PlanProgress {
    pub(super) fn new(schedule: Schedule, commands: Vec<ExecutionRequest>) -> Self {
        Self {
            schedule,
            records: commands.iter().map(|_| None).collect(),
            requests: commands.into_iter().map(Some).collect(),
            admitted: HashMap::new(),
            stops: Vec::new(),
            was_cancelled: false,
            ending: None,
            first_failure: None,
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
        if let Some(stop) = self.stop_of(step) {
            return Err(skip_reason(&stop.cause));
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
            Some(StepRecord::Ran(record)) if record.was_tried() => {
                let output = record.captured(OutputStream::Stdout);
                input.extract(&output.bytes(), output.stats().seen_bytes)
            }
            _ => Err("it never ran".to_string()),
        }
    }

    /// Notes that a step is about to run as this execution. If the plan has been stopped meanwhile,
    /// it does not.
    pub(super) fn admitted(&mut self, step: usize, active: &Arc<ActiveExecution>) {
        if let Some(stop) = self.stop_of(step).filter(|stop| stop.halts) {
            stop_step(active, &stop.cause);
        }
        self.admitted.insert(step, Arc::clone(active));
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
        self.admitted.remove(&step);
        plan.release_if_never_ran(&record);
        if let StepRecord::Ran(record) = &record {
            plan.active.step_ended(step, Arc::clone(record));
        }
        self.records[step] = Some(record);
        if matches!(
            ending,
            Ending::EngineClosed | Ending::NotRun { reason: SkipReason::EngineClosed }
        ) {
            // Before its dependents are told, so that this is why they do not run.
            self.stop(plan, StopLevel::Everything, PlanEnding::EngineClosed);
        }
        let skipped = self.schedule.ended(step, self.outcome(step, &ending));
        plan.active.progress(self.schedule.over_count());
        self.report_step(plan, step, ending.status(), command);
        let stop = if self.schedule.has_failed(step) {
            self.first_failure.get_or_insert(step);
            self.failure_stop(plan, step)
        } else {
            None
        };
        self.skip(plan, skipped);
        if let Some(cause) = stop {
            self.halt(StopLevel::Failure, &cause);
        }
    }

    /// Returns what came of a step, as far as it matters for others.
    fn outcome(&self, step: usize, ending: &Ending) -> StepOutcome {
        match ending {
            Ending::Exited { code } => StepOutcome::Exited(*code),
            Ending::NotRun { reason: SkipReason::Input { .. } } => StepOutcome::Failed,
            Ending::NotRun { .. } => StepOutcome::Skipped(Skip::Stopped),
            Ending::Cancelled | Ending::PlanDeadline { .. } | Ending::EngineClosed
                if self.stop_of(step).is_some_and(|stop| stop.halts) =>
            {
                StepOutcome::Stopped
            }
            _ => StepOutcome::Failed,
        }
    }

    /// Notes the stop that the policy makes of a failure. Returns its cause if it stops steps that
    /// run as well.
    fn failure_stop(&mut self, plan: &PlanExecutor, failed: usize) -> Option<PlanEnding> {
        let halts = match plan.policy {
            FailurePolicy::Continue | FailurePolicy::FinishIndependent => return None,
            FailurePolicy::StopAtFirstError => false,
            FailurePolicy::CancelAtFirstError => true,
        };
        let cause = PlanEnding::Failed { step: label(&plan.options, failed) };
        self.note_stop(Stop { level: StopLevel::Failure, cause: cause.clone(), halts });
        halts.then_some(cause)
    }

    /// Stops the steps for a cancel: the first time without those that run always. Returns `false`
    /// if there was nothing to stop.
    pub(super) fn cancel(&mut self, plan: &PlanExecutor) -> bool {
        let level = if self.was_cancelled { StopLevel::Everything } else { StopLevel::Cancel };
        self.was_cancelled = true;
        self.stop(plan, level, PlanEnding::Cancelled)
    }

    /// Starts no step of this level any more, and stops those that run. Returns `false` if there was
    /// nothing to stop: each of them has ended by itself or was stopped before.
    pub(super) fn stop(
        &mut self,
        plan: &PlanExecutor,
        level: StopLevel,
        cause: PlanEnding,
    ) -> bool {
        let has_halted = self.halt(level, &cause);
        let skipped = self.schedule.stop(level);
        let has_stopped = has_halted || !skipped.is_empty();
        if has_stopped {
            self.note_stop(Stop { level, cause, halts: true });
            self.skip(plan, skipped);
        }
        has_stopped
    }

    /// Stops the steps of a level that have started. Returns `false` if each of them has ended by
    /// itself or was stopped before.
    fn halt(&self, level: StopLevel, cause: &PlanEnding) -> bool {
        let mut has_halted = false;
        for step in self.schedule.started(level) {
            has_halted |= match self.admitted.get(&step) {
                Some(active) => stop_step(active, cause),
                // It is being started at this moment, and is stopped when it is admitted.
                None => self.stop_of(step).is_none_or(|stop| !stop.halts),
            };
        }
        has_halted
    }

    fn note_stop(&mut self, stop: Stop) {
        self.ending.get_or_insert_with(|| stop.cause.clone());
        if self.stops.last().is_none_or(|last| last.level < stop.level) {
            self.stops.push(stop);
        }
    }

    /// Returns the first stop of a step.
    fn stop_of(&self, step: usize) -> Option<&Stop> {
        let stopped_by = self.schedule.stopped_by(step);
        self.stops.iter().find(|stop| stop.level >= stopped_by)
    }

    /// Stops the plan because the task of a step was lost.
    pub(super) fn fail(&mut self, plan: &PlanExecutor) {
        let reason = "internal error: the task of a step ended unexpectedly".to_string();
        let cause = PlanEnding::EngineFailed { reason };
        self.ending.get_or_insert_with(|| cause.clone());
        self.stop(plan, StopLevel::Everything, cause);
    }

    /// Stores records of steps that will never run.
    fn skip(&mut self, plan: &PlanExecutor, steps: Vec<(usize, Skip)>) {
        plan.active.progress(self.schedule.over_count());
        for (step, skip) in steps {
            let Some(request) = self.requests[step].take() else { continue };
            let ending = Ending::NotRun { reason: self.reason(plan, step, skip) };
            self.report_step(plan, step, ending.status(), request.command.to_string());
            let record = plan.active.never(request.id, ending);
            plan.release_if_never_ran(&record);
            self.records[step] = Some(record);
        }
    }

    /// Returns why a step never runs, in words for the user.
    fn reason(&self, plan: &PlanExecutor, step: usize, skip: Skip) -> SkipReason {
        let label = |step| label(&plan.options, step);
        match skip {
            Skip::DependencyFailed(on) => SkipReason::DependencyFailed { step: label(on) },
            Skip::DependencySkipped(on) => SkipReason::DependencySkipped { step: label(on) },
            Skip::Condition(at) => {
                let condition = plan.options.steps[step].only_if[at].clone();
                SkipReason::Condition { condition }
            }
            Skip::Stopped => {
                // It may have needed the output of a step that was stopped.
                let stop = self.stop_of(step).or(self.stops.first());
                stop.map_or(SkipReason::PlanCancelled, |stop| skip_reason(&stop.cause))
            }
        }
    }

    /// Takes the ending, the records and the reports once every step is over. Returns `None` before,
    /// and for all but the first caller.
    pub(super) fn take_outcome(
        &mut self,
        plan: &PlanExecutor,
    ) -> Option<(PlanEnding, StepRecords, Vec<StepReport>)> {
        if !self.schedule.is_over() || self.records.is_empty() {
            return None;
        }
        let report = |step| StepReport {
            name: label(&plan.options, step).name,
            failure_allowed: self.schedule.was_allowed_to_fail(step),
        };
        let reports = (0..self.records.len()).map(report).collect();
        Some((self.ending_so_far(plan), std::mem::take(&mut self.records), reports))
    }

    /// Returns the ending of a plan if nothing stops it any more.
    pub(super) fn ending_so_far(&self, plan: &PlanExecutor) -> PlanEnding {
        let has_failed = |(step, active): (&usize, &Arc<ActiveExecution>)| {
            let has_failed = active.decision().is_some_and(|ending| !ending.is_success());
            (has_failed && !self.schedule.may_fail(*step)).then_some(*step)
        };
        let failed = || self.admitted.iter().filter_map(has_failed).min();
        match (&self.ending, self.first_failure.or_else(failed)) {
            (Some(ending), _) => ending.clone(),
            (None, Some(step)) => PlanEnding::Failed { step: label(&plan.options, step) },
            (None, None) => PlanEnding::Completed,
        }
    }

    /// Reports that a step has been started.
    pub(super) fn report_started(
        &self,
        plan: &PlanExecutor,
        step: usize,
        active: &ActiveExecution,
        command: &str,
    ) {
        plan.active.step_started(step, active.journal());
        self.report_step(plan, step, status_at_start(active), command.to_string());
    }

    fn report_step(
        &self,
        plan: &PlanExecutor,
        step: usize,
        status: ExecutionStatus,
        current_command: String,
    ) {
        let event = ExecutionEvent::Progress {
            plan_id: plan.active.info().id,
            completed: self.schedule.over_count(),
            total: plan.active.info().total,
            step: label(&plan.options, step),
            execution_id: plan.ids[step],
            status,
            current_command,
        };
        plan.publisher.append(Utc::now(), event);
    }
}

/// Stops a step because its plan is stopped. Returns `false` if it has just ended by itself; it
/// keeps its own ending then.
fn stop_step(active: &ActiveExecution, cause: &PlanEnding) -> bool {
    let ending = match cause {
        PlanEnding::DeadlineReached { deadline_ms } => {
            Ending::PlanDeadline { deadline_ms: *deadline_ms }
        }
        PlanEnding::EngineClosed | PlanEnding::EngineFailed { .. } => Ending::EngineClosed,
        _ => Ending::Cancelled,
    };
    active.stop(ending, skip_reason(cause)).is_ok()
}

/// Returns the reason for which a step of a stopped plan never runs.
fn skip_reason(cause: &PlanEnding) -> SkipReason {
    match cause {
        PlanEnding::DeadlineReached { .. } => SkipReason::PlanDeadline,
        PlanEnding::Failed { step } => SkipReason::PlanStopped { step: step.clone() },
        PlanEnding::EngineClosed | PlanEnding::EngineFailed { .. } => SkipReason::EngineClosed,
        _ => SkipReason::PlanCancelled,
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
