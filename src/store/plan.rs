//! One plan as all its observers share it, before and after its end. It is here and not beside the
//! executor because the registry holds it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use execution_engine_process::Level;
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::record::Record;
use crate::output::Journal;
use crate::time::Deadline;
use crate::types::{
    Ending, ExecutionMetadata, ExecutionStatus, PlanEnding, PlanExecutionResult, PlanStats,
    PlanSummary, StepReport,
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

/// A plan that is carried out, or has ended.
#[derive(Debug)]
pub(crate) struct ActivePlan {
    info: PlanInfo,
    /// Steps that have ended or will never run.
    steps_over: AtomicUsize,
    deadline: Deadline,
    /// Notified when the deadline may be nearer.
    released: Notify,
    /// What carries it out, while it does.
    executor: OnceLock<Weak<dyn CancelPlan>>,
    record: OnceLock<PlanRecord>,
    /// Notified once there is a record.
    ended: Notify,
    journal: Arc<Journal>,
    /// Steps that were started, until the record has them.
    steps: Mutex<HashMap<usize, StartedStep>>,
}

/// A step that was started, whatever retention has done to its execution since.
#[derive(Debug)]
enum StartedStep {
    Running(Arc<Journal>),
    Ended(Arc<Record>),
}

/// What carries out a plan.
pub(crate) trait CancelPlan: Send + Sync {
    /// Stops the steps; the first time without those that run always.
    ///
    /// # Errors
    /// The status that the plan ends with, if there is nothing to stop.
    fn cancel(self: Arc<Self>) -> Result<(), ExecutionStatus>;
}

/// What came of a plan. It holds the records of its steps, whatever retention does to them
/// elsewhere.
#[derive(Debug)]
struct PlanRecord {
    ending: PlanEnding,
    duration: Duration,
    steps: Box<[StepRecord]>,
    reports: Vec<StepReport>,
}

/// What came of a step.
#[derive(Debug)]
pub(crate) enum StepRecord {
    Ran(Arc<Record>),
    Never(Box<Record>),
}

impl ActivePlan {
    pub(crate) fn new(info: PlanInfo, journal: Arc<Journal>, deadline: Deadline) -> Self {
        Self {
            info,
            steps_over: AtomicUsize::new(0),
            deadline,
            released: Notify::new(),
            executor: OnceLock::new(),
            record: OnceLock::new(),
            ended: Notify::new(),
            journal,
            steps: Mutex::default(),
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
        waker::catching(async {
            let ended = self.ended.notified();
            if self.record.get().is_none() {
                ended.await;
            }
        })
        .await;
    }

    /// Notes what carries it out, before anyone can see the plan.
    pub(crate) fn set_executor(&self, executor: Weak<dyn CancelPlan>) {
        let _once = self.executor.set(executor);
    }

    /// Cancels the plan. Returns its status if there is nothing to stop any more.
    pub(crate) fn cancel(&self) -> Result<(), ExecutionStatus> {
        let executor = self.executor.get().and_then(Weak::upgrade);
        executor.map_or_else(|| Err(self.status()), |executor| executor.cancel())
    }

    /// Returns the record of a step that never ran.
    pub(crate) fn never(&self, step: Uuid, ending: Ending) -> StepRecord {
        StepRecord::Never(Box::new(Record::without_program(step, ending, self.info.level)))
    }

    /// Returns the record of a step that was lost with its task.
    pub(crate) fn lost(&self, step: Uuid) -> StepRecord {
        self.never(step, Ending::EngineFailed { reason: "the step left no record".to_string() })
    }

    /// Returns the record of a step that goes on elsewhere although its engine is closed.
    pub(crate) fn left(&self, step: Uuid) -> StepRecord {
        let reason = "the engine was closed while it ran elsewhere".to_string();
        self.never(step, Ending::Unknown { reason })
    }

    /// Puts off the deadline until [`release_deadline`](Self::release_deadline), because one of its
    /// programs is held back for a handler.
    pub(crate) fn hold_deadline(&self) {
        self.deadline.hold();
    }

    pub(crate) fn release_deadline(&self) {
        self.deadline.release();
        self.released.notify_one();
    }

    /// Waits for the deadline. Cancel safe.
    pub(crate) async fn deadline_reached(&self) {
        loop {
            tokio::select! {
                () = self.deadline.wakeup() => return,
                () = self.released.notified() => {}
            }
        }
    }

    /// Notes that a step has been started, before anything is published of it.
    pub(crate) fn step_started(&self, step: usize, journal: Arc<Journal>) {
        self.steps.lock().insert(step, StartedStep::Running(journal));
    }

    /// Notes the record of a step that was started.
    pub(crate) fn step_ended(&self, step: usize, record: Arc<Record>) {
        self.steps.lock().insert(step, StartedStep::Ended(record));
    }

    /// Returns the journal of a step; None if it has not been started.
    pub(crate) fn step_journal(&self, step: usize) -> Option<Arc<Journal>> {
        let record = match self.steps.lock().get(&step) {
            Some(StartedStep::Running(journal)) => return Some(Arc::clone(journal)),
            Some(StartedStep::Ended(record)) => Some(Arc::clone(record)),
            None => None,
        };
        // Not before the steps: they go away when the record is there.
        let ended = || match self.record.get()?.steps.get(step)? {
            StepRecord::Ran(record) => Some(Arc::clone(record)),
            StepRecord::Never(_) => None,
        };
        record.or_else(ended).map(|record| record.journal())
    }

    /// Publishes how many steps have ended or will never run.
    pub(crate) fn progress(&self, over: usize) {
        self.steps_over.store(over, Ordering::Relaxed);
    }

    /// Stores the record, and returns how long the plan took. Waiters are not woken yet.
    pub(crate) fn close(
        &self,
        ending: PlanEnding,
        (steps, reports): (Box<[StepRecord]>, Vec<StepReport>),
    ) -> Duration {
        let duration = self.info.begun.elapsed();
        let _once = self.record.set(PlanRecord { ending, duration, steps, reports });
        // The record has them, too, so nothing is dropped here that owns a file.
        self.steps.lock().clear();
        duration
    }

    /// Wakes the waiters of [`ended`](Self::ended).
    pub(crate) fn wake_waiters(&self) {
        self.ended.notify_waiters();
    }
}

impl PlanRecord {
    fn result(&self, info: &PlanInfo) -> PlanExecutionResult {
        let results: Vec<_> = self.steps.iter().map(|step| step.record().result()).collect();
        PlanExecutionResult {
            plan_id: info.id,
            status: self.ending.status(),
            stats: PlanStats::of(&results, &self.reports),
            results,
            steps: self.reports.clone(),
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
