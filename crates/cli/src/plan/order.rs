//! The order in which the steps of a plan may start.

use std::collections::{BTreeSet, HashMap};

use execution_engine::{ExecutionStrategy, PlanSpec, StepCondition, StepRef};

/// Returns for each step the steps that it waits for, each once and in order.
pub(super) fn waits_for(PlanSpec { plan, options }: &PlanSpec) -> Vec<Vec<usize>> {
    let mut all = vec![BTreeSet::new(); plan.commands.len()];
    match &plan.strategy {
        ExecutionStrategy::Parallel { .. } => {}
        ExecutionStrategy::Serial { .. } => {
            for (before, step) in all.iter_mut().skip(1).enumerate() {
                step.insert(before);
            }
        }
        ExecutionStrategy::DependencyGraph { dependencies } => {
            for (step, on) in dependencies {
                all[*step].extend(on);
            }
        }
    }
    let steps = options.steps.iter().enumerate();
    let names: HashMap<&str, usize> =
        steps.filter_map(|(index, step)| Some((step.name.as_deref()?, index))).collect();
    for (step, waits) in options.steps.iter().zip(&mut all) {
        let inputs = step.inputs.iter().map(|input| &input.from);
        let conditions = step.only_if.iter().filter_map(StepCondition::step);
        let named = step.after.iter().chain(inputs).chain(conditions);
        waits.extend(named.filter_map(|on| match on {
            StepRef::Index(index) => Some(*index),
            StepRef::Name(name) => names.get(&**name).copied(),
        }));
    }
    all.into_iter().map(|waits| waits.into_iter().collect()).collect()
}

/// Returns the steps so that each comes after those it waits for, and otherwise as they are listed. A plan
/// that has been checked has no cycle.
pub(super) fn order(waits_for: &[Vec<usize>]) -> Vec<usize> {
    let mut followers = vec![Vec::new(); waits_for.len()];
    let mut missing: Vec<usize> = waits_for.iter().map(Vec::len).collect();
    for (step, on) in waits_for.iter().enumerate() {
        on.iter().for_each(|before| followers[*before].push(step));
    }
    let ready = missing.iter().enumerate().filter(|(_, count)| **count == 0);
    let mut ready: BTreeSet<usize> = ready.map(|(step, _)| step).collect();
    let mut order = Vec::with_capacity(waits_for.len());
    while let Some(step) = ready.pop_first() {
        order.push(step);
        for follower in &followers[step] {
            missing[*follower] -= 1;
            if missing[*follower] == 0 {
                ready.insert(*follower);
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_comes_after_those_it_waits_for() {
        assert_eq!(order(&[vec![2], vec![], vec![1], vec![]]), [1, 2, 0, 3]);
        assert_eq!(order(&[]), [0; 0]);
    }
}
