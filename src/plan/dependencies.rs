//! What a plan says about its dependencies: by its strategy, by the options of its steps, and by
//! their inputs. One list of them serves validation, which refuses those that make no sense, and
//! pictures, which leave them out.

use std::borrow::Cow;

use crate::types::{ExecutionPlan, ExecutionStrategy, InputTarget, PlanOptions, StepRef};

/// Dependency as it is written. The steps may not exist.
pub(super) struct RawDependency<'a> {
    pub(super) step: usize,
    pub(super) on: Cow<'a, StepRef>,
    pub(super) input: Option<&'a InputTarget>,
}

/// Lists all dependencies as they are written.
pub(super) fn raw_dependencies<'a>(
    plan: &ExecutionPlan,
    options: &'a PlanOptions,
) -> Vec<RawDependency<'a>> {
    let by_index =
        |step, index| RawDependency { step, on: Cow::Owned(StepRef::Index(index)), input: None };
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
        let after = options.after.iter().map(|on| (on, None));
        let inputs = options.inputs.iter().map(|input| (&input.from, Some(&input.to)));
        let named = after.chain(inputs);
        all.extend(named.map(|(on, input)| RawDependency { step, on: Cow::Borrowed(on), input }));
    }
    all
}
