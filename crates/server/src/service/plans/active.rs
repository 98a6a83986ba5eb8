//! Plans that have not ended, as the service has them in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::Utc;
use execution_engine::{PlanSpec, SkipReason};
use execution_engine_store::{StoredPlan, StoredStep};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::view::StepStatus;

/// A plan that has not ended.
#[derive(Debug)]
pub(crate) struct ActivePlan {
    /// As it was stored when this round began, or when this service took it on, without the plan itself and its steps.
    pub(crate) stored: StoredPlan,
    /// The plan as it may be read.
    pub(crate) spec: PlanSpec,
    /// Wakes the task that runs it: a step has ended, or it is to be stopped.
    pub(crate) wake: Notify,
    steps: Mutex<Vec<Step>>,
    version: watch::Sender<Version>,
    is_stopping: AtomicBool,
    is_past_deadline: AtomicBool,
    /// When it is to be stopped. By a clock that is never set: what is left is found out when this service takes it on.
    deadline: Option<Instant>,
    /// Why it cannot go on.
    trouble: Mutex<Option<String>>,
}

/// How often a plan has changed. It begins with the time at which this service took the plan on, so
/// that it grows over restarts, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    pub(crate) number: u64,
    /// Its end is stored.
    pub(crate) is_ended: bool,
}

/// A step, and when it changed.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) state: StepState,
    pub(crate) status: StepStatus,
    pub(crate) failure_allowed: bool,
    pub(crate) changed: u64,
}

/// Where a step stands.
#[derive(Debug, Clone)]
pub(crate) enum StepState {
    /// It waits for others, or is about to be submitted.
    Waits,
    /// It is this execution.
    Begun(Uuid),
    /// It has ended.
    Ended(StoredStep),
    /// It will never run.
    Skipped(SkipReason),
}

impl Step {
    /// Creates one that stands there.
    pub(crate) fn new(state: StepState) -> Self {
        let status = match &state {
            StepState::Waits => StepStatus::Waiting,
            StepState::Begun(_) => StepStatus::Queued,
            StepState::Ended(step) => {
                step.ending.as_ref().map_or(StepStatus::Running, StepStatus::of)
            }
            StepState::Skipped(_) => StepStatus::Skipped,
        };
        Self { state, status, failure_allowed: false, changed: 0 }
    }
}

/// Returns when a plan is to be stopped, if it has a deadline.
fn deadline(stored: &StoredPlan, spec: &PlanSpec) -> Option<Instant> {
    let limit = Duration::from_millis(spec.options.deadline_ms?);
    let passed = (Utc::now() - stored.round_at).to_std().unwrap_or_default();
    Instant::now().checked_add(limit.saturating_sub(passed))
}

impl ActivePlan {
    /// Creates the entry of a plan.
    pub(crate) fn new(mut stored: StoredPlan, spec: PlanSpec) -> Arc<Self> {
        let number = Utc::now().timestamp_micros().unsigned_abs();
        let step = Step { changed: number, ..Step::new(StepState::Waits) };
        stored.shown = Value::Null;
        stored.steps = Vec::new();
        Arc::new(Self {
            steps: Mutex::new(vec![step; spec.plan.commands.len()]),
            deadline: deadline(&stored, &spec),
            trouble: Mutex::new(None),
            stored,
            spec,
            wake: Notify::new(),
            version: watch::Sender::new(Version { number, is_ended: false }),
            is_stopping: AtomicBool::new(false),
            is_past_deadline: AtomicBool::new(false),
        })
    }

    /// Returns when it is to be stopped, if it is and that is not stored.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.is_past_deadline.load(Ordering::Acquire))
    }

    /// Returns why it cannot go on, if it cannot.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Notes why it cannot go on.
    pub(crate) fn set_trouble(&self, why: String) {
        *self.trouble.lock() = Some(why);
    }

    /// Returns `true` if it is being stopped.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Notes that it is being stopped, and whether that is because of its deadline.
    pub(crate) fn note_stop(&self, is_deadline: bool) {
        self.is_stopping.store(true, Ordering::Release);
        self.is_past_deadline.fetch_or(is_deadline, Ordering::AcqRel);
    }

    /// Looks at its steps, and at how often it has changed.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Step], u64) -> T) -> T {
        let steps = self.steps.lock();
        look(&steps, self.version.borrow().number)
    }

    /// Returns a receiver of its changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Version> {
        self.version.subscribe()
    }

    /// Notes where a step stands.
    pub(crate) fn set(&self, step: usize, state: StepState, failure_allowed: bool) {
        let new = Step { failure_allowed, ..Step::new(state) };
        self.change(step, |it| *it = new);
    }

    /// Notes the status of a step that has not ended.
    pub(crate) fn set_status(&self, step: usize, status: StepStatus) {
        self.change(step, |it| {
            if let StepState::Begun(_) = it.state {
                it.status = status;
            }
        });
    }

    /// Tells that its end is stored.
    pub(crate) fn end(&self) {
        self.version.send_modify(|version| {
            version.number += 1;
            version.is_ended = true;
        });
    }

    fn change(&self, step: usize, change: impl FnOnce(&mut Step)) {
        let mut steps = self.steps.lock();
        let Some(step) = steps.get_mut(step) else { return };
        change(step);
        // Under the lock, so that a reader of a version has all changes up to it.
        self.version.send_modify(|version| {
            version.number += 1;
            step.changed = version.number;
        });
    }
}
