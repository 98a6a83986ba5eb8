//! What has happened to a plan so far, and what that means for its steps: stops, failures, and the
//! ending. Pure: it is the same for an engine and a service.

use super::schedule::{Schedule, ScheduleSpec, Skip, StepOutcome, StopLevel};
use super::validate::label;
use crate::types::{Ending, FailurePolicy, PlanEnding, PlanOptions, SkipReason, StepReport};

/// Stop of all steps of a level. Those that have not started never will.
pub(super) struct Stop {
    pub(super) level: StopLevel,
    pub(super) cause: PlanEnding,
    /// Whether steps that have started are stopped, too, as soon as they are admitted.
    pub(super) halts: bool,
}

/// The schedule of a plan with its stops, and the first causes of its ending.
pub(super) struct PlanState {
    pub(super) schedule: Schedule,
    policy: FailurePolicy,
    /// The stops so far, each of a higher level than the one before.
    stops: Vec<Stop>,
    /// Whether the next cancel stops also the steps that run always.
    was_cancelled: bool,
    /// The first cause that stopped a step or kept one from starting.
    ending: Option<PlanEnding>,
    first_failure: Option<usize>,
}

impl PlanState {
    pub(super) fn new(spec: ScheduleSpec) -> Self {
        Self {
            policy: spec.policy,
            schedule: Schedule::new(spec),
            stops: Vec::new(),
            was_cancelled: false,
            ending: None,
            first_failure: None,
        }
    }

    /// Returns what came of a step, as far as it matters for others.
    pub(super) fn outcome(&self, step: usize, ending: &Ending) -> StepOutcome {
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

    /// Notes the failure of a step, if it failed and that counts, and the stop that the policy makes
    /// of it. Returns the cause of that stop if it stops steps that run as well.
    pub(super) fn note_failure(
        &mut self,
        options: &PlanOptions,
        step: usize,
    ) -> Option<PlanEnding> {
        if !self.schedule.has_failed(step) {
            return None;
        }
        self.first_failure.get_or_insert(step);
        let halts = match self.policy {
            FailurePolicy::Continue | FailurePolicy::FinishIndependent => return None,
            FailurePolicy::StopAtFirstError => false,
            FailurePolicy::CancelAtFirstError => true,
        };
        let cause = PlanEnding::Failed { step: label(options, step) };
        self.note_cause(cause.clone());
        self.note_stop(Stop { level: StopLevel::Failure, cause: cause.clone(), halts });
        halts.then_some(cause)
    }

    /// Returns what the next cancel stops: the first time without the steps that run always.
    pub(super) fn next_cancel(&mut self) -> StopLevel {
        match std::mem::replace(&mut self.was_cancelled, true) {
            true => StopLevel::Everything,
            false => StopLevel::Cancel,
        }
    }

    /// Notes why steps were stopped or kept from starting. The first cause counts.
    pub(super) fn note_cause(&mut self, cause: PlanEnding) {
        self.ending.get_or_insert(cause);
    }

    pub(super) fn note_stop(&mut self, stop: Stop) {
        if self.stops.last().is_none_or(|last| last.level < stop.level) {
            self.stops.push(stop);
        }
    }

    /// Returns `true` if there was a stop.
    pub(super) fn has_stop(&self) -> bool {
        !self.stops.is_empty()
    }

    /// Returns the first stop of a step.
    pub(super) fn stop_of(&self, step: usize) -> Option<&Stop> {
        let stopped_by = self.schedule.stopped_by(step);
        self.stops.iter().find(|stop| stop.level >= stopped_by)
    }

    /// Returns why a step never runs, in words for the user.
    pub(super) fn reason(&self, options: &PlanOptions, step: usize, skip: Skip) -> SkipReason {
        let label = |step| label(options, step);
        match skip {
            Skip::DependencyFailed(on) => SkipReason::DependencyFailed { step: label(on) },
            Skip::DependencySkipped(on) => SkipReason::DependencySkipped { step: label(on) },
            Skip::Condition(at) => {
                let condition = options.steps[step].only_if[at].clone();
                SkipReason::Condition { condition }
            }
            Skip::Stopped => {
                // It may have needed the output of a step that was stopped.
                let stop = self.stop_of(step).or(self.stops.first());
                stop.map_or(SkipReason::PlanCancelled, |stop| skip_reason(&stop.cause))
            }
        }
    }

    /// Returns the ending of a plan if nothing stops it any more. `failed` returns a step that has
    /// failed and is not over.
    pub(super) fn ending(
        &self,
        options: &PlanOptions,
        failed: impl FnOnce() -> Option<usize>,
    ) -> PlanEnding {
        match (&self.ending, self.first_failure.or_else(failed)) {
            (Some(ending), _) => ending.clone(),
            (None, Some(step)) => PlanEnding::Failed { step: label(options, step) },
            (None, None) => PlanEnding::Completed,
        }
    }

    /// Returns what a plan knows of a step beyond its result.
    pub(super) fn report(&self, options: &PlanOptions, step: usize) -> StepReport {
        StepReport {
            name: label(options, step).name,
            failure_allowed: self.schedule.was_allowed_to_fail(step),
        }
    }
}

/// Returns the reason for which a step of a stopped plan never runs.
pub(super) fn skip_reason(cause: &PlanEnding) -> SkipReason {
    match cause {
        PlanEnding::DeadlineReached { .. } => SkipReason::PlanDeadline,
        PlanEnding::Failed { step } => SkipReason::PlanStopped { step: step.clone() },
        PlanEnding::EngineClosed | PlanEnding::EngineFailed { .. } => SkipReason::EngineClosed,
        _ => SkipReason::PlanCancelled,
    }
}
