//! Which plans are accepted, and what of them may be read. Pure.

use execution_engine::{
    ExecutionOptions, ExecutionRequest, PlanError, PlanRules, PlanSpec, StdinSource,
};
use serde_json::Value;

use crate::error::ServiceError;
use crate::service::check;
use crate::view::{NewExecution, NewPlan};

/// Most steps of a plan.
const MAX_STEPS: usize = 10_000;

/// Checks a plan and all of its steps.
///
/// # Errors
/// The first step and field that is not valid, and what to write instead.
pub(super) fn check(new: &NewPlan) -> Result<(), ServiceError> {
    let steps = new.spec.plan.commands.len();
    if steps > MAX_STEPS {
        let text = format!("the plan has {steps} steps, and {MAX_STEPS} are allowed");
        return Err(ServiceError::invalid("spec", text).fix("make several plans of it"));
    }
    new.spec.check().map_err(|error| invalid(&error))?;
    let rules = PlanRules::new(new.spec.clone()).map_err(|error| invalid(&error))?;
    for step in 0..steps {
        let (request, options) = shared(&new.spec, step);
        let execution = NewExecution {
            options,
            inherited_umask: new.inherited_umask,
            ..NewExecution::new(request)
        };
        check::new_execution(&execution).map_err(|error| {
            let text = format!("{}: {}", rules.step(step), error.detail);
            let field = error.field.as_deref().unwrap_or("request");
            ServiceError {
                detail: text,
                field: Some(format!("spec.steps[{step}].{field}")),
                ..error
            }
        })?;
    }
    Ok(())
}

/// Returns the request and the options of a step with what the plan shares.
fn shared(
    PlanSpec { plan, options }: &PlanSpec,
    step: usize,
) -> (ExecutionRequest, ExecutionOptions) {
    let mut request = plan.commands[step].clone();
    options.apply_shared(&mut request.env, &mut request.working_dir);
    (request, options.effective_options(step).clone())
}

fn invalid(error: &PlanError) -> ServiceError {
    ServiceError::invalid("spec", format!("the plan is not valid: {error}"))
        .fix("correct it and submit it again; nothing was started")
}

/// Returns what of a plan must be the same when its key comes again. Ids are no part of it, and neither is
/// what is only inherited.
///
/// # Errors
/// It has no JSON form.
pub(super) fn body(spec: &PlanSpec) -> Result<Vec<u8>, ServiceError> {
    let mut value = json(spec)?;
    if let Some(Value::Object(plan)) = value.get_mut("plan") {
        plan.remove("id");
        for command in plan.get_mut("commands").and_then(Value::as_array_mut).into_iter().flatten()
        {
            if let Some(command) = command.as_object_mut() {
                command.remove("id");
            }
        }
    }
    Ok(value.to_string().into_bytes())
}

/// Returns a plan without values of variables and input.
pub(super) fn shown(spec: &PlanSpec) -> PlanSpec {
    let mut spec = spec.clone();
    spec.options.env.clear();
    spec.plan.commands.iter_mut().for_each(|command| command.env.clear());
    let own = spec.options.steps.iter_mut().filter_map(|step| step.options.as_mut());
    for options in own.chain([&mut spec.options.defaults]) {
        options.env.set.clear();
        if let StdinSource::Bytes { .. } = options.stdin {
            options.stdin = StdinSource::default();
        }
    }
    spec
}

/// Returns the JSON of a plan. Its maps are sorted.
///
/// # Errors
/// It has none.
pub(super) fn json(spec: &PlanSpec) -> Result<Value, ServiceError> {
    serde_json::to_value(spec).map_err(|error| {
        ServiceError::invalid("spec", format!("the plan has no JSON form: {error}"))
            .fix("use names of variables that are UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> NewPlan {
        NewPlan::new(serde_json::from_str::<PlanSpec>(text).unwrap())
    }

    #[test]
    fn errors_name_the_step_and_the_field() {
        let ok =
            plan(r#"{"working_dir": "/", "steps": [{"command": "true", "working_dir": "etc"}]}"#);
        check(&ok).unwrap();
        for (text, field, detail) in [
            (r#"{"steps": []}"#, "spec", "no commands"),
            (
                r#"{"steps": [{"name": "a", "command": "true", "after": ["a"]}]}"#,
                "spec",
                "step 0 (\"a\")",
            ),
            (
                r#"{"steps": [{"command": "true"}, {"name": "b", "command": "true", "working_dir": "x"}]}"#,
                "spec.steps[1].request.working_dir",
                "step 1 (\"b\")",
            ),
            (
                r#"{"defaults": {"output": "inherit"}, "steps": [{"command": "true"}]}"#,
                "spec.steps[0].options.output",
                "step 0",
            ),
        ] {
            let error = check(&plan(text)).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{error:?}");
            assert!(error.detail.contains(detail) && error.fix.is_some(), "{error:?}");
        }
    }

    #[test]
    fn what_is_shown_has_no_values_and_ids_do_not_count() {
        let text = r#"{"env": {"A": "hidden"}, "defaults": {"env": {"set": {"B": "hidden"}}}, "steps": [
            {"command": "true", "env": {"C": "hidden"}},
            {"command": "true", "options": {"stdin": {"type": "bytes", "data": "hidden"}}}]}"#;
        let (first, second) = (plan(text).spec, plan(text).spec);
        assert_ne!(json(&first).unwrap(), json(&second).unwrap(), "ids are new each time");
        assert_eq!(body(&first).unwrap(), body(&second).unwrap());
        assert!(String::from_utf8(body(&first).unwrap()).unwrap().contains("hidden"));
        let shown = json(&shown(&first)).unwrap().to_string();
        assert!(!shown.contains("hidden"), "{shown}");
        assert_eq!(shown.matches(&first.plan.commands[1].id.to_string()).count(), 1);
    }
}
