//! Execution of one validated plan: schedule the steps, run them, complete the plan.
//!
//! Each step that was started has a task that waits for its end and then starts the steps that
//! waited for it. So a plan starts programs on as many threads as a loop of tasks would, and no step
//! has to wait for a central task.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use chrono::Utc;
use parking_lot::Mutex;
use uuid::Uuid;

use super::backend::PlanBackend;
use super::inputs::ResolvedInput;
use super::progress::PlanProgress;
use super::schedule::StopLevel;
use super::state::PlanState;
use super::validate::ValidatedPlan;
use crate::error::ExecutionError;
use crate::events::Publisher;
use crate::execution::ActiveExecution;
use crate::store::{ActivePlan, CancelPlan, StepRecord};
use crate::types::{
    Ending, ExecutionEvent, ExecutionRequest, ExecutionStatus, PlanEnding, PlanOptions, PlanSpec,
    SkipReason,
};

/// A plan that runs, shared by the tasks of its steps.
pub(crate) struct PlanExecutor {
    backend: Box<dyn PlanBackend>,
    pub(super) active: Arc<ActivePlan>,
    pub(super) publisher: Publisher,
    pub(super) options: PlanOptions,
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
        let ValidatedPlan { schedule, inputs } = validated;
        let ids = plan.commands.iter().map(|request| request.id).collect();
        let progress = Mutex::new(PlanProgress::new(PlanState::new(schedule), plan.commands));
        let new = Self { backend, active, publisher, options, inputs, ids, progress };
        let executor = Arc::new(new);
        let weak: Weak<Self> = Arc::downgrade(&executor);
        executor.active.set_executor(weak);
        executor
    }

    /// Starts the steps that wait for none, and a task that stops the plan at its deadline.
    pub(crate) fn run(self: Arc<Self>) {
        if let Some(deadline_ms) = self.options.deadline_ms {
            self.backend.spawn(Box::pin(Arc::clone(&self).stop_at_deadline(deadline_ms)));
        }
        self.start_ready_steps();
    }

    /// Waits for the deadline, then stops the steps. Returns early if the plan ends.
    async fn stop_at_deadline(self: Arc<Self>, deadline_ms: u64) {
        tokio::select! {
            () = self.active.ended() => {}
            () = self.active.deadline_reached() => {
                let cause = PlanEnding::DeadlineReached { deadline_ms };
                // Nothing may be left to stop.
                let _late =
                    self.stop(|progress| progress.stop(&self, StopLevel::Cancel, cause));
            }
        }
    }

    /// Stops steps, and starts those that have waited for them and always run. Returns the status
    /// that the plan ends with if there is nothing to stop.
    fn stop(
        self: &Arc<Self>,
        stop: impl FnOnce(&mut PlanProgress) -> bool,
    ) -> Result<(), ExecutionStatus> {
        let stopped = self.update(|progress| match stop(progress) {
            true => Ok(()),
            false => Err(progress.ending_so_far(self).status()),
        });
        self.start_ready_steps();
        self.complete_if_over();
        stopped
    }

    /// Starts a task for every step that may start.
    fn start_ready_steps(self: &Arc<Self>) {
        while let Some(step) = self.next_ready_step() {
            self.backend.spawn(Box::pin(Arc::clone(self).run_steps(step)));
        }
    }

    fn next_ready_step(&self) -> Option<usize> {
        self.progress.lock().state.schedule.next()
    }

    /// Runs one step, then one after the other of those that may start because of it; the rest get
    /// tasks of their own.
    async fn run_steps(self: Arc<Self>, mut step: usize) {
        loop {
            let mut guard = StepGuard { plan: &self, step, is_finished: false };
            let (record, command) = Arc::clone(&self).run_step(step).await;
            guard.finish(record, command);
            let Some(next) = self.next_ready_step() else { return };
            self.start_ready_steps();
            step = next;
        }
    }

    /// Starts a step and waits for its end. Returns its record and its command.
    async fn run_step(self: Arc<Self>, step: usize) -> (StepRecord, String) {
        let id = self.ids[step];
        let plan = Arc::clone(&self);
        let started = self.backend.starter().run(move || {
            let request = plan.progress.lock().requests[step].take()?;
            let command = request.command.to_string();
            Some((plan.start_step(step, request, &command), command))
        });
        let Some((started, command)) = started.await.flatten() else {
            return (self.active.lost(id), String::new());
        };
        let record = match started {
            Err(ending) => self.active.never(id, ending),
            Ok(active) => match active.ended().await {
                Some(record) => StepRecord::Ran(record),
                None if active.remote().is_some() => self.active.left(id),
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
        let prepared = self.progress.lock().prepare_step(self, step, request);
        let (request, options) = prepared?;
        let options = options.as_ref().unwrap_or_else(|| self.options.effective_options(step));
        // Without the lock: this starts a program.
        let mut admitted =
            |active: &Arc<ActiveExecution>| self.progress.lock().admitted(step, active);
        let started = self.backend.start(&self.active, request, options, &mut admitted);
        let active = started.map_err(|error| match error {
            ExecutionError::ShuttingDown => Ending::NotRun { reason: SkipReason::EngineClosed },
            error => Ending::SpawnFailed { reason: error.to_string(), os_error: error.os_error() },
        })?;
        self.update(|progress| progress.report_started(self, step, &active, command));
        Ok(active)
    }

    /// Changes the state of the steps, and then wakes the readers of the events that this has
    /// published. They may be code of the host, so that is done without the lock.
    fn update<T>(&self, change: impl FnOnce(&mut PlanProgress) -> T) -> T {
        let changed = change(&mut self.progress.lock());
        self.publisher.wake_after_append();
        changed
    }

    /// Completes the plan if all of its steps are over: see "Order of an ending" in
    /// ARCHITECTURE.md.
    fn complete_if_over(&self) {
        let outcome = self.progress.lock().take_outcome(self);
        let Some((ending, records, reports)) = outcome else { return };
        let steps = records.into_iter().zip(&self.ids);
        let steps = steps.map(|(record, id)| record.unwrap_or_else(|| self.active.lost(*id)));
        let steps = steps.collect();
        let publish = || {
            let status = ending.status();
            let duration = self.active.close(ending, (steps, reports));
            let plan_id = self.active.info().id;
            let ended = ExecutionEvent::PlanEnded { plan_id, status, duration };
            self.publisher.append(Utc::now(), ended);
        };
        self.backend.plan_ended(&self.active, Box::new(publish));
        self.active.wake_waiters();
        self.publisher.wake_after_append();
    }

    /// Gives back the id of a step that never ran.
    pub(super) fn release_if_never_ran(&self, record: &StepRecord) {
        if matches!(record, StepRecord::Never(_)) {
            self.backend.release(&self.active, record.record().id());
        }
    }
}

impl CancelPlan for PlanExecutor {
    fn cancel(self: Arc<Self>) -> Result<(), ExecutionStatus> {
        self.stop(|progress| progress.cancel(&self))
    }
}

impl StepGuard<'_> {
    fn finish(&mut self, record: StepRecord, command: String) {
        self.is_finished = true;
        let Self { plan, step, .. } = *self;
        plan.update(|progress| progress.finish_step(plan, step, record, command));
        plan.complete_if_over();
    }
}

impl Drop for StepGuard<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        self.plan.update(|progress| progress.fail(self.plan));
        self.finish(self.plan.active.lost(self.plan.ids[self.step]), String::new());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use execution_engine_process::Level;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::admission::GroupId;
    use crate::config::OversizedOutputStrategy;
    use crate::error::ValidationError;
    use crate::events::{Broadcaster, HandlerPool, HandlerSet};
    use crate::output::{Journal, JournalLimits, JournalOwner, View};
    use crate::plan::validate;
    use crate::runtime::Starter;
    use crate::store::PlanInfo;
    use crate::time::Deadline;
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

        fn starter(&self) -> &Starter {
            &Starter::Worker
        }

        fn start(
            &self,
            _: &Arc<ActivePlan>,
            _: ExecutionRequest,
            _: &ExecutionOptions,
            _: &mut dyn FnMut(&Arc<ActiveExecution>),
        ) -> crate::error::Result<Arc<ActiveExecution>> {
            panic!("as it happens");
        }

        fn spawn(&self, task: BoxFuture<'static, ()>) {
            tokio::spawn(task);
        }

        fn release(&self, _: &Arc<ActivePlan>, _: Uuid) {}

        fn plan_ended(&self, _: &Arc<ActivePlan>, publish: Box<dyn FnOnce() + '_>) {
            publish();
        }
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
        let active = Arc::new(ActivePlan::new(info, journal, Deadline::never()));
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
