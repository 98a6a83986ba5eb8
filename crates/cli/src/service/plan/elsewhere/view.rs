//! A plan of a fleet as one of the service is shown: in the same tables, and with the same names in JSON.

use chrono::Utc;
use execution_engine::{Ending, ExecutionStatus};
use execution_engine_fleet::{FleetPlan, FleetStep, FleetStepState, PlanEntry, StepRun};
use execution_engine_server::{PlanView, StepCounts, StepStatus};
use serde_json::{Value, json};

use crate::failure::Failure;

/// Returns the view of a plan with its steps.
pub(super) fn of(plan: &FleetPlan) -> Result<PlanView, Failure> {
    let steps: Vec<Value> =
        plan.steps.iter().enumerate().map(|(index, step)| step_view(plan, index, step)).collect();
    let counted = plan.steps.iter().map(|step| (status_of(step), is_allowed(step)));
    let counted: Vec<(StepStatus, bool)> = counted.collect();
    let counts = StepCounts::of(counted.iter().map(|(status, allowed)| (status, *allowed)));
    let status = plan.ending.as_ref().map_or(ExecutionStatus::Running, |ending| ending.status());
    let created_at = plan.submitted_at.unwrap_or_else(Utc::now);
    let ended_at = plan.ending.as_ref().map(|_| plan.ended_at.unwrap_or_else(Utc::now));
    let took = ended_at.unwrap_or_else(Utc::now) - created_at;
    let failed = status != ExecutionStatus::Completed;
    let error = plan.ending.as_ref().filter(|_| failed).map(ToString::to_string);
    read(json!({
        "id": plan.id, "status": status, "ending": plan.ending, "error": error,
        "description": plan.spec.plan.description, "tags": plan.spec.plan.metadata.tags, "round": 1,
        "stopping": plan.is_stopping, "created_at": created_at, "started_at": created_at,
        "ended_at": ended_at, "duration_ms": took.num_milliseconds().max(0), "counts": counts,
        "steps": steps, "version": plan.events, "spec": plan.spec,
    }))
}

/// Returns what a list shows of a plan.
pub(super) fn of_entry(plan: &PlanEntry) -> Value {
    json!({
        "id": plan.id, "status": plan.status, "created_at": plan.submitted_at,
        "description": plan.title.description, "tags": plan.metadata.tags,
        "labels": plan.metadata.labels, "steps": plan.title.steps,
    })
}

fn read(value: Value) -> Result<PlanView, Failure> {
    serde_json::from_value(value)
        .map_err(|error| Failure::new(format!("the plan cannot be shown: {error}; update exeng")))
}

fn status_of(step: &FleetStep) -> StepStatus {
    match &step.state {
        FleetStepState::Waiting => StepStatus::Waiting,
        FleetStepState::Queued => StepStatus::Queued,
        FleetStepState::Running(_) => StepStatus::Running,
        FleetStepState::Ended(end) => StepStatus::of(&end.ending),
        _ => StepStatus::Skipped,
    }
}

fn is_allowed(step: &FleetStep) -> bool {
    matches!(&step.state, FleetStepState::Ended(end) if end.failure_allowed)
}

fn step_view(plan: &FleetPlan, index: usize, step: &FleetStep) -> Value {
    let ending = step.ending();
    let is_code = |ending: &&Ending| matches!(ending, Ending::Exited { .. });
    let error = ending.as_ref().filter(|ending| !is_code(ending)).map(ToString::to_string);
    let ran = match &step.state {
        FleetStepState::Ended(end) => end.ran.as_ref(),
        _ => None,
    };
    let is_submitted = match &step.state {
        FleetStepState::Queued | FleetStepState::Running(_) => true,
        _ => ran.is_some(),
    };
    let part = |part: fn(&StepRun) -> Value| ran.map_or(Value::Null, part);
    json!({
        "index": index,
        "name": plan.spec.options.steps.get(index).and_then(|step| step.name.clone()),
        "command_line": plan.spec.plan.commands[index].command.to_string(),
        "status": status_of(step), "failure_allowed": is_allowed(step),
        "execution": is_submitted.then_some(step.execution), "ending": ending, "error": error,
        "attempts": ran.map_or(0, |ran| ran.attempts),
        "started_at": part(|ran| json!(ran.started_at)), "ended_at": part(|ran| json!(ran.ended_at)),
        "duration_ms": part(|ran| json!(ran.duration_ms)),
    })
}
