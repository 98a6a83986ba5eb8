//! Decision on a plan: each of its commands must be allowed, with all that the plan adds to it.

use execution_engine::{
    ExecutionOptions, ExecutionPlan, InputTarget, PlanOptions, StepOptions, Uuid,
};

use super::check::{Ask, Files, Rules, check};
use super::refusal::Refusal;
use crate::request::PlanRequest;

/// A plan that may run.
#[derive(Debug, PartialEq)]
pub(crate) struct AllowedPlan {
    pub(crate) plan: ExecutionPlan,
    pub(crate) options: PlanOptions,
}

/// The first step that may not run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefusedStep {
    pub(crate) index: usize,
    pub(crate) refusal: Refusal,
}

/// Lets a plan pass, or says which step may not.
///
/// What the plan says for all of its steps is said for each of them in what comes back, so that
/// nothing reaches a step beside what was checked.
pub(crate) fn check_plan(
    rules: &Rules,
    request: PlanRequest,
    mut options: PlanOptions,
    files: &impl Files,
) -> Result<AllowedPlan, RefusedStep> {
    let mut steps = options.steps.clone();
    if steps.len() < request.commands.len() {
        steps.resize_with(request.commands.len(), StepOptions::default);
    }
    let mut commands = Vec::with_capacity(request.commands.len());
    for (index, (mut command, step)) in request.commands.into_iter().zip(&mut steps).enumerate() {
        options.apply_shared(&mut command.env, &mut command.working_dir);
        let ask = Ask {
            request: command,
            options: options.effective_options(index).clone(),
            handed: handed(step).map_err(|refusal| RefusedStep { index, refusal })?,
        };
        let allowed = check(rules, ask, files).map_err(|refusal| RefusedStep { index, refusal })?;
        commands.push(allowed.request);
        step.options = (allowed.options != ExecutionOptions::default()).then_some(allowed.options);
    }
    options.steps = steps;
    options.env.clear();
    options.working_dir = None;
    options.defaults = ExecutionOptions::default();
    let plan = ExecutionPlan {
        id: request.id.unwrap_or_else(Uuid::new_v4),
        description: request.description,
        strategy: request.strategy,
        commands,
        metadata: request.metadata,
    };
    Ok(AllowedPlan { plan, options })
}

/// The variables that a step gets from the output of others.
fn handed(step: &StepOptions) -> Result<Vec<String>, Refusal> {
    let targets = step.inputs.iter().map(|input| &input.to);
    targets
        .filter(|to| **to != InputTarget::Stdin)
        .map(|to| match to {
            InputTarget::Env(name) => Ok(name.clone()),
            // A target that is not known here is not allowed here.
            _ => Err(Refusal::Input),
        })
        .collect()
}
