//! Schedule of a plan: which step may start, and which never will. Pure: the caller reports what
//! has happened.

use super::graph::Graph;
use crate::admission::{AdmissionQueue, GroupId, QueueKey};
use crate::types::FailurePolicy;

/// Phases of all steps of a plan.
#[derive(Debug)]
pub(super) struct Schedule {
    graph: Graph,
    policy: FailurePolicy,
    steps: Box<[ScheduledStep]>,
    /// The steps that may start.
    ready: AdmissionQueue<usize>,
    unfinished: usize,
    stopped: bool,
}

#[derive(Debug)]
struct ScheduledStep {
    phase: StepPhase,
    slot: StepSlot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepPhase {
    /// Waits for this number of other steps.
    Waits(usize),
    Ready(QueueKey),
    Started,
    /// Has ended, or will never run.
    Over,
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

/// End of a step, as far as it matters for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepOutcome {
    Success,
    Failure,
}

impl Schedule {
    /// Creates the schedule of the steps of `graph`; `slots` are in its order.
    pub(super) fn new(
        graph: Graph,
        policy: FailurePolicy,
        limits: ConcurrencyLimits,
        slots: &[StepSlot],
    ) -> Self {
        let step = |(node, &slot): (usize, &StepSlot)| ScheduledStep {
            phase: StepPhase::Waits(graph.waits_for(node)),
            slot,
        };
        let steps: Box<[ScheduledStep]> = slots.iter().enumerate().map(step).collect();
        let ready = AdmissionQueue::new(limits.all, limits.ungrouped, limits.groups);
        let unfinished = steps.len();
        let mut schedule = Self { graph, policy, steps, ready, unfinished, stopped: false };
        let first = |node: &usize| schedule.steps[*node].phase == StepPhase::Waits(0);
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

    /// Notes the end of a started step. Returns the steps that will never run because of it.
    pub(super) fn ended(&mut self, step: usize, outcome: StepOutcome) -> Vec<usize> {
        self.ready.give_back(self.steps[step].slot.group);
        self.set_over(step);
        match (outcome, self.policy) {
            (StepOutcome::Success, _) | (StepOutcome::Failure, FailurePolicy::Continue) => {
                self.release_dependents(step);
                Vec::new()
            }
            (StepOutcome::Failure, FailurePolicy::FinishIndependent) => self.skip_dependents(step),
            (
                StepOutcome::Failure,
                FailurePolicy::StopAtFirstError | FailurePolicy::CancelAtFirstError,
            ) => self.stop(),
        }
    }

    /// Stops the schedule, so that no step becomes ready any more. Returns the steps that will
    /// never run because of it.
    pub(super) fn stop(&mut self) -> Vec<usize> {
        if std::mem::replace(&mut self.stopped, true) {
            return Vec::new();
        }
        let not_started = |&step: &usize| {
            matches!(self.steps[step].phase, StepPhase::Waits(_) | StepPhase::Ready(_))
        };
        let skipped: Vec<usize> = (0..self.steps.len()).filter(not_started).collect();
        skipped.iter().for_each(|&step| self.skip(step));
        skipped
    }

    /// Returns `true` if no step is started any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Returns `true` if every step has ended or will never run.
    pub(super) fn is_over(&self) -> bool {
        self.unfinished == 0
    }

    /// Returns how many steps have ended or will never run.
    pub(super) fn over_count(&self) -> usize {
        self.steps.len() - self.unfinished
    }

    fn make_ready(&mut self, step: usize) {
        let StepSlot { group, priority } = self.steps[step].slot;
        let key = self.ready.push(group, priority, step);
        self.steps[step].phase = StepPhase::Ready(key);
    }

    fn set_over(&mut self, step: usize) {
        self.steps[step].phase = StepPhase::Over;
        self.unfinished -= 1;
    }

    fn release_dependents(&mut self, step: usize) {
        for at in 0..self.graph.dependents(step).len() {
            let dependent = self.graph.dependents(step)[at];
            if let StepPhase::Waits(others) = self.steps[dependent].phase {
                self.steps[dependent].phase = StepPhase::Waits(others - 1);
                if others == 1 {
                    self.make_ready(dependent);
                }
            }
        }
    }

    fn skip(&mut self, step: usize) {
        if let StepPhase::Ready(key) = self.steps[step].phase {
            let _waited = self.ready.remove(self.steps[step].slot.group, key);
        }
        self.set_over(step);
    }

    /// Skips the steps that depend on this one, directly or through others, and are not over yet.
    fn skip_dependents(&mut self, step: usize) -> Vec<usize> {
        let mut skipped = Vec::new();
        let mut open = vec![step];
        while let Some(step) = open.pop() {
            for at in 0..self.graph.dependents(step).len() {
                let dependent = self.graph.dependents(step)[at];
                if self.steps[dependent].phase != StepPhase::Over {
                    self.skip(dependent);
                    skipped.push(dependent);
                    open.push(dependent);
                }
            }
        }
        skipped
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    const POLICIES: [FailurePolicy; 4] = [
        FailurePolicy::StopAtFirstError,
        FailurePolicy::CancelAtFirstError,
        FailurePolicy::FinishIndependent,
        FailurePolicy::Continue,
    ];

    /// Generates a graph without cycles: each node waits for some of those before it.
    fn any_graph() -> impl Strategy<Value = Vec<Vec<usize>>> {
        prop::collection::vec(prop::collection::vec(any::<Index>(), 0..4), 1..30).prop_map(|all| {
            let below = |(node, edges): (usize, Vec<Index>)| match node {
                0 => Vec::new(),
                _ => edges.iter().map(|edge| edge.index(node)).collect(),
            };
            all.into_iter().enumerate().map(below).collect()
        })
    }

    fn any_slots() -> impl Strategy<Value = Vec<StepSlot>> {
        let slot = (0..3usize, -1..2i32).prop_map(|(group, priority)| StepSlot {
            group: group.checked_sub(1).map_or(GroupId::NONE, GroupId::named),
            priority,
        });
        prop::collection::vec(slot, 30)
    }

    /// What has happened to the steps of a plan.
    #[derive(Default)]
    struct Seen {
        running: Vec<usize>,
        ended_well: HashSet<usize>,
        failed: HashSet<usize>,
        never: HashSet<usize>,
    }

    impl Seen {
        fn is_over(&self, step: usize) -> bool {
            [&self.ended_well, &self.failed, &self.never].iter().any(|set| set.contains(&step))
        }

        fn total(&self) -> usize {
            self.ended_well.len() + self.failed.len() + self.never.len()
        }
    }

    fn below_a_failure(waits_for: &[Vec<usize>], failed: &HashSet<usize>, step: usize) -> bool {
        waits_for[step].iter().any(|&dependency| {
            failed.contains(&dependency) || below_a_failure(waits_for, failed, dependency)
        })
    }

    proptest! {
        #[test]
        fn every_step_ends_in_order_within_the_limits(
            waits_for in any_graph(),
            slots in any_slots(),
            policy in prop::sample::select(&POLICIES[..]),
            (all, ungrouped, groups) in (1..5usize, 1..4usize, [1..3usize, 1..3usize]),
            fails in prop::collection::hash_set(0..30usize, 0..5),
            order in prop::collection::vec(any::<Index>(), 30),
            stops_after in prop::option::of(0..30usize),
        ) {
            let count = waits_for.len();
            let slots = &slots[..count];
            let limits = ConcurrencyLimits { all, ungrouped, groups: groups.to_vec() };
            let graph = Graph::new(waits_for.clone()).unwrap();
            let mut schedule = Schedule::new(graph, policy, limits, slots);
            let mut seen = Seen::default();
            let mut is_stopped = false;
            for end in order {
                while let Some(step) = schedule.next() {
                    prop_assert!(!seen.is_over(step) && !seen.running.contains(&step), "once");
                    prop_assert!(!is_stopped, "nothing starts after the stop");
                    for &dependency in &waits_for[step] {
                        let continues = policy == FailurePolicy::Continue;
                        let satisfied = seen.ended_well.contains(&dependency)
                            || continues && seen.failed.contains(&dependency);
                        prop_assert!(satisfied, "{step} started before {dependency}");
                    }
                    if policy != FailurePolicy::Continue {
                        prop_assert!(!below_a_failure(&waits_for, &seen.failed, step));
                    }
                    seen.running.push(step);
                }
                prop_assert!(seen.running.len() <= all);
                let of = |group: GroupId| {
                    seen.running.iter().filter(|&&step| slots[step].group == group).count()
                };
                prop_assert!(of(GroupId::NONE) <= ungrouped);
                prop_assert!(of(GroupId::named(0)) <= groups[0]);
                prop_assert!(of(GroupId::named(1)) <= groups[1]);
                prop_assert_eq!(schedule.over_count(), seen.total());
                if schedule.is_over() {
                    break;
                }
                prop_assert!(!seen.running.is_empty(), "it makes progress, or it is over");
                let step = seen.running.swap_remove(end.index(seen.running.len()));
                let outcome = match fails.contains(&step) {
                    true => StepOutcome::Failure,
                    false => StepOutcome::Success,
                };
                let skipped = schedule.ended(step, outcome);
                match outcome {
                    StepOutcome::Success => seen.ended_well.insert(step),
                    StepOutcome::Failure => seen.failed.insert(step),
                };
                for &step in &skipped {
                    prop_assert!(!seen.is_over(step) && !seen.running.contains(&step));
                    if policy == FailurePolicy::FinishIndependent && !is_stopped {
                        prop_assert!(below_a_failure(&waits_for, &seen.failed, step));
                    }
                }
                seen.never.extend(skipped);
                let stops_here = matches!(
                    policy,
                    FailurePolicy::StopAtFirstError | FailurePolicy::CancelAtFirstError
                );
                is_stopped |= stops_here && outcome == StepOutcome::Failure;
                if stops_after == Some(seen.total()) {
                    is_stopped = true;
                    let skipped = schedule.stop();
                    prop_assert!(skipped.iter().all(|&step| !seen.is_over(step)));
                    seen.never.extend(skipped);
                }
            }
            prop_assert!(schedule.is_over() && seen.running.is_empty());
            prop_assert_eq!(seen.total(), count, "every step ends, one way or the other");
            if policy == FailurePolicy::FinishIndependent && !is_stopped {
                for step in 0..count {
                    let below = below_a_failure(&waits_for, &seen.failed, step);
                    prop_assert_eq!(seen.never.contains(&step), below);
                }
            }
            if policy == FailurePolicy::Continue && !is_stopped {
                prop_assert!(seen.never.is_empty());
            }
        }
    }

    #[test]
    fn ready_steps_start_by_priority_then_by_index() {
        let graph = Graph::new(vec![vec![]; 3]).unwrap();
        let slots = [0, 5, 0].map(|priority| StepSlot { priority, ..StepSlot::default() });
        let limits = ConcurrencyLimits { all: 1, ungrouped: 1, groups: Vec::new() };
        let mut schedule = Schedule::new(graph, FailurePolicy::Continue, limits, &slots);
        let mut order = Vec::new();
        while let Some(step) = schedule.next() {
            assert_eq!(schedule.next(), None, "one at a time");
            order.push(step);
            schedule.ended(step, StepOutcome::Success);
        }
        assert_eq!(order, [1, 0, 2]);
    }
}
