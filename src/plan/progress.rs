//! Progress of a plan: the state of its steps, and what the end of one step means for the others.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::Utc;

use super::executor::PlanExecutor;
use super::inputs;
use super::schedule::{Skip, StopLevel};
use super::state::{PlanState, Stop, skip_reason};
use super::validate::label;
use crate::execution::ActiveExecution;
use crate::store::StepRecord;
use crate::types::{
    Artifact, Ending, ExecutionEvent, ExecutionOptions, ExecutionRequest, ExecutionStatus,
    OutputStream, PlanEnding, SkipReason, StepReport,
};

/// Records of all steps; `None` for one that is not over.
type StepRecords = Box<[Option<StepRecord>]>;

/// State of the steps. Its lock is short: no program is started, nothing is awaited and no reader
/// is woken under it.
pub(super) struct PlanProgress {
    pub(super) state: PlanState,
    /// The requests of steps that have not been started.
    pub(super) requests: Box<[Option<ExecutionRequest>]>,
    records: StepRecords,
    /// The steps that were admitted and are not over.
    admitted: HashMap<usize, Arc<ActiveExecution>>,
}

impl PlanProgress {
    pub(super) fn new(state: PlanState, commands: Vec<ExecutionRequest>) -> Self {
        Self {
            state,
            records: commands.iter().map(|_| None).collect(),
            requests: commands.into_iter().map(Some).collect(),
            admitted: HashMap::new(),
        }
    }

    /// Adds to a request what the plan shares, and the outputs of earlier steps. Returns options if
    /// they differ from those of the step.
    pub(super) fn prepare_step(
        &self,
        plan: &PlanExecutor,
        step: usize,
        mut request: ExecutionRequest,
    ) -> Result<(ExecutionRequest, Option<ExecutionOptions>), Ending> {
        let not_run = |reason| Ending::NotRun { reason };
        // It may have become ready just before the stop.
        if let Some(stop) = self.state.stop_of(step) {
            return Err(not_run(skip_reason(&stop.cause)));
        }
        let (shared, inputs) = (&plan.options, plan.inputs.get(&step));
        let inputs = inputs.map_or(&[][..], Vec::as_slice);
        let output = |from| self.output(from);
        let mut options =
            inputs::prepare(&mut request, step, shared, inputs, output).map_err(not_run)?;
        if inputs.iter().any(|input| input.files().is_some()) {
            let own = || shared.effective_options(step).clone();
            let files = &mut options.get_or_insert_with(own).inputs;
            inputs::place_files(files, shared, inputs, |from| self.collected(from))
                .map_err(|reason| Ending::SpawnFailed { reason, os_error: None })?;
        }
        Ok((request, options))
    }

    /// Returns what a step has collected.
    fn collected(&self, from: usize) -> Result<Vec<Artifact>, String> {
        match &self.records[from] {
            Some(StepRecord::Ran(record)) => Ok(record.artifacts().to_vec()),
            _ => Err("it never ran".to_string()),
        }
    }

    /// Returns what was kept of the output of a step, and how many bytes it has.
    fn output(&self, from: usize) -> Result<(Bytes, u64), String> {
        match &self.records[from] {
            Some(StepRecord::Ran(record)) if record.was_tried() => {
                let output = record.captured(OutputStream::Stdout);
                Ok((output.bytes(), output.stats().seen_bytes))
            }
            _ => Err("it never ran".to_string()),
        }
    }

    /// Notes that a step is about to run as this execution. If the plan has been stopped meanwhile,
    /// it does not.
    pub(super) fn admitted(&mut self, step: usize, active: &Arc<ActiveExecution>) {
        if let Some(stop) = self.state.stop_of(step).filter(|stop| stop.halts) {
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
        let skipped = self.state.schedule.ended(step, self.state.outcome(step, &ending));
        plan.active.progress(self.state.schedule.over_count());
        self.report_step(plan, step, ending.status(), command);
        let stop = self.state.note_failure(&plan.options, step);
        self.skip(plan, skipped);
        if let Some(cause) = stop {
            self.halt(StopLevel::Failure, &cause);
        }
    }

    /// Stops the steps for a cancel: the first time without those that run always. Returns `false`
    /// if there was nothing to stop.
    pub(super) fn cancel(&mut self, plan: &PlanExecutor) -> bool {
        let level = self.state.next_cancel();
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
        let skipped = self.state.schedule.stop(level);
        let has_stopped = has_halted || !skipped.is_empty();
        if has_stopped {
            self.state.note_cause(cause.clone());
            self.state.note_stop(Stop { level, cause, halts: true });
            self.skip(plan, skipped);
        }
        has_stopped
    }

    /// Stops the steps of a level that have started. Returns `false` if each of them has ended by
    /// itself or was stopped before.
    fn halt(&self, level: StopLevel, cause: &PlanEnding) -> bool {
        let mut has_halted = false;
        for step in self.state.schedule.started(level) {
            has_halted |= match self.admitted.get(&step) {
                Some(active) => stop_step(active, cause),
                // It is being started at this moment, and is stopped when it is admitted.
                None => self.state.stop_of(step).is_none_or(|stop| !stop.halts),
            };
        }
        has_halted
    }

    /// Stops the plan because the task of a step was lost.
    pub(super) fn fail(&mut self, plan: &PlanExecutor) {
        let reason = "internal error: the task of a step ended unexpectedly".to_string();
        let cause = PlanEnding::EngineFailed { reason };
        self.state.note_cause(cause.clone());
        self.stop(plan, StopLevel::Everything, cause);
    }

    /// Stores records of steps that will never run.
    fn skip(&mut self, plan: &PlanExecutor, steps: Vec<(usize, Skip)>) {
        plan.active.progress(self.state.schedule.over_count());
        for (step, skip) in steps {
            let Some(request) = self.requests[step].take() else { continue };
            let ending = Ending::NotRun { reason: self.state.reason(&plan.options, step, skip) };
            self.report_step(plan, step, ending.status(), request.command.to_string());
            let record = plan.active.never(request.id, ending);
            plan.release_if_never_ran(&record);
            self.records[step] = Some(record);
        }
    }

    /// Takes the ending, the records and the reports once every step is over. Returns `None` before,
    /// and for all but the first caller.
    pub(super) fn take_outcome(
        &mut self,
        plan: &PlanExecutor,
    ) -> Option<(PlanEnding, StepRecords, Vec<StepReport>)> {
        if !self.state.schedule.is_over() || self.records.is_empty() {
            return None;
        }
        let report = |step| self.state.report(&plan.options, step);
        let reports = (0..self.records.len()).map(report).collect();
        Some((self.ending_so_far(plan), std::mem::take(&mut self.records), reports))
    }

    /// Returns the ending of a plan if nothing stops it any more.
    pub(super) fn ending_so_far(&self, plan: &PlanExecutor) -> PlanEnding {
        let has_failed = |(step, active): (&usize, &Arc<ActiveExecution>)| {
            let has_failed = active.decision().is_some_and(|ending| !ending.is_success());
            (has_failed && !self.state.schedule.may_fail(*step)).then_some(*step)
        };
        let failed = || self.admitted.iter().filter_map(has_failed).min();
        self.state.ending(&plan.options, failed)
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
            completed: self.state.schedule.over_count(),
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

/// Returns the status of an execution when it had just been started, even if it has ended by now.
fn status_at_start(active: &ActiveExecution) -> ExecutionStatus {
    match (active.status(), active.decision()) {
        (status, _) if !status.is_terminal() => status,
        (_, Some(Ending::SpawnFailed { .. })) => ExecutionStatus::Pending,
        _ => ExecutionStatus::Running,
    }
}
