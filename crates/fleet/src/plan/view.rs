//! A plan as its events tell it. Pure.

use chrono::{DateTime, Utc};
use execution_engine::{Ending, PlanEnding, PlanSpec, SkipReason};
use uuid::Uuid;

use super::event::{PlanEvent, PlanEventKind, StepEnd};
use super::ticket::step_id;
use crate::engine::results::moment;

/// A plan in a fleet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FleetPlan {
    /// Its id.
    pub id: Uuid,
    /// The plan without values of environments and stdin. Has no steps while they are not known.
    pub spec: PlanSpec,
    /// When it was submitted, as far as that is known.
    pub submitted_at: Option<DateTime<Utc>>,
    /// How it has ended.
    pub ending: Option<PlanEnding>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether steps are being stopped.
    pub is_stopping: bool,
    /// The worker that conducts it, or did last.
    pub conductor: Option<String>,
    /// Its steps.
    pub steps: Vec<FleetStep>,
    /// How many events it has had.
    pub events: u64,
    /// When the last of them was.
    last_at: Option<DateTime<Utc>>,
}

/// A step of a plan in a fleet.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FleetStep {
    /// The id of its execution, also while that is not submitted.
    pub execution: Uuid,
    /// Where it stands.
    pub state: FleetStepState,
}

/// Where a step of a plan in a fleet stands.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FleetStepState {
    /// It waits for other steps.
    Waiting,
    /// It is in the queue.
    Queued,
    /// It runs on this worker.
    Running(String),
    /// It has ended.
    Ended(StepEnd),
    /// It will never run.
    Skipped(SkipReason),
}

impl FleetStep {
    /// Returns how it has ended, or why it never runs.
    pub fn ending(&self) -> Option<Ending> {
        match &self.state {
            FleetStepState::Ended(end) => Some(end.ending.clone()),
            FleetStepState::Skipped(reason) => Some(Ending::NotRun { reason: reason.clone() }),
            _ => None,
        }
    }
}

impl FleetPlan {
    /// Creates one to which nothing has happened.
    pub(super) fn new(id: Uuid, spec: PlanSpec, submitted_at: Option<DateTime<Utc>>) -> Self {
        let mut plan = Self {
            id,
            spec,
            submitted_at,
            ending: None,
            ended_at: None,
            is_stopping: false,
            conductor: None,
            steps: Vec::new(),
            events: 0,
            last_at: None,
        };
        plan.fill();
        plan
    }

    fn fill(&mut self) {
        let step =
            |step| FleetStep { execution: step_id(self.id, step), state: FleetStepState::Waiting };
        self.steps = (0..self.spec.plan.commands.len()).map(step).collect();
    }

    /// Takes its next event into account.
    pub(super) fn apply(&mut self, event: &PlanEvent) {
        self.events = event.number + 1;
        let mut set = |step: usize, state| {
            if let Some(step) = self.steps.get_mut(step) {
                step.state = state;
            }
        };
        match &event.kind {
            PlanEventKind::Began { spec } => {
                self.spec = PlanSpec::clone(spec);
                self.fill();
            }
            PlanEventKind::Conducted { worker } => self.conductor = Some(worker.clone()),
            PlanEventKind::Queued { step } => set(*step, FleetStepState::Queued),
            PlanEventKind::Running { step, worker } => {
                set(*step, FleetStepState::Running(worker.clone()));
            }
            PlanEventKind::Ended(end) => set(end.step, FleetStepState::Ended(end.clone())),
            PlanEventKind::Skipped { step, reason } => {
                set(*step, FleetStepState::Skipped(reason.clone()));
            }
            PlanEventKind::Stopped { .. } => self.is_stopping = true,
            PlanEventKind::Over { .. } | PlanEventKind::Unknown => {}
        }
        self.last_at = Some(moment(event.at_ms));
    }

    /// Notes its end, which is that of its execution: what the last event tells is not the end yet.
    pub(super) fn end(&mut self, ending: PlanEnding) {
        self.ending = Some(ending);
        self.ended_at = self.last_at.or(self.submitted_at);
        self.is_stopping = false;
    }
}
