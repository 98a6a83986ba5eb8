//! Carries out one plan. Each step that has been started has a task that waits for its end, and then
//! starts itself what may start because of it: so a plan starts programs on as many threads as a loop
//! of tasks would, and nothing stands between the end of one step and the start of the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use uuid::Uuid;

use super::inputs::ResolvedInput;
use super::progress::PlanProgress;
use super::schedule::Schedule;
use super::validate::{Checked, StepChecker, label, options_of};
use crate::error::{ExecutionError, Result};
use crate::events::Publisher;
use crate::execution::ActiveExecution;
use crate::store::{ActivePlan, StepRecord};
use crate::time;
use crate::types::{
    Ending, ExecutionEvent, ExecutionOptions, ExecutionPlan, ExecutionRequest, ExecutionStatus,
    FailurePolicy, PlanEnding, PlanOptions, PlanSummary, SkipReason,
};

/// What a runner asks of the engine.
pub(crate) trait StepExecutor: StepChecker + Send + Sync + 'static {
    /// Starts a step of this plan as an execution, or lets it wait its turn, however long that takes.
    fn start(
        &self,
        plan: &Arc<ActivePlan>,
        request: ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Result<Arc<ActiveExecution>>;

    /// Runs a task of a plan.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Gives back the id that was reserved for a step which will never start.
    fn release(&self, plan: &Arc<ActivePlan>, step: Uuid);

    /// Moves the plan to the ended ones.
    fn plan_ended(&self, plan: &Arc<ActivePlan>);
}

pub(crate) struct PlanExecutor<H: StepExecutor> {
    hands: H,
    pub(super) live: Arc<ActivePlan>,
    publisher: Publisher,
    pub(super) options: PlanOptions,
    pub(super) policy: FailurePolicy,
    pub(super) inputs: HashMap<usize, Vec<ResolvedInput>>,
    ids: Box<[Uuid]>,
    state: Mutex<PlanProgress>,
}

/// A step that a task has taken on. Dropped undone, by a panic or with its runtime, it still ends.
struct PlanGuard<'a, H: StepExecutor> {
    runner: &'a PlanExecutor<H>,
    step: usize,
    is_done: bool,
}

impl<H: StepExecutor> PlanExecutor<H> {
    pub(crate) fn new(
        hands: H,
        live: Arc<ActivePlan>,
        publisher: Publisher,
        (plan, options): (ExecutionPlan, PlanOptions),
        checked: Checked,
    ) -> Arc<Self> {
        let Checked { graph, policy, room, turns, inputs } = checked;
        let ids = plan.commands.iter().map(|request| request.id).collect();
        let schedule = Schedule::new(graph, policy, room, &turns);
        let state = Mutex::new(PlanProgress::new(schedule, plan.commands));
        Arc::new(Self { hands, live, publisher, options, policy, inputs, ids, state })
    }

    /// Starts what may start, and watches for a cancel and for the deadline.
    pub(crate) fn run(self: Arc<Self>) {
        self.hands.spawn(Arc::clone(&self).oversee());
        self.take_on_all();
    }

    async fn oversee(self: Arc<Self>) {
        let begun = self.live.profile().begun;
        let patience = self.options.deadline_ms.map(Duration::from_millis);
        let deadline = patience.and_then(|patience| begun.checked_add(patience));
        let ending = tokio::select! {
            () = self.live.ended() => return,
            () = self.live.called() => Ending::Cancelled,
            () = time::sleep_until(deadline) => {
                let deadline_ms = self.options.deadline_ms.unwrap_or_default();
                match self.live.decide(PlanEnding::DeadlineReached { deadline_ms }) {
                    // It came first, if only just.
                    PlanEnding::Cancelled => Ending::Cancelled,
                    _ => Ending::PlanDeadline { deadline_ms },
                }
            }
        };
        self.lock().stop(&self, &ending);
        self.end_if_over();
    }

    /// Takes on every step that may start.
    fn take_on_all(self: &Arc<Self>) {
        while let Some(step) = self.take_on() {
            self.hands.spawn(Arc::clone(self).work(step));
        }
    }

    fn take_on(&self) -> Option<usize> {
        self.lock().schedule.next()
    }

    /// Sees to one step, and then to what may start because of it.
    async fn work(self: Arc<Self>, mut step: usize) {
        loop {
            let duty = PlanGuard { runner: &self, step, is_done: false };
            let (record, command) = self.see_to(step).await;
            duty.done(record, command);
            let Some(next) = self.take_on() else { return };
            self.take_on_all();
            step = next;
        }
    }

    /// Starts a step and waits for its end.
    async fn see_to(&self, step: usize) -> (StepRecord, String) {
        let id = self.ids[step];
        let equipped = {
            let mut state = self.lock();
            state.requests[step].take().map(|request| {
                let command = request.command.to_string();
                (command, state.prepare_step(self, step, request))
            })
        };
        let (request, options, command) = match equipped {
            Some((command, Ok((request, options)))) => (request, options, command),
            Some((command, Err(reason))) => {
                return (StepRecord::never(id, Ending::NotRun { reason }), command);
            }
            None => return (StepRecord::lost(id), String::new()),
        };
        let options = options.as_ref().unwrap_or_else(|| options_of(&self.options, step));
        let live = match self.hands.start(&self.live, request, options) {
            Ok(live) => live,
            Err(error) => {
                let ending = match error {
                    ExecutionError::ShuttingDown => {
                        Ending::NotRun { reason: SkipReason::EngineClosed }
                    }
                    error => Ending::SpawnFailed { reason: error.to_string(), os_error: None },
                };
                return (StepRecord::never(id, ending), command);
            }
        };
        {
            let mut state = self.lock();
            self.tell(&state, (step, id), at_start(&live), command.clone());
            if let Some(ending) = &state.stop {
                // One that has just ended by itself keeps its own ending.
                let _first = live.decide(ending.clone());
            }
            state.started.insert(step, Arc::clone(&live));
        }
        match live.ended().await {
            Some(record) => (StepRecord::Ran(record), command),
            // It was refused after all.
            None => (StepRecord::lost(id), command),
        }
    }

    /// Ends the plan if all of its steps are over. In this order: ended in the registry, record
    /// stored, waiters awake, last event out.
    fn end_if_over(&self) {
        let (ending, records) = {
            let mut state = self.lock();
            if !state.schedule.is_over() || state.records.is_empty() {
                return;
            }
            let ending = match state.first_failure {
                Some(step) => PlanEnding::Failed { step: label(&self.options, step) },
                None => PlanEnding::Completed,
            };
            (ending, std::mem::take(&mut state.records))
        };
        let steps = records.into_iter().zip(&self.ids);
        let steps = steps.map(|(record, id)| record.unwrap_or_else(|| StepRecord::lost(*id)));
        // First: a plan whose ending can be seen can be removed.
        self.hands.plan_ended(&self.live);
        self.live.close(ending, steps.collect());
        self.live.wake();
        let plan_id = self.live.profile().id;
        let PlanSummary { status, duration, .. } = self.live.summary();
        self.publisher.event(Utc::now(), ExecutionEvent::PlanEnded { plan_id, status, duration });
    }

    /// Gives back the id of a step that never ran.
    pub(super) fn release_if_never_ran(&self, record: &StepRecord) {
        if matches!(record, StepRecord::Never(_)) {
            self.hands.release(&self.live, record.id());
        }
    }

    pub(super) fn tell(
        &self,
        state: &PlanProgress,
        (step, id): (usize, Uuid),
        status: ExecutionStatus,
        command: String,
    ) {
        let event = ExecutionEvent::Progress {
            plan_id: self.live.profile().id,
            completed: state.schedule.over_count(),
            total: self.live.profile().total,
            step: label(&self.options, step),
            execution_id: id,
            status,
            current_command: command,
        };
        self.publisher.event(Utc::now(), event);
    }

    fn lock(&self) -> MutexGuard<'_, PlanProgress> {
        // What it guards is consistent between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: StepExecutor> PlanGuard<'_, H> {
    fn done(mut self, record: StepRecord, command: String) {
        self.fulfil(record, command);
    }

    fn fulfil(&mut self, record: StepRecord, command: String) {
        self.is_done = true;
        self.runner.lock().over(self.runner, self.step, record, command);
        self.runner.end_if_over();
    }
}

impl<H: StepExecutor> Drop for PlanGuard<'_, H> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let reason = "a task of it was lost".to_string();
        self.runner.live.decide(PlanEnding::EngineFailed { reason });
        self.runner.lock().stop(self.runner, &Ending::EngineClosed);
        self.fulfil(StepRecord::lost(self.runner.ids[self.step]), String::new());
    }
}

/// Where an execution stood when it had just been started, even if it has ended by now.
fn at_start(live: &ActiveExecution) -> ExecutionStatus {
    match (live.status(), live.decision()) {
        (status, _) if !status.is_terminal() => status,
        (_, Some(Ending::SpawnFailed { .. })) => ExecutionStatus::Pending,
        _ => ExecutionStatus::Running,
    }
}

#[cfg(test)]
mod tests {
    use execution_engine_process::Level;

    use super::*;
    use crate::admission::GroupId;
    use crate::error::ValidationError;
    use crate::events::{Broadcaster, HandlerPool, HandlerSet};
    use crate::output::{Journal, JournalLimits, JournalOwner, KeepPolicy, View};
    use crate::plan::check;
    use crate::store::PlanInfo;
    use crate::types::ExecutionMetadata;

    /// An engine of which every start is lost.
    #[derive(Clone, Copy)]
    struct Broken;

    impl StepChecker for Broken {
        fn check(
            &self,
            _: &ExecutionRequest,
            _: &ExecutionOptions,
        ) -> Result<GroupId, ValidationError> {
            Ok(GroupId::NONE)
        }

        fn limit(&self) -> usize {
            2
        }

        fn group_limits(&self) -> Vec<usize> {
            Vec::new()
        }
    }

    impl StepExecutor for Broken {
        fn start(
            &self,
            _: &Arc<ActivePlan>,
            _: ExecutionRequest,
            _: &ExecutionOptions,
        ) -> Result<Arc<ActiveExecution>> {
            panic!("as it happens");
        }

        fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
            tokio::spawn(task);
        }

        fn release(&self, _: &Arc<ActivePlan>, _: Uuid) {}

        fn plan_ended(&self, _: &Arc<ActivePlan>) {}
    }

    #[tokio::test]
    async fn a_plan_whose_tasks_are_lost_still_ends() {
        let plan = ExecutionPlan::parallel((0..5).map(|_| ExecutionRequest::shell("true")));
        let options = PlanOptions::default();
        let checked = check(&plan, &options, &Broken).unwrap();
        let profile = PlanInfo {
            id: plan.id,
            description: None,
            metadata: ExecutionMetadata::default(),
            total: 5,
            started_at: Utc::now(),
            begun: std::time::Instant::now(),
            level: Level::ProcessGroup,
        };
        let holding =
            JournalLimits { limit: 1, keep: KeepPolicy::First, window: 0, max_line_bytes: 100 };
        let journal = Arc::new(Journal::new(JournalOwner::default(), "".into(), holding));
        let stage = Arc::new(HandlerPool::new(Duration::from_secs(1)));
        let publisher = HandlerSet::default().publisher(
            Arc::clone(&journal),
            View::Events,
            &stage,
            Arc::<Broadcaster>::default(),
        );
        let live = Arc::new(ActivePlan::new(profile, journal));
        let ids: Vec<_> = plan.commands.iter().map(|request| request.id).collect();
        PlanExecutor::new(Broken, Arc::clone(&live), publisher, (plan, options), checked).run();
        tokio::time::timeout(Duration::from_secs(60), live.ended()).await.expect("it ends");
        let result = live.result().unwrap();
        assert!(matches!(result.ending, PlanEnding::EngineFailed { .. }), "{result:?}");
        let told: Vec<_> = result.results.iter().map(|step| step.id).collect();
        assert_eq!(told, ids, "one for each command, in order");
        assert!(result.results.iter().all(|step| !step.success));
    }
}
