//! Where the steps of a plan stand while it is carried out, and what becomes of the others when one
//! has ended.

use std::collections::HashMap;
use std::sync::Arc;

use super::executor::{PlanExecutor, StepExecutor};
use super::schedule::{Schedule, StepOutcome};
use super::validate::{label, options_of};
use crate::error::Result;
use crate::execution::ActiveExecution;
use crate::store::StepRecord;
use crate::types::{
    Ending, ExecutionOptions, ExecutionRequest, FailurePolicy, InputTarget, OutputStream,
    PlanEnding, SkipReason, StdinSource,
};

/// Where the steps stand. Its lock is short: no program is started and nothing awaited under it.
pub(super) struct PlanProgress {
    pub(super) schedule: Schedule,
    /// What has not been started.
    pub(super) requests: Box<[Option<ExecutionRequest>]>,
    pub(super) records: Box<[Option<StepRecord>]>,
    pub(super) started: HashMap<usize, Arc<ActiveExecution>>,
    /// How those end that are being started right now: nothing is to run any more.
    pub(super) stop: Option<Ending>,
    pub(super) first_failure: Option<usize>,
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
        }
    }

    /// Adds what the plan shares, and the outputs of earlier steps. Options come back where they are
    /// other ones than those of the step.
    pub(super) fn prepare_step<H: StepExecutor>(
        &self,
        runner: &PlanExecutor<H>,
        step: usize,
        mut request: ExecutionRequest,
    ) -> Result<(ExecutionRequest, Option<ExecutionOptions>), SkipReason> {
        // It may have been taken on just before.
        if self.schedule.is_stopped() {
            return Err(runner.live.why_not());
        }
        runner.options.apply_shared(&mut request.env, &mut request.working_dir);
        let mut options = None;
        for input in runner.inputs.get(&step).map_or(&[][..], Vec::as_slice) {
            let from = || label(&runner.options, input.from);
            let wrong = |reason: String| SkipReason::Input { from: from(), reason };
            let bytes = match &self.records[input.from] {
                Some(StepRecord::Ran(record)) => {
                    let output = record.captured(OutputStream::Stdout);
                    input.take(&output.bytes(), output.stats().seen_bytes).map_err(wrong)?
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
                    let own = options_of(&runner.options, step).clone();
                    options = Some(own.stdin(StdinSource::bytes(bytes)));
                }
            }
        }
        Ok((request, options))
    }

    /// A step that was taken on has ended, or could not be started.
    pub(super) fn over<H: StepExecutor>(
        &mut self,
        runner: &PlanExecutor<H>,
        step: usize,
        record: StepRecord,
        command: String,
    ) {
        let (id, ending) = (record.id(), record.ending());
        self.started.remove(&step);
        runner.release_if_never_ran(&record);
        self.records[step] = Some(record);
        let outcome = if ending.is_success() { StepOutcome::Success } else { StepOutcome::Failure };
        let given_up = self.schedule.ended(step, outcome);
        runner.live.progress(self.schedule.over_count());
        runner.tell(self, (step, id), ending.status(), command);
        if matches!(
            ending,
            Ending::EngineClosed | Ending::NotRun { reason: SkipReason::EngineClosed }
        ) {
            runner.live.decide(PlanEnding::EngineClosed);
            self.give_up(runner, given_up, &SkipReason::EngineClosed);
            return self.stop(runner, &Ending::EngineClosed);
        }
        if outcome == StepOutcome::Success {
            return;
        }
        self.first_failure.get_or_insert(step);
        let failed = label(&runner.options, step);
        match runner.policy {
            FailurePolicy::Continue => {}
            FailurePolicy::FinishIndependent => {
                self.give_up(runner, given_up, &SkipReason::DependencyFailed { step: failed });
            }
            FailurePolicy::StopAtFirstError => {
                runner.live.decide(PlanEnding::Failed { step: failed.clone() });
                self.give_up(runner, given_up, &SkipReason::PlanStopped { step: failed });
            }
            FailurePolicy::CancelAtFirstError => {
                runner.live.decide(PlanEnding::Failed { step: failed.clone() });
                self.give_up(runner, given_up, &SkipReason::PlanStopped { step: failed });
                self.stop(runner, &Ending::Cancelled);
            }
        }
    }

    /// Starts nothing any more, and stops what runs.
    pub(super) fn stop<H: StepExecutor>(&mut self, runner: &PlanExecutor<H>, ending: &Ending) {
        self.stop.get_or_insert_with(|| ending.clone());
        for live in self.started.values() {
            // One that has just ended by itself keeps its own ending.
            let _first = live.decide(ending.clone());
        }
        let given_up = self.schedule.stop();
        self.give_up(runner, given_up, &runner.live.why_not());
    }

    /// Notes why steps will never run.
    fn give_up<H: StepExecutor>(
        &mut self,
        runner: &PlanExecutor<H>,
        steps: Vec<usize>,
        reason: &SkipReason,
    ) {
        runner.live.progress(self.schedule.over_count());
        for step in steps {
            let Some(request) = self.requests[step].take() else { continue };
            let ending = Ending::NotRun { reason: reason.clone() };
            let (id, command) = (request.id, request.command.to_string());
            runner.tell(self, (step, id), ending.status(), command);
            let record = StepRecord::never(id, ending);
            runner.release_if_never_ran(&record);
            self.records[step] = Some(record);
        }
    }
}
