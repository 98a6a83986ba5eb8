//! Schedule of a plan: which step may start, and which never will. Pure: the caller reports what
//! has happened.

mod rules;
#[cfg(test)]
mod tests;

use super::graph::Graph;
use crate::admission::{AdmissionQueue, GroupId, QueueKey};
use crate::types::FailurePolicy;

pub(super) use rules::{Condition, Skip, StepOutcome, StepRule, StopLevel};

/// Phases of all steps of a plan.
#[derive(Debug)]
pub(super) struct Schedule {
    graph: Graph,
    policy: FailurePolicy,
    steps: Box<[ScheduledStep]>,
    /// The steps that may start.
    ready: AdmissionQueue<usize>,
    unfinished: usize,
    /// The highest level of a stop.
    stopped: Option<StopLevel>,
    /// Steps are only in an order: one that was skipped by its conditions hinders no other.
    is_serial: bool,
}

#[derive(Debug)]
struct ScheduledStep {
    phase: StepPhase,
    /// The number of steps that it waits for. One that was stopped is over before it is 0; its
    /// dependents learn of that later, so that no step starts before all those before it are over.
    waits_for: usize,
    slot: StepSlot,
    rule: StepRule,
    /// Why it does not run, unless it does whatever comes of the steps that it waits for.
    hindrance: Option<Skip>,
    /// Whether a step before it, directly or through others, failed, was stopped, or did not run
    /// because of that.
    follows_failure: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepPhase {
    Waits,
    Ready(QueueKey),
    Started,
    /// Has ended, or will never run.
    Over(StepOutcome),
}

/// Group whose limit counts for a step, and its priority among the steps that may start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StepSlot {
    pub(super) group: GroupId,
    pub(super) priority: i32,
}

/// Limits of steps that are started and not ended: of all together, of those without a group, and
/// of each group.
#[derive(Debug, Clone)]
pub(super) struct ConcurrencyLimits {
    pub(super) all: usize,
    pub(super) ungrouped: usize,
    pub(super) groups: Vec<usize>,
}

/// A plan as its schedule needs it.
#[derive(Debug)]
pub(super) struct ScheduleSpec {
    pub(super) graph: Graph,
    pub(super) policy: FailurePolicy,
    pub(super) is_serial: bool,
    pub(super) limits: ConcurrencyLimits,
    /// In the order of the graph.
    pub(super) steps: Vec<(StepSlot, StepRule)>,
}

impl Schedule {
    pub(super) fn new(spec: ScheduleSpec) -> Self {
        let ScheduleSpec { graph, policy, is_serial, limits, steps } = spec;
        let step = |(node, (slot, rule)): (usize, (StepSlot, StepRule))| ScheduledStep {
            phase: StepPhase::Waits,
            waits_for: graph.waits_for(node),
            slot,
            rule,
            hindrance: None,
            follows_failure: false,
        };
        let steps: Box<[ScheduledStep]> = steps.into_iter().enumerate().map(step).collect();
        let ready = AdmissionQueue::new(limits.all, limits.ungrouped, limits.groups);
        let unfinished = steps.len();
        let mut schedule =
            Self { graph, policy, steps, ready, unfinished, stopped: None, is_serial };
        let first = |node: &usize| schedule.steps[*node].waits_for == 0;
        let first: Vec<usize> = (0..unfinished).filter(first).collect();
        first.into_iter().for_each(|node| schedule.make_ready(node));
        schedule
    }

    /// Returns a step to start now; `None` if there is none.
    pub(super) fn next(&mut self) -> Option<usize> {
        let (_, step) = self.ready.next()?;
        self.steps[step].phase = StepPhase::Started;
        Some(step)
    }

    /// Notes what came of a started step. Returns the steps that will never run because of it.
    pub(super) fn ended(&mut self, step: usize, outcome: StepOutcome) -> Vec<(usize, Skip)> {
        self.ready.give_back(self.steps[step].slot.group);
        self.set_over(step, outcome);
        let stops_here = match self.policy {
            FailurePolicy::StopAtFirstError | FailurePolicy::CancelAtFirstError => {
                self.has_failed(step)
            }
            FailurePolicy::FinishIndependent | FailurePolicy::Continue => false,
        };
        // First the stop, so that it is the reason why the dependents do not run.
        let mut skipped = if stops_here { self.stop(StopLevel::Failure) } else { Vec::new() };
        self.tell_dependents(vec![step], &mut skipped);
        skipped
    }

    /// Stops the steps of this level: those that have not started never will. Returns the steps that
    /// will never run because of it. Others may have become ready.
    pub(super) fn stop(&mut self, level: StopLevel) -> Vec<(usize, Skip)> {
        if self.stopped >= Some(level) {
            return Vec::new();
        }
        self.stopped = Some(level);
        let is_stopped = |&step: &usize| {
            let ScheduledStep { phase, rule, .. } = &self.steps[step];
            let has_not_started = matches!(phase, StepPhase::Waits | StepPhase::Ready(_));
            has_not_started && rule.stopped_by() <= level
        };
        let mut stopped: Vec<usize> = (0..self.steps.len()).filter(is_stopped).collect();
        stopped.iter().for_each(|&step| self.skip(step, Skip::Stopped));
        let mut skipped = stopped.iter().map(|&step| (step, Skip::Stopped)).collect();
        stopped.retain(|&step| self.steps[step].waits_for == 0);
        self.tell_dependents(stopped, &mut skipped);
        skipped
    }

    /// Returns the lowest level that stops a step.
    pub(super) fn stopped_by(&self, step: usize) -> StopLevel {
        self.steps[step].rule.stopped_by()
    }

    /// Returns the steps that were started, are not over, and are stopped by this level.
    pub(super) fn started(&self, level: StopLevel) -> Vec<usize> {
        let is_meant = |&step: &usize| {
            self.steps[step].phase == StepPhase::Started && self.stopped_by(step) <= level
        };
        (0..self.steps.len()).filter(is_meant).collect()
    }

    /// Returns `true` if a step ran and failed, and that counts.
    pub(super) fn has_failed(&self, step: usize) -> bool {
        self.failed_by_itself(step) && !self.steps[step].rule.allow_failure
    }

    /// Returns `true` if a step ran and failed, and that was allowed.
    pub(super) fn was_allowed_to_fail(&self, step: usize) -> bool {
        self.failed_by_itself(step) && self.steps[step].rule.allow_failure
    }

    /// Returns `true` if a failure of the step does not count.
    pub(super) fn may_fail(&self, step: usize) -> bool {
        self.steps[step].rule.allow_failure
    }

    /// Returns `true` if every step has ended or will never run.
    pub(super) fn is_over(&self) -> bool {
        self.unfinished == 0
    }

    /// Returns how many steps have ended or will never run.
    pub(super) fn over_count(&self) -> usize {
        self.steps.len() - self.unfinished
    }

    /// Returns `true` if a step was started and is not over; `false` for one that does not exist.
    pub(super) fn is_started(&self, step: usize) -> bool {
        self.steps.get(step).is_some_and(|step| step.phase == StepPhase::Started)
    }

    /// Returns the steps that wait for a step, directly.
    pub(super) fn dependents(&self, step: usize) -> &[usize] {
        self.graph.dependents(step)
    }

    fn outcome(&self, step: usize) -> Option<StepOutcome> {
        match self.steps[step].phase {
            StepPhase::Over(outcome) => Some(outcome),
            StepPhase::Waits | StepPhase::Ready(_) | StepPhase::Started => None,
        }
    }

    fn failed_by_itself(&self, step: usize) -> bool {
        self.outcome(step).is_some_and(|it| it.is_failure() && it != StepOutcome::Stopped)
    }

    fn make_ready(&mut self, step: usize) {
        let StepSlot { group, priority } = self.steps[step].slot;
        let key = self.ready.push(group, priority, step);
        self.steps[step].phase = StepPhase::Ready(key);
    }

    fn set_over(&mut self, step: usize, outcome: StepOutcome) {
        self.steps[step].phase = StepPhase::Over(outcome);
        self.unfinished -= 1;
    }

    fn skip(&mut self, step: usize, reason: Skip) {
        if let StepPhase::Ready(key) = self.steps[step].phase {
            let _waited = self.ready.remove(self.steps[step].slot.group, key);
        }
        self.set_over(step, StepOutcome::Skipped(reason));
    }

    /// Decides on the steps that wait for no other one now that these are over, as is all before
    /// them, and on those that wait for what is skipped.
    fn tell_dependents(&mut self, mut over: Vec<usize>, skipped: &mut Vec<(usize, Skip)>) {
        while let Some(step) = over.pop() {
            for at in 0..self.graph.dependents(step).len() {
                let dependent = self.graph.dependents(step)[at];
                self.note_outcome(dependent, step);
                let ScheduledStep { phase, waits_for, .. } = &mut self.steps[dependent];
                *waits_for -= 1;
                if *waits_for > 0 {
                    continue;
                }
                if *phase != StepPhase::Waits {
                    over.push(dependent);
                } else if let Some(reason) = self.objection(dependent) {
                    self.skip(dependent, reason);
                    skipped.push((dependent, reason));
                    over.push(dependent);
                } else {
                    self.make_ready(dependent);
                }
            }
        }
    }

    /// Notes what the outcome of a step means for one that waits for it.
    fn note_outcome(&mut self, dependent: usize, on: usize) {
        let hindrance = self.hindrance(on);
        let is_bad = matches!(hindrance, Some(Skip::DependencyFailed(_) | Skip::Stopped));
        let follows_failure = is_bad || self.steps[on].follows_failure;
        let dependent = &mut self.steps[dependent];
        dependent.hindrance = dependent.hindrance.into_iter().chain(hindrance).min();
        dependent.follows_failure |= follows_failure;
    }

    fn hindrance(&self, on: usize) -> Option<Skip> {
        self.outcome(on)?.hindrance(on, &self.steps[on].rule)
    }

    /// Returns why a step does not run although it waits for no other one; None if it does.
    fn objection(&self, step: usize) -> Option<Skip> {
        let ScheduledStep { rule, hindrance, .. } = &self.steps[step];
        let has_run = |on: usize| !matches!(self.outcome(on), Some(StepOutcome::Skipped(_)));
        if let Some(&on) = rule.takes_from.iter().find(|on| !has_run(**on)) {
            return self.hindrance(on);
        }
        if !rule.conditions.is_empty() {
            let unmet = rule.conditions.iter().position(|condition| !self.is_met(step, condition));
            return unmet.map(Skip::Condition);
        }
        match hindrance {
            _ if rule.always || self.policy == FailurePolicy::Continue => None,
            Some(Skip::DependencySkipped(_)) if self.is_serial => None,
            hindrance => *hindrance,
        }
    }

    fn is_met(&self, step: usize, condition: &Condition) -> bool {
        let is = |on: usize, expected: &dyn Fn(StepOutcome) -> bool| {
            self.outcome(on).is_some_and(expected)
        };
        match condition {
            Condition::Succeeded(on) => is(*on, &StepOutcome::is_success),
            Condition::Failed(on) => is(*on, &StepOutcome::is_failure),
            Condition::ExitCode(on, codes) => {
                is(*on, &|it| matches!(it, StepOutcome::Exited(code) if codes.contains(&code)))
            }
            Condition::Skipped(on) => is(*on, &|it| matches!(it, StepOutcome::Skipped(_))),
            Condition::AnyFailed => self.steps[step].follows_failure,
            Condition::NoneFailed => !self.steps[step].follows_failure,
        }
    }
}
