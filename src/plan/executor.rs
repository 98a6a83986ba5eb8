//! Execution of one validated plan: schedule the steps, run them, complete the plan.
//!
//! Each step that was started has a task that waits for its end and then starts the steps that
//! waited for it. So a plan starts programs on as many threads as a loop of tasks would, and no step
//! has to wait for a central task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::backend::PlanBackend;
use super::inputs::ResolvedInput;
use super::progress::PlanProgress;
use super::schedule::Schedule;
use super::validate::{ValidatedPlan, label};
use crate::error::ExecutionError;
use crate::events::Publisher;
use crate::execution::ActiveExecution;
use crate::store::{ActivePlan, StepRecord};
use crate::time;
use crate::types::{
    Ending, ExecutionEvent, ExecutionRequest, FailurePolicy, PlanEnding, PlanOptions, PlanSpec,
    PlanSummary, SkipReason,
};

/// A plan that runs, shared by the tasks of its steps.
pub(crate) struct PlanExecutor {
    backend: Box<dyn PlanBackend>,
    pub(super) active: Arc<ActivePlan>,
    /// Only ever locked by `try_lock`: see [`publish`](Self::publish).
    publisher: Mutex<Publisher>,
    pub(super) options: PlanOptions,
    pub(super) policy: FailurePolicy,
    pub(super) inputs: HashMap<usize, Vec<ResolvedInput>>,
    /// The ids of the steps.
    pub(super) ids: Box<[Uuid]>,
    progress: Mutex<PlanProgress>,
}

/// Guard that finishes a step exactly once. If dropped early (panic, runtime shutdown), it finishes
/// it as lost and stops the plan as `EngineFailed`.
struct StepGuard<'a> {
    plan: &'a PlanExecutor,
    step: usize,
    is_finished: bool,
}

impl PlanExecutor {
    pub(crate) fn new(
        backend: Box<dyn PlanBackend>,
        active: Arc<ActivePlan>,
        publisher: Publisher,
        PlanSpec { plan, options }: PlanSpec,
        validated: ValidatedPlan,
    ) -> Arc<Self> {
        let ValidatedPlan { graph, policy, limits, slots, inputs } = validated;
        let ids = plan.commands.iter().map(|request| request.id).collect();
        let schedule = Schedule::new(graph, policy, limits, &slots);
        let progress = Mutex::new(PlanProgress::new(schedule, plan.commands));
        let publisher = Mutex::new(publisher);
        Arc::new(Self { backend, active, publisher, options, policy, inputs, ids, progress })
    }

    /// Starts the steps that wait for none, and a task that stops the plan when it has to.
    pub(crate) fn run(self: Arc<Self>) {
        self.backend.spawn(Box::pin(Arc::clone(&self).stop_when_asked()));
        self.start_ready_steps();
    }

    /// Waits for a cancel or the deadline, then stops the steps. Returns early if the plan ends.
    async fn stop_when_asked(self: Arc<Self>) {
        let begun = self.active.info().begun;
        let time_limit = self.options.deadline_ms.map(Duration::from_millis);
        let deadline = time_limit.and_then(|limit| begun.checked_add(limit));
        let ending = tokio::select! {
            () = self.active.ended() => return,
            () = self.active.cancel_requested() => Ending::Cancelled,
            () = time::sleep_until(deadline) => {
                let deadline_ms = self.options.deadline_ms.unwrap_or_default();
                // A cancel at the same moment may have been first; then that is the one account of
                // it.
                match self.active.decide(PlanEnding::DeadlineReached { deadline_ms }) {
                    PlanEnding::Cancelled => Ending::Cancelled,
                    _ => Ending::PlanDeadline { deadline_ms },
                }
            }
        };
        self.lock().stop(&self, &ending);
        self.publish();
        self.complete_if_over();
    }

    /// Starts a task for every step that may start.
    fn start_ready_steps(self: &Arc<Self>) {
        while let Some(step) = self.next_ready_step() {
            self.backend.spawn(Box::pin(Arc::clone(self).run_steps(step)));
        }
    }

    fn next_ready_step(&self) -> Option<usize> {
        self.lock().schedule.next()
    }

    /// Runs one step, then one after the other of those that may start because of it; the rest get
    /// tasks of their own.
    async fn run_steps(self: Arc<Self>, mut step: usize) {
        loop {
            let mut guard = StepGuard { plan: &self, step, is_finished: false };
            let (record, command) = self.run_step(step).await;
            guard.finish(record, command);
            let Some(next) = self.next_ready_step() else { return };
            self.start_ready_steps();
            step = next;
        }
    }

    /// Starts a step and waits for its end. Returns its record and its command.
    async fn run_step(&self, step: usize) -> (StepRecord, String) {
        let id = self.ids[step];
        let Some(request) = self.lock().requests[step].take() else {
            return (self.active.lost(id), String::new());
        };
        let command = request.command.to_string();
        let record = match self.start_step(step, request, &command) {
            Err(ending) => self.active.never(id, ending),
            Ok(active) => match active.ended().await {
                Some(record) => StepRecord::Ran(record),
                // It was refused when its turn in the queue came.
                None => self.active.lost(id),
            },
        };
        (record, command)
    }

    /// Starts a step as an execution.
    ///
    /// # Errors
    /// The ending of a step that cannot be started.
    fn start_step(
        &self,
        step: usize,
        request: ExecutionRequest,
        command: &str,
    ) -> Result<Arc<ActiveExecution>, Ending> {
        let prepared = self.lock().prepare_step(self, step, request);
        let (request, options) = prepared.map_err(|reason| Ending::NotRun { reason })?;
        let options = options.as_ref().unwrap_or_else(|| self.options.effective_options(step));
        // Without the lock: this starts a program.
        let started = self.backend.start(&self.active, request, options);
        let active = started.map_err(|error| match error {
            ExecutionError::ShuttingDown => Ending::NotRun { reason: SkipReason::EngineClosed },
            error => Ending::SpawnFailed { reason: error.to_string(), os_error: None },
        })?;
        self.lock().started(self, step, &active, command);
        self.publish();
        Ok(active)
    }

    /// Publishes the events that the steps have left, in their order.
    ///
    /// Publishing wakes readers, which may be code of the host, so the lock of the steps is not
    /// held. The publisher's is, but no task ever waits for it: the one that has it publishes also
    /// what others leave meanwhile.
    fn publish(&self) {
        while !self.lock().events.is_empty() {
            let publisher = match self.publisher.try_lock() {
                Ok(publisher) => publisher,
                Err(TryLockError::Poisoned(publisher)) => publisher.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            while let Some((at, event)) = self.next_event() {
                publisher.event(at, event);
            }
        }
    }

    fn next_event(&self) -> Option<(DateTime<Utc>, ExecutionEvent)> {
        self.lock().events.pop_front()
    }

    /// Completes the plan if all of its steps are over. In this order: ended in the registry,
    /// record stored, waiters awake, last event out.
    fn complete_if_over(&self) {
        let Some((first_failure, records)) = self.lock().take_records() else { return };
        let ending = match first_failure {
            Some(step) => PlanEnding::Failed { step: label(&self.options, step) },
            None => PlanEnding::Completed,
        };
        let steps = records.into_iter().zip(&self.ids);
        let steps = steps.map(|(record, id)| record.unwrap_or_else(|| self.active.lost(*id)));
        // First: a plan whose ending can be seen can be removed.
        self.backend.plan_ended(&self.active);
        self.active.close(ending, steps.collect());
        let plan_id = self.active.info().id;
        let PlanSummary { status, duration, .. } = self.active.summary();
        self.lock().report(ExecutionEvent::PlanEnded { plan_id, status, duration });
        self.publish();
    }

    /// Gives back the id of a step that never ran.
    pub(super) fn release_if_never_ran(&self, record: &StepRecord) {
        if matches!(record, StepRecord::Never(_)) {
            self.backend.release(&self.active, record.record().id());
        }
    }

    fn lock(&self) -> MutexGuard<'_, PlanProgress> {
        // What it guards is consistent between any two statements.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StepGuard<'_> {
    fn finish(&mut self, record: StepRecord, command: String) {
        self.is_finished = true;
        self.plan.lock().finish_step(self.plan, self.step, record, command);
        self.plan.publish();
        self.plan.complete_if_over();
    }
}

impl Drop for StepGuard<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let reason = "internal error: the task of a step ended unexpectedly".to_string();
        self.plan.active.decide(PlanEnding::EngineFailed { reason });
        self.plan.lock().stop(self.plan, &Ending::EngineClosed);
        self.finish(self.plan.active.lost(self.plan.ids[self.step]), String::new());
    }
}

#[cfg(test)]
mod tests {
    use execution_engine_process::Level;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::admission::GroupId;
    use crate::config::OversizedOutputStrategy;
    use crate::error::ValidationError;
    use crate::events::{Broadcaster, HandlerPool, HandlerSet};
    use crate::output::{Journal, JournalLimits, JournalOwner, View};
    use crate::plan::validate;
    use crate::store::PlanInfo;
    use crate::types::{ExecutionMetadata, ExecutionOptions, ExecutionPlan};

    /// Engine in which every start panics.
    struct Broken;

    impl PlanBackend for Broken {
        fn check(
            &self,
            _: &ExecutionRequest,
            _: &ExecutionOptions,
        ) -> Result<GroupId, ValidationError> {
            Ok(GroupId::NONE)
        }

        fn limits(&self) -> (usize, Vec<usize>) {
            (2, Vec::new())
        }

        fn start(
            &self,
            _: &Arc<ActivePlan>,
            _: ExecutionRequest,
            _: &ExecutionOptions,
        ) -> crate::error::Result<Arc<ActiveExecution>> {
            panic!("as it happens");
        }

        fn spawn(&self, task: BoxFuture<'static, ()>) {
            tokio::spawn(task);
        }

        fn release(&self, _: &Arc<ActivePlan>, _: Uuid) {}

        fn plan_ended(&self, _: &Arc<ActivePlan>) {}
    }

    #[tokio::test]
    async fn a_plan_whose_tasks_are_lost_still_ends() {
        let plan = ExecutionPlan::parallel((0..5).map(|_| ExecutionRequest::shell("true")));
        let spec = PlanSpec::from(plan);
        let plan = &spec.plan;
        let validated = validate(&spec, &Broken).unwrap();
        let info = PlanInfo {
            id: plan.id,
            description: None,
            metadata: ExecutionMetadata::default(),
            total: 5,
            started_at: Utc::now(),
            begun: std::time::Instant::now(),
            level: Level::ProcessGroup,
        };
        let limits = JournalLimits {
            limit: 1,
            oversized: OversizedOutputStrategy::TruncateWithWarning,
            window: 0,
            max_line_bytes: 100,
        };
        let journal = Arc::new(Journal::new(JournalOwner::default(), "".into(), limits));
        let pool = Arc::new(HandlerPool::new(Duration::from_secs(1)));
        let publisher = HandlerSet::default().publisher(
            Arc::clone(&journal),
            View::Events,
            &pool,
            Arc::<Broadcaster>::default(),
        );
        let active = Arc::new(ActivePlan::new(info, journal));
        let ids: Vec<_> = plan.commands.iter().map(|request| request.id).collect();
        let backend = Box::new(Broken);
        PlanExecutor::new(backend, Arc::clone(&active), publisher, spec, validated).run();
        tokio::time::timeout(Duration::from_secs(60), active.ended()).await.expect("it ends");
        let result = active.result().unwrap();
        assert!(matches!(result.ending, PlanEnding::EngineFailed { .. }), "{result:?}");
        let ids_seen: Vec<_> = result.results.iter().map(|step| step.id).collect();
        assert_eq!(ids_seen, ids, "one for each command, in order");
        assert!(result.results.iter().all(|step| !step.success));
    }
}
