//! One plan as all its observers share it, before and after its end. It is here and not beside the
//! executor because the registry holds it.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use execution_engine_process::Level;
use tokio::sync::Notify;
use uuid::Uuid;

use super::record::Record;
use crate::output::Journal;
use crate::types::{
    Ending, ExecutionMetadata, ExecutionResult, ExecutionStatus, PlanEnding, PlanExecutionResult,
    PlanStats, PlanSummary, SkipReason,
};

/// What is known of a plan from its first moment on.
#[derive(Debug)]
pub(crate) struct PlanInfo {
    pub(crate) id: Uuid,
    pub(crate) description: Option<String>,
    pub(crate) metadata: ExecutionMetadata,
    pub(crate) total: usize,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) begun: Instant,
    /// The containment level in force, for the results of those that never ran.
    pub(crate) level: Level,
}

/// A plan: its state, and the two bells, one for its runner and one for its waiters.
#[derive(Debug)]
pub(crate) struct ActivePlan {
    profile: PlanInfo,
    state: Mutex<ActivePlanState>,
    /// How many steps have ended or will never run.
    over: AtomicUsize,
    /// Rung when somebody wants it to stop.
    bell: Notify,
    record: OnceLock<PlanRecord>,
    /// What it has told of itself.
    journal: Arc<Journal>,
    /// Rung when the record is there.
    ended: Notify,
}

#[derive(Debug, Default)]
struct ActivePlanState {
    /// The first cause wins.
    ending: Option<PlanEnding>,
    closed: bool,
}

/// An ended plan. It holds the records of its steps, whatever retention does to them elsewhere.
#[derive(Debug)]
struct PlanRecord {
    ending: PlanEnding,
    duration: Duration,
    steps: Box<[StepRecord]>,
}

/// What came of a step.
#[derive(Debug)]
pub(crate) enum StepRecord {
    Ran(Arc<Record>),
    /// It never ran.
    Never(Box<Never>),
}

/// A step that never ran.
#[derive(Debug)]
pub(crate) struct Never {
    id: Uuid,
    ending: Ending,
    at: DateTime<Utc>,
}

impl ActivePlan {
    pub(crate) fn new(profile: PlanInfo, journal: Arc<Journal>) -> Self {
        Self {
            profile,
            state: Mutex::default(),
            over: AtomicUsize::new(0),
            bell: Notify::new(),
            record: OnceLock::new(),
            journal,
            ended: Notify::new(),
        }
    }

    pub(crate) fn profile(&self) -> &PlanInfo {
        &self.profile
    }

    pub(crate) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        self.record.get().map_or(ExecutionStatus::Running, |record| record.ending.status())
    }

    /// The result; None while it runs.
    pub(crate) fn result(&self) -> Option<PlanExecutionResult> {
        self.record.get().map(|record| record.result(&self.profile))
    }

    pub(crate) fn summary(&self) -> PlanSummary {
        let PlanInfo { id, description, metadata, total, started_at, begun, .. } = &self.profile;
        PlanSummary {
            id: *id,
            status: self.status(),
            description: description.clone(),
            total: *total,
            ended: self.over.load(Ordering::Relaxed),
            started_at: *started_at,
            duration: self.record.get().map_or_else(|| begun.elapsed(), |record| record.duration),
            metadata: metadata.clone(),
        }
    }

    /// Waits until the result is there. Cancel safe.
    pub(crate) async fn ended(&self) {
        let mut ended = pin!(self.ended.notified());
        ended.as_mut().enable();
        if self.record.get().is_none() {
            ended.await;
        }
    }

    /// Starts nothing any more and stops what runs. The status if it has ended already.
    pub(crate) fn cancel(&self) -> Result<(), ExecutionStatus> {
        let mut state = self.lock();
        if state.closed {
            let ending = state.ending.as_ref();
            return Err(ending.map_or(ExecutionStatus::Failed, PlanEnding::status));
        }
        state.ending.get_or_insert(PlanEnding::Cancelled);
        drop(state);
        self.bell.notify_one();
        Ok(())
    }

    /// Decides the ending unless it is decided; the one that counts.
    pub(crate) fn decide(&self, ending: PlanEnding) -> PlanEnding {
        self.lock().ending.get_or_insert(ending).clone()
    }

    /// Why what has not started never will.
    pub(crate) fn why_not(&self) -> SkipReason {
        match &self.lock().ending {
            Some(PlanEnding::DeadlineReached { .. }) => SkipReason::PlanDeadline,
            Some(PlanEnding::Failed { step }) => SkipReason::PlanStopped { step: step.clone() },
            Some(PlanEnding::EngineClosed | PlanEnding::EngineFailed { .. }) => {
                SkipReason::EngineClosed
            }
            _ => SkipReason::PlanCancelled,
        }
    }

    /// Waits until somebody wants it to stop. Cancel safe.
    pub(crate) async fn called(&self) {
        self.bell.notified().await;
    }

    pub(crate) fn progress(&self, over: usize) {
        self.over.store(over, Ordering::Relaxed);
    }

    /// Stores the record; `ending` counts unless another one has been decided. From now on it
    /// cannot be cancelled.
    pub(crate) fn close(&self, ending: PlanEnding, steps: Box<[StepRecord]>) {
        let ending = {
            let mut state = self.lock();
            state.closed = true;
            state.ending.get_or_insert(ending).clone()
        };
        let duration = self.profile.begun.elapsed();
        let _once = self.record.set(PlanRecord { ending, duration, steps });
    }

    /// Wakes all waiters; the record is there.
    pub(crate) fn wake(&self) {
        self.ended.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, ActivePlanState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PlanRecord {
    fn result(&self, profile: &PlanInfo) -> PlanExecutionResult {
        let results: Vec<_> = self.steps.iter().map(|step| step.result(profile.level)).collect();
        PlanExecutionResult {
            plan_id: profile.id,
            status: self.ending.status(),
            stats: PlanStats::of(&results),
            results,
            total_duration: self.duration,
            ending: self.ending.clone(),
            started_at: profile.started_at,
        }
    }
}

impl StepRecord {
    pub(crate) fn never(id: Uuid, ending: Ending) -> Self {
        Self::Never(Box::new(Never { id, ending, at: Utc::now() }))
    }

    /// Of a step of which nothing else is known.
    pub(crate) fn lost(id: Uuid) -> Self {
        Self::never(id, Ending::EngineFailed { reason: "it left no record".to_string() })
    }

    pub(crate) fn id(&self) -> Uuid {
        match self {
            Self::Ran(record) => record.id(),
            Self::Never(never) => never.id,
        }
    }

    pub(crate) fn ending(&self) -> Ending {
        match self {
            Self::Ran(record) => record.ending().clone(),
            Self::Never(never) => never.ending.clone(),
        }
    }

    fn result(&self, level: Level) -> ExecutionResult {
        match self {
            Self::Ran(record) => record.result(),
            Self::Never(never) => {
                ExecutionResult::without_program(never.id, never.ending.clone(), never.at, level)
            }
        }
    }
}
