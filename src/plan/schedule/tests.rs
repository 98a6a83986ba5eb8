use std::collections::{BTreeSet, HashMap};

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

/// A rule whose steps are chosen later, among those that its step waits for.
#[derive(Debug, Clone)]
struct RuleSeed {
    always: bool,
    allow_failure: bool,
    conditions: Vec<(u8, Index)>,
    takes_from: Option<Index>,
}

fn any_rules() -> impl Strategy<Value = Vec<RuleSeed>> {
    let condition = (0..7u8, any::<Index>());
    let conditions = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(condition, 1..3),
    ];
    let takes_from = prop::option::weighted(0.2, any::<Index>());
    let rule = (prop::bool::weighted(0.2), prop::bool::weighted(0.2), conditions, takes_from);
    let rule = rule.prop_map(|(always, allow_failure, conditions, takes_from)| RuleSeed {
        always,
        allow_failure,
        conditions,
        takes_from,
    });
    prop::collection::vec(rule, 30)
}

fn rule(seed: &RuleSeed, waits_for: &[usize]) -> StepRule {
    let one = |index: &Index| waits_for[index.index(waits_for.len())];
    let condition = |(kind, index): &(u8, Index)| match kind {
        0 => Condition::Succeeded(one(index)),
        1 => Condition::Failed(one(index)),
        2 => Condition::ExitCode(one(index), vec![1]),
        3 => Condition::ExitCode(one(index), vec![0, 2]),
        4 => Condition::Skipped(one(index)),
        5 => Condition::AnyFailed,
        _ => Condition::NoneFailed,
    };
    let RuleSeed { always, allow_failure, conditions, takes_from } = seed;
    let mut rule =
        StepRule { always: *always, allow_failure: *allow_failure, ..Default::default() };
    if !waits_for.is_empty() {
        rule.conditions = conditions.iter().map(condition).collect();
        rule.takes_from = takes_from.iter().map(one).collect();
    }
    rule
}

fn any_outcome() -> impl Strategy<Value = StepOutcome> {
    prop_oneof![
        5 => Just(StepOutcome::Exited(0)),
        1 => (1..3i32).prop_map(StepOutcome::Exited),
        1 => Just(StepOutcome::Failed),
    ]
}

/// The rules of a plan in other words than those of the schedule: from what came of all steps, what
/// should have come of each.
struct Oracle<'a> {
    waits_for: &'a [Vec<usize>],
    rules: &'a [StepRule],
    policy: FailurePolicy,
    is_serial: bool,
    outcomes: &'a HashMap<usize, StepOutcome>,
}

impl Oracle<'_> {
    fn is_skipped(&self, step: usize) -> bool {
        matches!(self.outcomes[&step], StepOutcome::Skipped(_))
    }

    fn has_failed(&self, step: usize) -> bool {
        !self.is_skipped(step) && self.outcomes[&step] != StepOutcome::Exited(0)
    }

    /// Whether it failed and that counts, was stopped, or did not run because of that.
    fn is_bad(&self, step: usize) -> bool {
        match self.outcomes[&step] {
            StepOutcome::Stopped => true,
            StepOutcome::Skipped(skip) => {
                matches!(skip, Skip::Stopped | Skip::DependencyFailed(_))
            }
            _ => self.has_failed(step) && !self.rules[step].allow_failure,
        }
    }

    fn follows_bad(&self, step: usize) -> bool {
        self.waits_for[step].iter().any(|&on| self.is_bad(on) || self.follows_bad(on))
    }

    fn is_met(&self, step: usize, condition: &Condition) -> bool {
        let code = |on: usize, codes: &[i32]| match self.outcomes[&on] {
            StepOutcome::Exited(code) => codes.contains(&code),
            _ => false,
        };
        match condition {
            Condition::Succeeded(on) => code(*on, &[0]),
            Condition::Failed(on) => self.has_failed(*on),
            Condition::ExitCode(on, codes) => code(*on, codes),
            Condition::Skipped(on) => self.is_skipped(*on),
            Condition::AnyFailed => self.follows_bad(step),
            Condition::NoneFailed => !self.follows_bad(step),
        }
    }

    /// Whether a step runs, unless it is stopped.
    fn runs(&self, step: usize) -> bool {
        let rule = &self.rules[step];
        if rule.takes_from.iter().any(|&on| self.is_skipped(on)) {
            return false;
        }
        if !rule.conditions.is_empty() {
            return rule.conditions.iter().all(|condition| self.is_met(step, condition));
        }
        let is_good = |on: &usize| !self.is_bad(*on) && (self.is_serial || !self.is_skipped(*on));
        let ignores_others = rule.always || self.policy == FailurePolicy::Continue;
        ignores_others || self.waits_for[step].iter().all(is_good)
    }

    /// Whether a reason is true.
    fn explains(&self, step: usize, skip: Skip) -> bool {
        match skip {
            Skip::Stopped => true,
            Skip::Condition(at) => !self.is_met(step, &self.rules[step].conditions[at]),
            Skip::DependencyFailed(on) => {
                let is_cause = self.is_bad(on) && !self.is_skipped(on);
                is_cause && reaches(self.waits_for, step, on)
            }
            Skip::DependencySkipped(on) => {
                let is_cause =
                    matches!(self.outcomes[&on], StepOutcome::Skipped(Skip::Condition(_)));
                is_cause && reaches(self.waits_for, step, on)
            }
        }
    }
}

fn reaches(waits_for: &[Vec<usize>], from: usize, to: usize) -> bool {
    waits_for[from].iter().any(|&on| on == to || reaches(waits_for, on, to))
}

/// Returns the level that stops a step, in other words than the schedule.
fn stopped_by(rule: &StepRule) -> StopLevel {
    let is_for_failures = rule.conditions.iter().any(|condition| match condition {
        Condition::Failed(_) | Condition::Skipped(_) | Condition::AnyFailed => true,
        Condition::ExitCode(_, codes) => codes != &[0],
        Condition::Succeeded(_) | Condition::NoneFailed => false,
    });
    match (rule.always, is_for_failures) {
        (true, _) => StopLevel::Everything,
        (false, true) => StopLevel::Cancel,
        (false, false) => StopLevel::Failure,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_step_ends_in_order_within_the_limits(
        waits_for in any_graph(),
        (slots, rules) in (any_slots(), any_rules()),
        (policy, is_serial) in (prop::sample::select(&POLICIES[..]), any::<bool>()),
        (all, ungrouped, groups) in (1..5usize, 1..4usize, [1..3usize, 1..3usize]),
        (ends, order) in (
            prop::collection::vec(any_outcome(), 30),
            prop::collection::vec(any::<Index>(), 30),
        ),
        stops in prop::collection::hash_map(
            0..30usize,
            prop_oneof![Just(StopLevel::Cancel), Just(StopLevel::Everything)],
            0..2,
        ),
    ) {
        let count = waits_for.len();
        let waits_for: Vec<Vec<usize>> =
            waits_for.into_iter().map(|on| BTreeSet::from_iter(on).into_iter().collect()).collect();
        let slots = &slots[..count];
        let rules: Vec<_> = rules.iter().zip(&waits_for).map(|(it, on)| rule(it, on)).collect();
        let limits = ConcurrencyLimits { all, ungrouped, groups: groups.to_vec() };
        let graph = Graph::new(waits_for.clone()).unwrap();
        let steps = slots.iter().copied().zip(rules.iter().cloned()).collect();
        let mut schedule = Schedule::new(ScheduleSpec { graph, policy, is_serial, limits, steps });
        let mut outcomes = HashMap::new();
        let mut running: Vec<usize> = Vec::new();
        let mut stopped = None;
        for end in order {
            while let Some(step) = schedule.next() {
                prop_assert!(!outcomes.contains_key(&step) && !running.contains(&step), "once");
                let may_start = stopped < Some(stopped_by(&rules[step]));
                prop_assert!(may_start, "{step} starts after its stop");
                let is_over = |on: &usize| outcomes.contains_key(on);
                let mut before: Vec<usize> = waits_for[step].clone();
                while let Some(on) = before.pop() {
                    prop_assert!(is_over(&on), "{step} starts before {on} is over");
                    before.extend(&waits_for[on]);
                }
                running.push(step);
            }
            prop_assert!(running.len() <= all);
            let of = |group: GroupId| {
                running.iter().filter(|&&step| slots[step].group == group).count()
            };
            prop_assert!(of(GroupId::NONE) <= ungrouped);
            prop_assert!(of(GroupId::named(0)) <= groups[0]);
            prop_assert!(of(GroupId::named(1)) <= groups[1]);
            prop_assert_eq!(schedule.over_count(), outcomes.len());
            if schedule.is_over() {
                break;
            }
            prop_assert!(!running.is_empty(), "it makes progress, or it is over");
            let step = running.swap_remove(end.index(running.len()));
            let is_halted = stopped >= Some(StopLevel::Cancel) && stopped >= Some(stopped_by(&rules[step]));
            let outcome = if is_halted { StepOutcome::Stopped } else { ends[step] };
            let mut skipped = schedule.ended(step, outcome);
            outcomes.insert(step, outcome);
            let fails = !is_halted && outcome != StepOutcome::Exited(0) && !rules[step].allow_failure;
            prop_assert_eq!(schedule.has_failed(step), fails);
            let stops_here = matches!(
                policy,
                FailurePolicy::StopAtFirstError | FailurePolicy::CancelAtFirstError
            );
            if fails && stops_here {
                stopped = stopped.max(Some(StopLevel::Failure));
            }
            if let Some(level) = stops.get(&outcomes.len()) {
                stopped = stopped.max(Some(*level));
                skipped.extend(schedule.stop(*level));
                let mut meant = running.clone();
                meant.retain(|step| stopped_by(&rules[*step]) <= *level);
                meant.sort_unstable();
                prop_assert_eq!(schedule.started(*level), meant);
            }
            for (step, skip) in skipped {
                prop_assert!(!running.contains(&step));
                prop_assert!(outcomes.insert(step, StepOutcome::Skipped(skip)).is_none());
            }
        }
        prop_assert!(schedule.is_over() && running.is_empty());
        prop_assert_eq!(outcomes.len(), count, "every step ends, one way or the other");
        let oracle =
            Oracle { waits_for: &waits_for, rules: &rules, policy, is_serial, outcomes: &outcomes };
        for (step, rule) in rules.iter().enumerate() {
            match outcomes[&step] {
                StepOutcome::Skipped(Skip::Stopped) => {
                    let needs_stopped = rule.takes_from.iter().any(|on| oracle.is_skipped(*on));
                    prop_assert!(stopped >= Some(stopped_by(rule)) || needs_stopped, "{step}");
                }
                StepOutcome::Skipped(skip) => {
                    prop_assert!(!oracle.runs(step), "{step} was not to be skipped: {skip:?}");
                    prop_assert!(oracle.explains(step, skip), "{step}: {skip:?}");
                }
                _ => prop_assert!(oracle.runs(step), "{step} was not to run"),
            }
        }
    }
}

fn schedule(waits_for: Vec<Vec<usize>>, rules: Vec<StepRule>, policy: FailurePolicy) -> Schedule {
    let limits = ConcurrencyLimits { all: 9, ungrouped: 9, groups: Vec::new() };
    let steps = rules.into_iter().map(|rule| (StepSlot::default(), rule)).collect();
    let graph = Graph::new(waits_for).unwrap();
    Schedule::new(ScheduleSpec { graph, policy, is_serial: false, limits, steps })
}

#[test]
fn ready_steps_start_by_priority_then_by_index() {
    let slots = [0, 5, 0].map(|priority| StepSlot { priority, ..StepSlot::default() });
    let mut schedule = Schedule::new(ScheduleSpec {
        graph: Graph::new(vec![vec![]; 3]).unwrap(),
        policy: FailurePolicy::Continue,
        is_serial: false,
        limits: ConcurrencyLimits { all: 1, ungrouped: 1, groups: Vec::new() },
        steps: slots.map(|slot| (slot, StepRule::default())).into(),
    });
    let mut order = Vec::new();
    while let Some(step) = schedule.next() {
        assert_eq!(schedule.next(), None, "one at a time");
        order.push(step);
        schedule.ended(step, StepOutcome::Exited(0));
    }
    assert_eq!(order, [1, 0, 2]);
}

#[test]
fn stop_for_a_failure_leaves_what_runs_because_of_it() {
    let on_failure = StepRule { conditions: vec![Condition::Failed(0)], ..Default::default() };
    let always = StepRule { always: true, ..Default::default() };
    let rules = vec![StepRule::default(), StepRule::default(), on_failure, always];
    let waits_for = vec![vec![], vec![0], vec![0, 1], vec![2]];
    let mut schedule = schedule(waits_for, rules, FailurePolicy::StopAtFirstError);
    assert_eq!(schedule.next(), Some(0));
    assert_eq!(schedule.ended(0, StepOutcome::Failed), [(1, Skip::Stopped)]);
    assert_eq!(schedule.next(), Some(2));
    assert_eq!(schedule.stop(StopLevel::Cancel), []);
    assert_eq!(schedule.started(StopLevel::Cancel), [2]);
    assert_eq!(schedule.ended(2, StepOutcome::Stopped), []);
    assert_eq!(schedule.next(), Some(3));
    assert_eq!(schedule.stop(StopLevel::Everything), []);
    assert_eq!(schedule.started(StopLevel::Everything), [3]);
}

#[test]
fn reason_is_that_of_the_failure_whatever_ends_first() {
    let skipped = StepRule { conditions: vec![Condition::Failed(0)], ..Default::default() };
    let rules = vec![StepRule::default(), skipped, StepRule::default(), StepRule::default()];
    let waits_for = vec![vec![], vec![0], vec![], vec![1, 2]];
    for order in [[0, 2], [2, 0]] {
        let mut schedule =
            schedule(waits_for.clone(), rules.clone(), FailurePolicy::FinishIndependent);
        while schedule.next().is_some() {}
        let ends =
            [StepOutcome::Exited(0), StepOutcome::Skipped(Skip::Stopped), StepOutcome::Exited(1)];
        let skipped: Vec<_> =
            order.iter().flat_map(|&step| schedule.ended(step, ends[step])).collect();
        assert!(skipped.contains(&(3, Skip::DependencyFailed(2))), "{skipped:?}");
    }
}
