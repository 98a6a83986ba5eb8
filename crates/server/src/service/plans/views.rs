//! How plans are shown.

use chrono::Utc;
use execution_engine::{Ending, ExecutionPlan, ExecutionStatus, PlanSpec};
use execution_engine_store::{ListedPlan, StoredPlan};
use serde_json::Value;
use uuid::Uuid;

use super::active::{ActivePlan, Step, StepState};
use super::outcome::{Outcome, Title};
use crate::service::active::Phase;
use crate::service::inner::Inner;
use crate::view::{PlanView, StepCounts, StepStatus, StepView};

impl Inner {
    /// Shows a plan that has not ended: the steps that have changed behind a version, and all counted.
    pub(super) fn show_active(&self, plan: &ActivePlan, after: u64) -> PlanView {
        plan.look(|steps, version| {
            let changed = steps.iter().enumerate().filter(|(_, step)| step.changed > after);
            let steps_shown = changed.map(|(index, step)| step_view(&plan.spec, index, step));
            PlanView {
                steps: steps_shown.collect(),
                version,
                counts: counts(steps),
                stopping: plan.is_stopping(),
                error: plan.trouble(),
                ..whole(&plan.stored, &plan.spec)
            }
        })
    }

    /// Shows a plan as it is stored, with all of its steps.
    pub(super) fn show_stored(&self, stored: &StoredPlan) -> PlanView {
        let spec = shown_spec(stored);
        let outcome = outcome(stored.outcome.as_ref());
        let waits = || Step::new(StepState::Waits);
        let mut steps: Vec<Step> = spec.plan.commands.iter().map(|_| waits()).collect();
        for step in &stored.steps {
            let Some(at) = steps.get_mut(step.step) else { continue };
            *at = match (&step.ending, step.execution) {
                (None, Some(execution)) => {
                    let status = self.status_of(execution);
                    Step { status, ..Step::new(StepState::Begun(execution)) }
                }
                _ => Step::new(StepState::Ended(step.clone())),
            };
        }
        for (index, reason) in outcome.iter().flat_map(|outcome| &outcome.skipped) {
            if let Some(at) = steps.get_mut(*index) {
                *at = Step::new(StepState::Skipped(reason.clone()));
            }
        }
        for index in outcome.iter().flat_map(|outcome| &outcome.allowed) {
            if let Some(at) = steps.get_mut(*index) {
                at.failure_allowed = true;
            }
        }
        if stored.ended_at.is_some() {
            // Only a plan that could not be run has such.
            let never = steps.iter_mut().filter(|step| step.status == StepStatus::Waiting);
            never.for_each(|step| step.status = StepStatus::Skipped);
        }
        let views = steps.iter().enumerate().map(|(index, step)| step_view(&spec, index, step));
        let ended = stored.ended_at.unwrap_or(stored.round_at);
        PlanView {
            steps: views.collect(),
            counts: counts(&steps),
            version: ended.timestamp_micros().unsigned_abs(),
            ..whole(stored, &spec)
        }
    }

    /// Shows what a list has of a plan.
    pub(super) fn show_listed(&self, listed: &ListedPlan) -> PlanView {
        let active = self.plans.lock().get(&listed.id).cloned();
        if let Some(active) = active.filter(|_| listed.ended_at.is_none()) {
            return PlanView { steps: Vec::new(), ..self.show_active(&active, u64::MAX) };
        }
        let title: Title = serde_json::from_value(listed.title.clone()).unwrap_or_default();
        let outcome = outcome(listed.outcome.as_ref());
        let unknown = StepCounts { total: title.steps, ..StepCounts::default() };
        let counts = outcome.as_ref().map_or(unknown, |outcome| outcome.counts);
        let head = Head {
            id: listed.id,
            status: listed.status,
            round: listed.round,
            times: [Some(listed.created_at), Some(listed.round_at), listed.ended_at],
            stopping: false,
        };
        PlanView { counts, ..head.view(outcome, title) }
    }

    /// Returns where the execution of a step stands that has not ended.
    pub(super) fn status_of(&self, execution: Uuid) -> StepStatus {
        self.find(execution).map_or(StepStatus::Running, |active| status_in(&active.live().phase))
    }
}

/// Returns where a step stands whose execution is in this phase.
pub(super) fn status_in(phase: &Phase) -> StepStatus {
    match phase {
        Phase::Accepting | Phase::Queued | Phase::Refused => StepStatus::Queued,
        // Its ending is about to be told to the plan.
        Phase::Dispatched(_) | Phase::Running(_) | Phase::Ended => StepStatus::Running,
    }
}

/// What all views of a plan have in common.
struct Head {
    id: Uuid,
    status: ExecutionStatus,
    round: u32,
    /// When it was accepted, its round began, and it ended.
    times: [Option<chrono::DateTime<Utc>>; 3],
    stopping: bool,
}

impl Head {
    fn view(self, outcome: Option<Outcome>, title: Title) -> PlanView {
        let ending = outcome.map(|outcome| outcome.ending);
        let failed = ending.as_ref().filter(|it| it.status() != ExecutionStatus::Completed);
        let [created_at, round_at, ended_at] = self.times;
        let (created_at, started_at) =
            (created_at.unwrap_or_default(), round_at.unwrap_or_default());
        let duration = ended_at.unwrap_or_else(Utc::now) - started_at;
        PlanView {
            id: self.id,
            status: self.status,
            error: failed.map(ToString::to_string),
            ending,
            description: title.description,
            tags: title.tags,
            round: self.round,
            stopping: self.stopping,
            created_at,
            started_at,
            ended_at,
            duration_ms: u64::try_from(duration.num_milliseconds()).unwrap_or(0),
            counts: StepCounts::default(),
            steps: Vec::new(),
            version: 0,
            spec: None,
        }
    }
}

/// Shows a plan without its steps.
fn whole(stored: &StoredPlan, spec: &PlanSpec) -> PlanView {
    let head = Head {
        id: stored.id,
        status: stored.status,
        round: stored.round,
        times: [Some(stored.created_at), Some(stored.round_at), stored.ended_at],
        stopping: stored.ended_at.is_none() && !stored.stops.is_empty(),
    };
    head.view(outcome(stored.outcome.as_ref()), title(spec))
}

/// Returns what a list shows of a plan.
pub(super) fn title(spec: &PlanSpec) -> Title {
    Title {
        description: spec.plan.description.clone(),
        tags: spec.plan.metadata.tags.clone(),
        steps: spec.plan.commands.len(),
    }
}

/// Counts steps by where they stand.
pub(super) fn counts(steps: &[Step]) -> StepCounts {
    StepCounts::of(steps.iter().map(|step| (&step.status, step.failure_allowed)))
}

/// Returns the plan as it may be read.
pub(super) fn shown_spec(stored: &StoredPlan) -> PlanSpec {
    serde_json::from_value(stored.shown.clone()).unwrap_or_else(|error| {
        tracing::error!(%error, plan = %stored.id, "a stored plan cannot be read");
        ExecutionPlan::serial([]).into()
    })
}

fn outcome(stored: Option<&Value>) -> Option<Outcome> {
    serde_json::from_value(stored?.clone()).ok()
}

fn step_view(spec: &PlanSpec, index: usize, step: &Step) -> StepView {
    let command = &spec.plan.commands[index].command;
    let options = spec.options.steps.get(index);
    let mut view = StepView {
        index,
        name: options.and_then(|options| options.name.clone()),
        command_line: command.to_string(),
        status: step.status,
        failure_allowed: step.failure_allowed,
        kept: false,
        execution: None,
        ending: None,
        error: None,
        attempts: 0,
        started_at: None,
        ended_at: None,
        duration_ms: None,
    };
    match &step.state {
        StepState::Waits => {}
        StepState::Begun(execution) => view.execution = Some(*execution),
        StepState::Ended(ended) => {
            view.kept = ended.event.is_none();
            view.execution = ended.execution;
            view.ending = ended.ending.clone();
            view.attempts = ended.attempts;
            (view.started_at, view.ended_at) = (ended.started_at, ended.ended_at);
            view.duration_ms = ended.duration_ms;
        }
        StepState::Skipped(reason) => {
            view.ending = Some(Ending::NotRun { reason: reason.clone() });
        }
    }
    let is_code = |ending: &&Ending| matches!(ending, Ending::Exited { .. });
    view.error = view.ending.as_ref().filter(|ending| !is_code(ending)).map(ToString::to_string);
    view
}
