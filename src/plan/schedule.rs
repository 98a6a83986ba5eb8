//! Which step of a plan may start, and which never will. Pure: it is told what has happened.

use super::graph::Graph;
use crate::admission::{AdmissionQueue, GroupId, QueueKey};
use crate::types::FailurePolicy;

/// Where the steps of a plan stand.
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
    turn: StepSlot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepPhase {
    /// For so many others.
    Waits(usize),
    Ready(QueueKey),
    Started,
    /// It has ended, or will never run.
    Over,
}

/// Whose limit counts for a step, and who goes first among those that may start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StepSlot {
    pub(super) group: GroupId,
    pub(super) priority: i32,
}

/// How many steps may be started and not ended: all together, those without a group, and those of
/// each group.
#[derive(Debug, Clone)]
pub(super) struct ConcurrencyLimits {
    pub(super) all: usize,
    pub(super) ungrouped: usize,
    pub(super) groups: Vec<usize>,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepOutcome {
    Success,
    Failure,
}

impl Schedule {
    /// For the steps of `graph`, in its order.
    pub(super) fn new(
        graph: Graph,
        policy: FailurePolicy,
        room: ConcurrencyLimits,
        turns: &[StepSlot],
    ) -> Self {
        let step = |(node, &turn): (usize, &StepSlot)| ScheduledStep {
            phase: StepPhase::Waits(graph.waits_for(node)),
            turn,
        };
        let steps: Box<[ScheduledStep]> = turns.iter().enumerate().map(step).collect();
        let ready = AdmissionQueue::new(room.all, room.ungrouped, room.groups);
        let unfinished = graph.len();
        let mut schedule = Self { graph, policy, steps, ready, unfinished, stopped: false };
        let first = |node: &usize| schedule.steps[*node].phase == StepPhase::Waits(0);
        let first: Vec<usize> = (0..unfinished).filter(first).collect();
        first.into_iter().for_each(|node| schedule.is_ready(node));
        schedule
    }

    /// A step to start now; None if there is none.
    pub(super) fn next(&mut self) -> Option<usize> {
        let (_, step) = self.ready.next()?;
        self.steps[step].phase = StepPhase::Started;
        Some(step)
    }

    /// A started step has ended. Returns those that will never run because of it.
    pub(super) fn ended(&mut self, step: usize, outcome: StepOutcome) -> Vec<usize> {
        self.ready.give_back(self.steps[step].turn.group);
        self.over(step);
        match (outcome, self.policy) {
            (StepOutcome::Success, _) | (StepOutcome::Failure, FailurePolicy::Continue) => {
                self.free_dependents(step);
                Vec::new()
            }
            (StepOutcome::Failure, FailurePolicy::FinishIndependent) => self.give_up_below(step),
            (
                StepOutcome::Failure,
                FailurePolicy::StopAtFirstError | FailurePolicy::CancelAtFirstError,
            ) => self.stop(),
        }
    }

    /// Nothing is started any more. Returns those that will never run because of it.
    pub(super) fn stop(&mut self) -> Vec<usize> {
        if std::mem::replace(&mut self.stopped, true) {
            return Vec::new();
        }
        let not_started = |&step: &usize| {
            matches!(self.steps[step].phase, StepPhase::Waits(_) | StepPhase::Ready(_))
        };
        let given_up: Vec<usize> = (0..self.steps.len()).filter(not_started).collect();
        given_up.iter().for_each(|&step| self.give_up(step));
        given_up
    }

    /// Whether nothing is started any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether every step has ended or will never run.
    pub(super) fn is_over(&self) -> bool {
        self.unfinished == 0
    }

    /// How many steps have ended or will never run.
    pub(super) fn over_count(&self) -> usize {
        self.steps.len() - self.unfinished
    }

    fn is_ready(&mut self, step: usize) {
        let StepSlot { group, priority } = self.steps[step].turn;
        let rank = self.ready.push(group, priority, step);
        self.steps[step].phase = StepPhase::Ready(rank);
    }

    fn over(&mut self, step: usize) {
        self.steps[step].phase = StepPhase::Over;
        self.unfinished -= 1;
    }

    fn free_dependents(&mut self, step: usize) {
        for at in 0..self.graph.dependents(step).len() {
            let dependent = self.graph.dependents(step)[at];
            if let StepPhase::Waits(others) = self.steps[dependent].phase {
                self.steps[dependent].phase = StepPhase::Waits(others - 1);
                if others == 1 {
                    self.is_ready(dependent);
                }
            }
        }
    }

    fn give_up(&mut self, step: usize) {
        if let StepPhase::Ready(rank) = self.steps[step].phase {
            let _waited = self.ready.remove(self.steps[step].turn.group, rank);
        }
        self.over(step);
    }

    /// All that depend on a step, directly or through others, and are not over already.
    fn give_up_below(&mut self, step: usize) -> Vec<usize> {
        let mut given_up = Vec::new();
        let mut open = vec![step];
        while let Some(step) = open.pop() {
            for at in 0..self.graph.dependents(step).len() {
                let dependent = self.graph.dependents(step)[at];
                if self.steps[dependent].phase != StepPhase::Over {
                    self.give_up(dependent);
                    given_up.push(dependent);
                    open.push(dependent);
                }
            }
        }
        given_up
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

    /// A graph without circles: each waits for some of those before it.
    fn any_graph() -> impl Strategy<Value = Vec<Vec<usize>>> {
        prop::collection::vec(prop::collection::vec(any::<Index>(), 0..4), 1..30).prop_map(|all| {
            let below = |(node, edges): (usize, Vec<Index>)| match node {
                0 => Vec::new(),
                _ => edges.iter().map(|edge| edge.index(node)).collect(),
            };
            all.into_iter().enumerate().map(below).collect()
        })
    }

    fn any_turns() -> impl Strategy<Value = Vec<StepSlot>> {
        let turn = (0..3usize, -1..2i32).prop_map(|(group, priority)| StepSlot {
            group: group.checked_sub(1).map_or(GroupId::NONE, GroupId::named),
            priority,
        });
        prop::collection::vec(turn, 30)
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
            turns in any_turns(),
            policy in prop::sample::select(&POLICIES[..]),
            (all, ungrouped, groups) in (1..5usize, 1..4usize, [1..3usize, 1..3usize]),
            fails in prop::collection::hash_set(0..30usize, 0..5),
            order in prop::collection::vec(any::<Index>(), 30),
            stops_after in prop::option::of(0..30usize),
        ) {
            let count = waits_for.len();
            let turns = &turns[..count];
            let room = ConcurrencyLimits { all, ungrouped, groups: groups.to_vec() };
            let graph = Graph::new(waits_for.clone()).unwrap();
            let mut schedule = Schedule::new(graph, policy, room, turns);
            let mut seen = Seen::default();
            let mut is_stopped = false;
            for end in order {
                while let Some(step) = schedule.next() {
                    prop_assert!(!seen.is_over(step) && !seen.running.contains(&step), "once");
                    prop_assert!(!is_stopped, "nothing starts after the stop");
                    for &dependency in &waits_for[step] {
                        let satisfied = seen.ended_well.contains(&dependency)
                            || policy == FailurePolicy::Continue && seen.failed.contains(&dependency);
                        prop_assert!(satisfied, "{step} started before {dependency}");
                    }
                    if policy != FailurePolicy::Continue {
                        prop_assert!(!below_a_failure(&waits_for, &seen.failed, step));
                    }
                    seen.running.push(step);
                }
                prop_assert!(seen.running.len() <= all);
                let of = |group: GroupId| {
                    seen.running.iter().filter(|&&step| turns[step].group == group).count()
                };
                prop_assert!(of(GroupId::NONE) <= ungrouped);
                prop_assert!(of(GroupId::named(0)) <= groups[0]);
                prop_assert!(of(GroupId::named(1)) <= groups[1]);
                prop_assert_eq!(schedule.over_count(), seen.total());
                if schedule.is_over() {
                    break;
                }
                prop_assert!(!seen.running.is_empty(), "it goes on, or it is over");
                let step = seen.running.swap_remove(end.index(seen.running.len()));
                let outcome = if fails.contains(&step) { StepOutcome::Failure } else { StepOutcome::Success };
                let given_up = schedule.ended(step, outcome);
                match outcome {
                    StepOutcome::Success => seen.ended_well.insert(step),
                    StepOutcome::Failure => seen.failed.insert(step),
                };
                for &step in &given_up {
                    prop_assert!(!seen.is_over(step) && !seen.running.contains(&step));
                    if policy == FailurePolicy::FinishIndependent && !is_stopped {
                        prop_assert!(below_a_failure(&waits_for, &seen.failed, step));
                    }
                }
                seen.never.extend(given_up);
                let stops_here = matches!(
                    policy,
                    FailurePolicy::StopAtFirstError | FailurePolicy::CancelAtFirstError
                );
                is_stopped |= stops_here && outcome == StepOutcome::Failure;
                if stops_after == Some(seen.total()) {
                    is_stopped = true;
                    let given_up = schedule.stop();
                    prop_assert!(given_up.iter().all(|&step| !seen.is_over(step)));
                    seen.never.extend(given_up);
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
    fn among_those_that_may_start_priority_goes_before_index() {
        let graph = Graph::new(vec![vec![]; 3]).unwrap();
        let turns = [0, 5, 0].map(|priority| StepSlot { priority, ..StepSlot::default() });
        let room = ConcurrencyLimits { all: 1, ungrouped: 1, groups: Vec::new() };
        let mut schedule = Schedule::new(graph, FailurePolicy::Continue, room, &turns);
        let mut order = Vec::new();
        while let Some(step) = schedule.next() {
            assert_eq!(schedule.next(), None, "one at a time");
            order.push(step);
            schedule.ended(step, StepOutcome::Success);
        }
        assert_eq!(order, [1, 0, 2]);
    }
}
