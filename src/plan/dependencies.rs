//! What a plan says about its dependencies: by its strategy, by the options of its steps, and by
//! their inputs. One list of them serves validation, which refuses those that make no sense, and
//! pictures, which leave them out.

use std::collections::HashMap;

use crate::types::{ExecutionPlan, ExecutionStrategy, InputTarget, PlanOptions, StepRef};

/// A step that waits for another one.
pub(super) struct Edge<'a> {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) input: Option<&'a InputTarget>,
}

/// Dependency as it is written. The steps may not exist.
pub(super) struct RawDependency<'a> {
    pub(super) step: usize,
    pub(super) on: StepKey<'a>,
    pub(super) input: Option<&'a InputTarget>,
}

/// Index or name of a step.
#[derive(Clone, Copy)]
pub(super) enum StepKey<'a> {
    Index(usize),
    Name(&'a str),
}

impl<'a> From<&'a StepRef> for StepKey<'a> {
    fn from(step: &'a StepRef) -> Self {
        match step {
            StepRef::Index(index) => Self::Index(*index),
            StepRef::Name(name) => Self::Name(name),
        }
    }
}

/// Lists all dependencies as they are written.
pub(super) fn raw_dependencies<'a>(
    plan: &ExecutionPlan,
    options: &'a PlanOptions,
) -> Vec<RawDependency<'a>> {
    let by_index = |step, index| RawDependency { step, on: StepKey::Index(index), input: None };
    let mut all = match &plan.strategy {
        ExecutionStrategy::Parallel { .. } => Vec::new(),
        ExecutionStrategy::Serial { .. } => {
            (1..plan.commands.len()).map(|step| by_index(step, step - 1)).collect()
        }
        ExecutionStrategy::DependencyGraph { dependencies } => {
            // Sorted, so that a plan with several mistakes gets the same error each time.
            let mut sorted: Vec<_> = dependencies.iter().collect();
            sorted.sort_unstable();
            let pairs = |(&step, on): (&usize, &Vec<usize>)| {
                on.iter().map(move |&index| by_index(step, index)).collect::<Vec<_>>()
            };
            sorted.into_iter().flat_map(pairs).collect()
        }
    };
    for (step, options) in options.steps.iter().enumerate() {
        let after =
            options.after.iter().map(|on| RawDependency { step, on: on.into(), input: None });
        let inputs = options.inputs.iter().map(|input| RawDependency {
            step,
            on: (&input.from).into(),
            input: Some(&input.to),
        });
        all.extend(after.chain(inputs));
    }
    all
}

/// Returns the dependencies between steps that exist, for a picture of a plan that may be wrong.
pub(super) fn edges<'a>(
    plan: &ExecutionPlan,
    options: &'a PlanOptions,
) -> impl Iterator<Item = Edge<'a>> {
    let commands = plan.commands.len();
    let names = options.steps.iter().enumerate();
    let names: HashMap<&str, usize> =
        names.filter_map(|(index, step)| Some((step.name.as_deref()?, index))).collect();
    let edge = move |RawDependency { step, on, input }: RawDependency<'a>| {
        let from = match on {
            StepKey::Index(index) => index,
            StepKey::Name(name) => *names.get(name)?,
        };
        (from < commands && step < commands).then_some(Edge { from, to: step, input })
    };
    raw_dependencies(plan, options).into_iter().filter_map(edge)
}
