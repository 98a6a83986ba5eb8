//! Plans: order of the steps, statistics, endings, and what their subscriptions told.

use std::collections::HashMap;

use execution_engine::*;

use crate::history::{Plan, Shape};
use crate::rules::{Check, Rule};
use crate::watch::{About, Recording, What};
use crate::world::{PlanRun, World};

/// Checks all plans.
pub(super) fn check(world: &World, recordings: &[Recording], runs: &[String]) -> Check {
    for run in world.plans().iter().filter(|run| run.is_accepted()) {
        check_order(run, runs)?;
        for recording in recordings.iter().filter(|it| it.about == About::Plan(run.id)) {
            check_told(world, run, recording, runs)?;
        }
    }
    Ok(())
}

/// Checks the result of a plan.
pub(crate) fn check_result(run: &PlanRun, result: &PlanExecutionResult, runs: &[String]) -> Check {
    let shown = || {
        let endings: Vec<_> = result.results.iter().map(|step| step.ending.to_string()).collect();
        format!("plan {}: {:?}, {endings:?}, {:?}", run.plan.slot, result.ending, result.stats)
    };
    let stats = &result.stats;
    let ended = stats.completed + stats.failed + stats.cancelled + stats.timeout;
    let sum = ended + stats.allowed_failures + stats.not_run;
    let ids: Vec<_> = result.results.iter().map(|step| step.id).collect();
    let steps: Vec<_> = run.steps.iter().map(|(id, _)| *id).collect();
    let adds_up = sum == stats.total
        && stats.total == steps.len()
        && ids == steps
        && stats.completed == result.results.iter().filter(|step| step.success).count()
        && result.status == result.ending.status();
    Rule::Plan.check(adds_up, shown)?;
    let is_completed = result.status == ExecutionStatus::Completed;
    let account = Account { plan: &run.plan, result };
    let all_are_fine = (0..result.results.len()).all(|step| !account.is_bad(step));
    // A start that failed while it was being stopped is the failure that it would have been.
    let may_be_stopped = result.results.iter().zip(&result.steps).any(|(step, report)| {
        report.failure_allowed && matches!(step.ending, Ending::SpawnFailed { .. })
    });
    let is_stopped = result.status != ExecutionStatus::Failed && may_be_stopped;
    Rule::PlanCompleted.check(is_completed == all_are_fine || is_stopped, shown)?;
    for ((index, step), (_, trace)) in result.results.iter().enumerate().zip(&run.steps) {
        let has_run = trace.runs(runs) > 0;
        let never = matches!(step.ending, Ending::NotRun { .. } | Ending::SpawnFailed { .. });
        Rule::Plan.check(!(has_run && never), || format!("step {index} ran; {}", shown()))?;
        let has_exited = matches!(step.ending, Ending::Exited { .. });
        Rule::Plan.check(has_run || !has_exited, || format!("step {index}; {}", shown()))?;
        let was_tried = has_run || step.attempts > 0;
        Rule::Plan.check(!was_tried || account.may_run(index), || {
            format!("step {index} was not to run; {}", shown())
        })?;
        Rule::Plan.check(account.is_explained(index), || format!("step {index}; {}", shown()))?;
    }
    Ok(())
}

/// What came of the steps of a plan, and what follows from it for each.
struct Account<'a> {
    plan: &'a Plan,
    result: &'a PlanExecutionResult,
}

impl Account<'_> {
    fn is_skipped(&self, step: usize) -> bool {
        matches!(self.result.results[step].ending, Ending::NotRun { .. })
    }

    /// Returns `true` if a step failed and that counts, was stopped, or did not run because of
    /// either.
    fn is_bad(&self, step: usize) -> bool {
        let is_fine = match &self.result.results[step].ending {
            Ending::NotRun { reason } => matches!(
                reason,
                SkipReason::Condition { .. } | SkipReason::DependencySkipped { .. }
            ),
            ending => ending.is_success() || self.result.steps[step].failure_allowed,
        };
        !is_fine
    }

    fn follows_bad(&self, step: usize) -> bool {
        let mut before = self.plan.dependencies(step);
        while let Some(on) = before.pop() {
            if self.is_bad(on) {
                return true;
            }
            before.extend(self.plan.dependencies(on));
        }
        false
    }

    fn is_met(&self, step: usize, condition: &StepCondition) -> bool {
        let Some(StepRef::Index(on)) = condition.step() else {
            return self.follows_bad(step) == (*condition == StepCondition::AnyFailed);
        };
        let ending = &self.result.results[*on].ending;
        match condition {
            StepCondition::Succeeded { .. } => ending.is_success(),
            StepCondition::Failed { .. } => !ending.is_success() && !self.is_skipped(*on),
            StepCondition::Skipped { .. } => self.is_skipped(*on),
            StepCondition::ExitCode { codes, .. } => {
                matches!(ending, Ending::Exited { code } if codes.contains(code))
            }
            _ => false,
        }
    }

    fn options(&self, step: usize) -> StepOptions {
        self.plan.options.get(step).cloned().unwrap_or_default()
    }

    /// Returns `true` if nothing that came of other steps keeps a step from running.
    fn may_run(&self, step: usize) -> bool {
        let StepOptions { always, only_if, .. } = self.options(step);
        if !only_if.is_empty() {
            return only_if.iter().all(|condition| self.is_met(step, condition));
        }
        let (goes_on, is_serial) = match self.plan.shape {
            Shape::Serial { stop_on_error } => (!stop_on_error, true),
            Shape::Parallel { .. } => (true, false),
            Shape::Graph(_) => (false, false),
        };
        let is_good = |on: usize| !self.is_bad(on) && (is_serial || !self.is_skipped(on));
        always || goes_on || self.plan.dependencies(step).into_iter().all(is_good)
    }

    /// Returns `true` if the ending of a step can come of its options and of the other steps.
    fn is_explained(&self, step: usize) -> bool {
        let StepOptions { always, allow_failure, only_if, .. } = self.options(step);
        let ending = &self.result.results[step].ending;
        let is_allowed = self.result.steps[step].failure_allowed;
        if is_allowed && (!allow_failure || ending.is_success() || self.is_skipped(step)) {
            return false;
        }
        match ending {
            Ending::PlanDeadline { .. } => !always,
            Ending::NotRun { reason } => match reason {
                SkipReason::Condition { condition } => {
                    only_if.contains(condition) && !self.is_met(step, condition)
                }
                SkipReason::DependencyFailed { step: on } => !always && self.is_bad(on.index),
                SkipReason::DependencySkipped { step: on } => !always && self.is_skipped(on.index),
                SkipReason::PlanStopped { .. } | SkipReason::PlanDeadline => !always,
                _ => true,
            },
            _ => true,
        }
    }
}

/// Checks that no step ran before those that it waits for.
fn check_order(run: &PlanRun, runs: &[String]) -> Check {
    let ran_at = |step: usize| runs.iter().position(|key| *key == run.steps[step].1.key);
    for step in 0..run.steps.len() {
        for before in run.plan.dependencies(step) {
            if let (Some(later), Some(earlier)) = (ran_at(step), ran_at(before)) {
                Rule::Plan.check(earlier < later, || {
                    format!("plan {}: step {step} ran before step {before}", run.plan.slot)
                })?;
            }
        }
    }
    Ok(())
}

/// Checks that a subscription told all of a plan.
fn check_told(world: &World, run: &PlanRun, recording: &Recording, runs: &[String]) -> Check {
    let mut ends: HashMap<Uuid, usize> = HashMap::new();
    let mut started: HashMap<Uuid, usize> = HashMap::new();
    let mut missed = 0;
    for told in &recording.records {
        match &told.what {
            What::Event(ExecutionEvent::ExecutionsMissed { count }) => missed += count,
            What::Event(ExecutionEvent::Started { .. }) => {
                *started.entry(told.id).or_default() += 1;
            }
            what if what.is_terminal() => *ends.entry(told.id).or_default() += 1,
            _ => {}
        }
    }
    let name = || format!("the subscription of plan {}", run.plan.slot);
    let is_last = recording
        .records
        .last()
        .is_some_and(|told| matches!(told.what, What::Event(ExecutionEvent::PlanEnded { .. })));
    let is_one = ends.get(&run.id) == Some(&1) && is_last;
    Rule::OneTerminalEvent.check(is_one, || format!("{}: {ends:?}", name()))?;
    let mut not_told = Vec::new();
    for (step, (id, trace)) in run.steps.iter().enumerate() {
        let has_run = trace.runs(runs);
        let is_told = ends.get(id).copied().unwrap_or_default();
        Rule::OneTerminalEvent.check(is_told <= 1, || format!("{}: step {step}", name()))?;
        let starts = started.get(id).copied().unwrap_or_default();
        Rule::StartedFirst.check(is_told == 0 || has_run <= starts, || {
            format!("{}: step {step} ran {has_run} times, started {starts} times", name())
        })?;
        if has_run > 0 && is_told == 0 {
            not_told.push(step);
        }
    }
    // A step of which nothing is known is missed once.
    let is_kept = not_told.len() as u64 <= missed;
    let remembered = world.settings.remembered;
    Rule::PlanIsTold.check(is_kept, || {
        format!("{}: nothing of steps {not_told:?}, {missed} missed; {remembered} kept", name())
    })
}
