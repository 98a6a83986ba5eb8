//! The decision about a plan: each of its commands must be allowed, with all that the plan gives it.

use std::path::PathBuf;

use execution_engine::{
    ExecutionOptions, ExecutionPlan, InputTarget, PlanOptions, StepOptions, Uuid,
};

use super::check::{Allowed, Ask, Files, Rules, check};
use super::refusal::Refusal;
use crate::request::{LaunchRequest, PlanRequest};

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
    let shared_env = std::mem::take(&mut options.env);
    let shared_dir = options.working_dir.take();
    let defaults = std::mem::take(&mut options.defaults);
    if options.steps.len() < request.commands.len() {
        options.steps.resize_with(request.commands.len(), StepOptions::default);
    }
    let mut commands = Vec::with_capacity(request.commands.len());
    for (index, (mut command, step)) in
        request.commands.into_iter().zip(&mut options.steps).enumerate()
    {
        for (name, value) in &shared_env {
            command.env.entry(name.clone()).or_insert_with(|| value.clone());
        }
        command.working_dir = directory(&command, shared_dir.as_ref());
        let ask = Ask {
            request: command,
            options: step.options.take().unwrap_or_else(|| defaults.clone()),
            handed: handed(step),
        };
        let allowed = check(rules, ask, files).map_err(|refusal| RefusedStep { index, refusal })?;
        let Allowed { request, options } = allowed;
        commands.push(request);
        step.options = (options != ExecutionOptions::default()).then_some(options);
    }
    let plan = ExecutionPlan {
        id: request.id.unwrap_or_else(Uuid::new_v4),
        description: request.description,
        strategy: request.strategy,
        commands,
        metadata: request.metadata,
    };
    Ok(AllowedPlan { plan, options })
}

/// A step's own directory starts at that of the plan.
fn directory(command: &LaunchRequest, shared: Option<&PathBuf>) -> Option<PathBuf> {
    match (&command.working_dir, shared) {
        (Some(own), Some(shared)) => Some(shared.join(own)),
        (own, shared) => own.as_ref().or(shared).cloned(),
    }
}

/// The variables that a step gets from the output of others.
fn handed(step: &StepOptions) -> Vec<String> {
    let name = |to: &InputTarget| match to {
        InputTarget::Stdin => None,
        InputTarget::Env(name) => Some(name.clone()),
    };
    step.inputs.iter().filter_map(|input| name(&input.to)).collect()
}
