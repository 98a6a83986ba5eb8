//! Decision on a plan: each of its commands must be allowed, with everything that the plan adds to
//! it.

use execution_engine::{
    ExecutionOptions, ExecutionPlan, InputTarget, PlanOptions, StepOptions, Uuid,
};

use super::check::{LaunchCheck, ScopeRules, check};
use super::paths::FileSystem;
use super::refusal::Refusal;
use crate::request::PlanRequest;

/// Plan that may run.
#[derive(Debug, PartialEq)]
pub(crate) struct AllowedPlan {
    pub(crate) plan: ExecutionPlan,
    pub(crate) options: PlanOptions,
}

/// First step that may not run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefusedStep {
    pub(crate) index: usize,
    pub(crate) refusal: Refusal,
}

/// Returns the plan if all of its steps are allowed.
///
/// In the returned plan, what all steps share is part of each step, with its paths canonical, and
/// the shared settings are empty. So the engine has nothing to add to a step that was not checked.
pub(crate) fn check_plan(
    rules: &ScopeRules,
    request: PlanRequest,
    mut options: PlanOptions,
    files: &impl FileSystem,
) -> Result<AllowedPlan, RefusedStep> {
    let mut steps = options.steps.clone();
    if steps.len() < request.commands.len() {
        steps.resize_with(request.commands.len(), StepOptions::default);
    }
    let mut commands = Vec::with_capacity(request.commands.len());
    for (index, (mut command, step)) in request.commands.into_iter().zip(&mut steps).enumerate() {
        let refused = |refusal| RefusedStep { index, refusal };
        options.apply_shared(&mut command.env, &mut command.working_dir);
        let launch = LaunchCheck {
            request: command,
            options: options.effective_options(index).clone(),
            input_variables: input_variables(step).map_err(refused)?,
        };
        let allowed = check(rules, launch, files).map_err(refused)?;
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

/// Returns the environment variables that a step receives from the output of other steps.
fn input_variables(step: &StepOptions) -> Result<Vec<String>, Refusal> {
    let mut variables = Vec::new();
    for input in &step.inputs {
        match &input.to {
            InputTarget::Stdin => {}
            InputTarget::Env(name) => variables.push(name.clone()),
            // A target that was added to the engine later is denied until a rule can allow it.
            _ => return Err(Refusal::Input),
        }
    }
    Ok(variables)
}
