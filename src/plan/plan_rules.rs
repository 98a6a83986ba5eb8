//! The rules of a plan for those who run its steps themselves.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;

use super::inputs::{self, ResolvedInput};
use super::schedule::{StepOutcome, StopLevel};
use super::state::{PlanState, Stop, skip_reason};
use super::validate::{label, validate_without_engine};
use crate::error::PlanError;
use crate::types::{
    Artifact, Ending, ExecutionOptions, ExecutionRequest, PlanEnding, PlanSpec, PlanStep,
    SkipReason, StepReport,
};

/// Decides which step of a plan may start, and which never will, by the rules of
/// [`execute_plan`](crate::ExecutionEngine::execute_plan): for a program that runs the steps itself,
/// for instance on other machines, or over its own restarts.
///
/// It knows no time and starts nothing. The caller starts what [`next_step`](Self::next_step) returns,
/// and tells how it [`ended`](Self::ended). The same calls in the same order always have the same
/// results, so a caller that has noted the endings can begin anew and repeat them.
///
/// `max_concurrency` and priorities of the plan count here; groups are left to the caller.
///
/// ```
/// use execution_engine::*;
///
/// # fn main() -> Result<(), PlanError> {
/// let spec: PlanSpec = serde_json::from_str(r#"{"steps": [
///     {"name": "build", "command": "make"},
///     {"name": "test", "command": "make test", "after": ["build"]}
/// ]}"#).unwrap();
/// let mut rules = PlanRules::new(spec)?;
/// assert_eq!(rules.next_step(), Some(0));
/// assert_eq!(rules.next_step(), None, "the other one waits");
///
/// let change = rules.ended(0, &Ending::Exited { code: 2 });
/// assert_eq!(change.skipped[0].0, 1);
/// assert!(matches!(rules.ending(), Some(PlanEnding::Failed { .. })));
/// # Ok(()) }
/// ```
pub struct PlanRules {
    spec: PlanSpec,
    state: PlanState,
    inputs: HashMap<usize, Vec<ResolvedInput>>,
    /// What each step waits for, directly.
    waits_for: Vec<Vec<usize>>,
}

/// What the end of a step, or a stop, means for other steps of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanChange {
    /// Steps that will never run, with the reason.
    pub skipped: Vec<(usize, SkipReason)>,
    /// Steps that were returned by [`next_step`](PlanRules::next_step), have not ended, and are to
    /// be stopped now. Their endings are told as all others.
    pub stopped: Vec<usize>,
    /// Steps that were returned by [`next_step`](PlanRules::next_step), have not ended, and are not to
    /// start any more; those whose programs run may go on to their end. A caller that has not
    /// started one tells its ending as [`NotRun`](Ending::NotRun).
    pub withdrawn: Vec<usize>,
}

impl PlanRules {
    /// Checks a plan, and begins it. The single requests are not checked.
    ///
    /// # Errors
    /// The first rule that the plan breaks.
    pub fn new(spec: PlanSpec) -> Result<Self, PlanError> {
        let validated = validate_without_engine(&spec)?;
        let graph = &validated.schedule.graph;
        let mut waits_for = vec![Vec::new(); spec.plan.commands.len()];
        for step in 0..waits_for.len() {
            graph.dependents(step).iter().for_each(|dependent| waits_for[*dependent].push(step));
        }
        let inputs = validated.inputs;
        Ok(Self { spec, state: PlanState::new(validated.schedule), inputs, waits_for })
    }

    /// Returns the plan.
    pub fn spec(&self) -> &PlanSpec {
        &self.spec
    }

    /// Returns a step, by its index, that is to start now. `None` if none may start before another
    /// one ends.
    pub fn next_step(&mut self) -> Option<usize> {
        self.state.schedule.next()
    }

    /// Returns the steps whose standard output a step takes, each with the most bytes that it takes.
    pub fn takes_from(&self, step: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let outputs = self.inputs_of(step).iter().filter(|input| input.files().is_none());
        outputs.map(|input| (input.from, input.max_bytes))
    }

    /// Returns the steps whose files a step takes; one may be there several times.
    pub fn takes_files_from(&self, step: usize) -> impl Iterator<Item = usize> + '_ {
        self.inputs_of(step).iter().filter_map(|input| Some(input.files()?.0))
    }

    /// Returns the request and the options of a step, with what the plan shares and the output that the step
    /// takes from others; files are for [`place_files`](Self::place_files). `output` returns the bytes of the standard output of a step that are there,
    /// and how many it has written, or why it cannot be read.
    ///
    /// # Errors
    /// The reason why the step cannot run. It counts as a failure: tell it as
    /// [`NotRun`](Ending::NotRun).
    pub fn prepare(
        &self,
        step: usize,
        output: impl Fn(usize) -> Result<(Bytes, u64), String>,
    ) -> Result<(ExecutionRequest, ExecutionOptions), SkipReason> {
        let PlanSpec { plan, options } = &self.spec;
        let mut request = plan.commands[step].clone();
        let changed = inputs::prepare(&mut request, step, options, self.inputs_of(step), output)?;
        Ok((request, changed.unwrap_or_else(|| options.effective_options(step).clone())))
    }

    /// Adds the files that a step takes from others to the [`inputs`](ExecutionOptions::inputs) of its
    /// options. `collected` returns the [`artifacts`](crate::ExecutionResult::artifacts) of a step, or why it
    /// has none.
    ///
    /// # Errors
    /// The reason why the step cannot start: tell it as [`SpawnFailed`](Ending::SpawnFailed).
    pub fn place_files(
        &self,
        step: usize,
        options: &mut ExecutionOptions,
        collected: impl Fn(usize) -> Result<Vec<Artifact>, String>,
    ) -> Result<(), String> {
        let inputs = self.inputs_of(step);
        inputs::place_files(&mut options.inputs, &self.spec.options, inputs, collected)
    }

    /// Notes how a step has ended that [`next_step`](Self::next_step) has returned. Nothing is changed
    /// by another one, or by one that has ended already.
    pub fn ended(&mut self, step: usize, ending: &Ending) -> PlanChange {
        if !self.state.schedule.is_started(step) {
            return PlanChange::default();
        }
        let options = &self.spec.options;
        let outcome = self.state.outcome(step, ending);
        // The caller that asked for the stop could not know that it would stop anything.
        let was_stopped = match outcome {
            StepOutcome::Stopped | StepOutcome::Skipped(_) => true,
            StepOutcome::Exited(_) | StepOutcome::Failed => false,
        };
        if was_stopped && let Some(stop) = self.state.stop_of(step) {
            let cause = stop.cause.clone();
            self.state.note_cause(cause);
        }
        let skipped = self.state.schedule.ended(step, outcome);
        let had_stop = self.state.has_stop();
        let halts = self.state.note_failure(options, step).is_some();
        let started = match halts || had_stop != self.state.has_stop() {
            true => self.state.schedule.started(StopLevel::Failure),
            false => Vec::new(),
        };
        let (stopped, withdrawn) =
            if halts { (started, Vec::new()) } else { (Vec::new(), started) };
        let reason = |(step, skip)| (step, self.state.reason(options, step, skip));
        PlanChange { skipped: skipped.into_iter().map(reason).collect(), stopped, withdrawn }
    }

    /// Stops all steps but those that always run. `None` if nothing is left to stop.
    pub fn cancel(&mut self) -> Option<PlanChange> {
        self.stop(StopLevel::Cancel, PlanEnding::Cancelled)
    }

    /// Stops all steps. `None` if nothing is left to stop.
    pub fn cancel_all(&mut self) -> Option<PlanChange> {
        self.stop(StopLevel::Everything, PlanEnding::Cancelled)
    }

    /// Stops all steps but those that always run, because the deadline of the plan has passed. `None`
    /// if nothing is left to stop.
    pub fn deadline_reached(&mut self) -> Option<PlanChange> {
        let deadline_ms = self.spec.options.deadline_ms.unwrap_or_default();
        self.stop(StopLevel::Cancel, PlanEnding::DeadlineReached { deadline_ms })
    }

    /// Returns why a step is to be stopped, or not to be started although
    /// [`next_step`](Self::next_step) has returned it; `None` if it is not.
    pub fn stopped_because(&self, step: usize) -> Option<SkipReason> {
        self.state.stop_of(step).map(|stop| skip_reason(&stop.cause))
    }

    /// Returns `true` if every step has ended or will never run.
    pub fn is_over(&self) -> bool {
        self.state.schedule.is_over()
    }

    /// Returns how the plan has ended, once it is over.
    pub fn ending(&self) -> Option<PlanEnding> {
        self.is_over().then(|| self.state.ending(&self.spec.options, || None))
    }

    /// Returns the name of a step, and whether its failure was allowed.
    pub fn report(&self, step: usize) -> StepReport {
        self.state.report(&self.spec.options, step)
    }

    /// Returns the index and the name of a step.
    pub fn step(&self, step: usize) -> PlanStep {
        label(&self.spec.options, step)
    }

    /// Returns which steps run again when the plan is resumed after these endings: all that did not
    /// exit with code 0, or with another one where that is allowed, and of the others those that always run, or have conditions, and wait for one that
    /// runs again, directly or through others. The endings of the rest are told as before when
    /// [`next_step`](Self::next_step) of the new schedule returns them.
    pub fn to_resume(&self, endings: &[Option<Ending>]) -> Vec<bool> {
        let steps = self.spec.plan.commands.len();
        let mut again = vec![false; steps];
        let mut follows = vec![false; steps];
        for step in self.in_order() {
            let has_succeeded = match endings.get(step).and_then(Option::as_ref) {
                Some(Ending::Exited { code }) => *code == 0 || self.state.schedule.may_fail(step),
                _ => false,
            };
            follows[step] = self.waits_for[step].iter().any(|on| again[*on] || follows[*on]);
            let options = self.spec.options.steps.get(step);
            let is_conditional = options.is_some_and(|it| it.always || !it.only_if.is_empty());
            again[step] = !has_succeeded || (is_conditional && follows[step]);
        }
        again
    }

    /// Returns the steps so that each comes after all that it waits for.
    fn in_order(&self) -> Vec<usize> {
        let mut left: Vec<usize> = self.waits_for.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..left.len()).filter(|step| left[*step] == 0).collect();
        let mut at = 0;
        while let Some(&step) = order.get(at) {
            at += 1;
            for &dependent in self.state.schedule.dependents(step) {
                left[dependent] -= 1;
                if left[dependent] == 0 {
                    order.push(dependent);
                }
            }
        }
        order
    }

    fn inputs_of(&self, step: usize) -> &[ResolvedInput] {
        self.inputs.get(&step).map_or(&[], Vec::as_slice)
    }

    fn stop(&mut self, level: StopLevel, cause: PlanEnding) -> Option<PlanChange> {
        let stopped: Vec<usize> = self.state.schedule.started(level);
        let skipped = self.state.schedule.stop(level);
        if stopped.is_empty() && skipped.is_empty() {
            return None;
        }
        if !skipped.is_empty() {
            self.state.note_cause(cause.clone());
        }
        self.state.note_stop(Stop { level, cause, halts: true });
        let reason = |(step, skip)| (step, self.state.reason(&self.spec.options, step, skip));
        let skipped = skipped.into_iter().map(reason).collect();
        Some(PlanChange { skipped, stopped, withdrawn: Vec::new() })
    }
}

impl fmt::Debug for PlanRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanRules").field("plan", &self.spec.plan.id).finish_non_exhaustive()
    }
}
