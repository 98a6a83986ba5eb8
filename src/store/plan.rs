//! One plan as all its observers share it, before and after its end. It is here and not beside the
//! executor because the registry holds it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use execution_engine_process::Level;
use tokio::sync::{Notify, SetOnce};
use uuid::Uuid;

use super::record::Record;
use crate::output::Journal;
use crate::types::{
    Ending, ExecutionMetadata, ExecutionStatus, PlanEnding, PlanExecutionResult, PlanStats,
    PlanSummary, SkipReason,
};
use crate::waker;

/// What is known of a plan from the moment it is accepted.
#[derive(Debug)]
pub(crate) struct PlanInfo {
    pub(crate) id: Uuid,
    pub(crate) description: Option<String>,
    pub(crate) metadata: ExecutionMetadata,
    pub(crate) total: usize,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) begun: Instant,
    /// Containment level in force, for the results of steps that never ran.
    pub(crate) level: Level,
}

/// A plan that is carried out, or has ended. Anyone may decide its ending; the first one counts.
#[derive(Debug)]
pub(crate) struct ActivePlan {
    info: PlanInfo,
    state: Mutex<ActivePlanState>,
    /// Steps that have ended or will never run.
    steps_over: AtomicUsize,
    /// Notified when a caller has cancelled it.
    cancelled: Notify,
    record: SetOnce<PlanRecord>,
    journal: Arc<Journal>,
}

#[derive(Debug, Default)]
struct ActivePlanState {
    /// Decided before the steps that still run have ended.
    ending: Option<PlanEnding>,
    /// Set with the record: nothing can be decided any more.
    closed: bool,
}

/// What came of a plan. It holds the records of its steps, whatever retention does to them
/// elsewhere.
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
    Never(Box<Record>),
}

impl ActivePlan {
    pub(crate) fn new(info: PlanInfo, journal: Arc<Journal>) -> Self {
        Self {
            info,
            state: Mutex::default(),
            steps_over: AtomicUsize::new(0),
            cancelled: Notify::new(),
            record: SetOnce::new(),
            journal,
        }
    }

    pub(crate) fn info(&self) -> &PlanInfo {
        &self.info
    }

    pub(crate) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        self.record.get().map_or(ExecutionStatus::Running, |record| record.ending.status())
    }

    /// Returns the result; None while it runs.
    pub(crate) fn result(&self) -> Option<PlanExecutionResult> {
        self.record.get().map(|record| record.result(&self.info))
    }

    pub(crate) fn summary(&self) -> PlanSummary {
        let PlanInfo { id, description, metadata, total, started_at, begun, .. } = &self.info;
        PlanSummary {
            id: *id,
            status: self.status(),
            description: description.clone(),
            total: *total,
            ended: self.steps_over.load(Ordering::Relaxed),
            started_at: *started_at,
            duration: self.record.get().map_or_else(|| begun.elapsed(), |record| record.duration),
            metadata: metadata.clone(),
        }
    }

    /// Waits until the result is there. Cancel safe.
    pub(crate) async fn ended(&self) {
        waker::catching(self.record.wait()).await;
    }

    /// Cancels the plan: its executor starts nothing more and stops what runs. Returns the status
    /// if the plan has ended already.
    pub(crate) fn cancel(&self) -> Result<(), ExecutionStatus> {
        let mut state = self.lock();
        if state.closed {
            let ending = state.ending.as_ref();
            return Err(ending.map_or(ExecutionStatus::Failed, PlanEnding::status));
        }
        state.ending.get_or_insert(PlanEnding::Cancelled);
        drop(state);
        self.cancelled.notify_one();
        Ok(())
    }

    /// Decides the ending unless it is decided. Returns the one that counts.
    pub(crate) fn decide(&self, ending: PlanEnding) -> PlanEnding {
        self.lock().ending.get_or_insert(ending).clone()
    }

    /// Returns the reason for which steps that have not started never will.
    pub(crate) fn skip_reason(&self) -> SkipReason {
        match &self.lock().ending {
            Some(PlanEnding::DeadlineReached { .. }) => SkipReason::PlanDeadline,
            Some(PlanEnding::Failed { step }) => SkipReason::PlanStopped { step: step.clone() },
            Some(PlanEnding::EngineClosed | PlanEnding::EngineFailed { .. }) => {
                SkipReason::EngineClosed
            }
            _ => SkipReason::PlanCancelled,
        }
    }

    /// Returns the record of a step that never ran.
    pub(crate) fn never(&self, step: Uuid, ending: Ending) -> StepRecord {
        StepRecord::Never(Box::new(Record::without_program(step, ending, self.info.level)))
    }

    /// Returns the record of a step that was lost with its task.
    pub(crate) fn lost(&self, step: Uuid) -> StepRecord {
        self.never(step, Ending::EngineFailed { reason: "the step left no record".to_string() })
    }

    /// Waits until a caller has cancelled it. Cancel safe.
    pub(crate) async fn cancel_requested(&self) {
        self.cancelled.notified().await;
    }

    /// Publishes how many steps have ended or will never run.
    pub(crate) fn progress(&self, over: usize) {
        self.steps_over.store(over, Ordering::Relaxed);
    }

    /// Stores the record with this ending, unless another one has been decided, and wakes all
    /// waiters. From now on the plan cannot be cancelled.
    pub(crate) fn close(&self, ending: PlanEnding, steps: Box<[StepRecord]>) {
        let ending = {
            let mut state = self.lock();
            state.closed = true;
            state.ending.get_or_insert(ending).clone()
        };
        let duration = self.info.begun.elapsed();
        let _once = self.record.set(PlanRecord { ending, duration, steps });
    }

    fn lock(&self) -> MutexGuard<'_, ActivePlanState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PlanRecord {
    fn result(&self, info: &PlanInfo) -> PlanExecutionResult {
        let results: Vec<_> = self.steps.iter().map(|step| step.record().result()).collect();
        PlanExecutionResult {
            plan_id: info.id,
            status: self.ending.status(),
            stats: PlanStats::of(&results),
            results,
            total_duration: self.duration,
            ending: self.ending.clone(),
            started_at: info.started_at,
        }
    }
}

impl StepRecord {
    pub(crate) fn record(&self) -> &Record {
        match self {
            Self::Ran(record) => record,
            Self::Never(record) => record,
        }
    }
}
