//! Methods about plans, and the engine as a plan uses it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use execution_engine_process::PassedDescriptors;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::ExecutionEngine;
use super::core::EngineCore;
use crate::admission::GroupId;
use crate::error::{ExecutionError, Result, ValidationError};
use crate::execution::ActiveExecution;
use crate::output::{Journal, JournalOwner};
use crate::plan::{PlanBackend, PlanExecutor, PlanSubscription, validate};
use crate::prepare;
use crate::runtime::Starter;
use crate::store::{ActivePlan, Origin, PlanInfo};
use crate::types::{
    ExecutionOptions, ExecutionRequest, ExecutionStatus, PlanExecutionResult, PlanSpec, PlanSummary,
};

impl ExecutionEngine {
    /// Starts a plan and returns its id at once, without waiting for its end.
    ///
    /// The whole plan is checked before anything starts. Its commands run as executions of their
    /// own; when the engine is busy they wait, whatever its
    /// [admission](crate::EngineBuilder::admission) is. What can change before a step's turn comes,
    /// such as whether its program exists, is checked then: an earlier step may create it.
    ///
    /// The ids of the plan and of its steps share one id space with executions. Those of the steps
    /// are reserved until the steps start or are skipped.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let id = engine
    ///     .execute_plan(ExecutionPlan::serial([
    ///         ExecutionRequest::shell("echo first"),
    ///         ExecutionRequest::shell("exit 3"),
    ///         ExecutionRequest::shell("echo never"),
    ///     ]))
    ///     .await?;
    /// let result = engine.wait_for_plan(id).await?;
    /// assert_eq!(result.status, ExecutionStatus::Failed);
    /// assert_eq!(result.results[0].stdout, "first\n");
    /// assert_eq!(result.results[1].exit_code, 3);
    /// assert_eq!(
    ///     result.results[2].error.as_deref(),
    ///     Some("never ran: step 1 had failed, and the plan stops there")
    /// );
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ValidationError::Plan`](crate::ValidationError::Plan) names the step and the rule that it
    /// breaks, [`DuplicateId`](ExecutionError::DuplicateId) an id that is taken; nothing has been
    /// started then.
    ///
    /// # Cancel safety
    /// Like [`execute`](Self::execute).
    pub async fn execute_plan(&self, plan: impl Into<PlanSpec>) -> Result<Uuid> {
        Ok(self.start_plan(plan.into())?.info().id)
    }

    /// Starts a plan and waits for its end.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let plan = ExecutionPlan::builder()
    ///     .step("build", ExecutionRequest::shell("echo building"))
    ///     .step("test", ExecutionRequest::shell("exit 3"))
    ///     .after("build")
    ///     .build()?;
    /// let result = engine.run_plan(plan).await?;
    /// assert_eq!(result.status, ExecutionStatus::Failed);
    /// assert_eq!(result.step("test").map(|step| step.exit_code), Some(3));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`execute_plan`](Self::execute_plan). Whatever the commands do is not an error of
    /// this call.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the plan. Keep its id to
    /// [cancel](Self::cancel_plan) it.
    pub async fn run_plan(&self, plan: impl Into<PlanSpec>) -> Result<PlanExecutionResult> {
        // Not by its id, which retention may have forgotten by the time it has ended.
        ended(&*self.start_plan(plan.into())?).await
    }

    fn start_plan(&self, mut spec: PlanSpec) -> Result<Arc<ActivePlan>> {
        self.core.check_process()?;
        let core = Arc::clone(&self.core);
        let mut backend = EngineBackend { core, starter: Starter::Worker };
        let validated = validate(&spec, &backend)?;
        if !self.has_backend() {
            prepare::absolute_plan(&mut spec);
        }
        self.core.start_threads()?;
        backend.starter = self.core.starter()?;
        let PlanSpec { plan, .. } = &spec;
        let id = plan.id;
        let started_at = Utc::now();
        let owner = JournalOwner { id, number: self.core.shared.registry.next_number() };
        let journal = Journal::new(owner, "".into(), self.core.journal_limits());
        let journal = Arc::new(journal.with_metadata(plan.metadata.shared()));
        let publisher = self.core.publisher(Arc::clone(&journal))?;

        let info = PlanInfo {
            id,
            description: plan.description.clone(),
            metadata: plan.metadata.clone(),
            total: plan.commands.len(),
            started_at,
            begun: Instant::now(),
            level: self.core.shared.containment.level(),
        };
        let time_limit = spec.options.deadline_ms.map(Duration::from_millis);
        let steps = u32::try_from(plan.commands.len()).unwrap_or(u32::MAX);
        let deadline = self.core.deadline(time_limit, steps);
        let active = Arc::new(ActivePlan::new(info, journal, deadline));
        let steps: Vec<_> = plan.commands.iter().map(|request| request.id).collect();
        let plan = Arc::clone(&active);
        let executor = PlanExecutor::new(Box::new(backend), active, publisher, spec, validated);
        self.core.shared.registry.admit_plan(&plan, &steps)?;
        executor.run();
        Ok(plan)
    }

    /// Waits for a plan to end, and returns its result.
    ///
    /// # Errors
    /// [`ExecutionError::PlanNotFound`] for an unknown id. Whatever the commands do is not an error
    /// of this call.
    ///
    /// # Cancel safety
    /// Dropping the future stops nothing; waiting can begin anew.
    pub async fn wait_for_plan(&self, id: Uuid) -> Result<PlanExecutionResult> {
        ended(&*self.plan(id)?).await
    }

    /// Returns the status of a plan: `Running` until it has ended. Never waits.
    ///
    /// # Errors
    /// [`ExecutionError::PlanNotFound`] for an unknown id.
    pub async fn get_plan_status(&self, id: Uuid) -> Result<ExecutionStatus> {
        Ok(self.plan(id)?.status())
    }

    /// Returns the result of a plan, or `None` while it runs. Never waits.
    ///
    /// # Errors
    /// [`ExecutionError::PlanNotFound`] for an unknown id.
    pub async fn get_plan_result(&self, id: Uuid) -> Result<Option<PlanExecutionResult>> {
        Ok(self.plan(id)?.result())
    }

    /// Stops a plan: nothing new is started, and what runs is cancelled. Returns at once. Steps in
    /// the queue have left it then, and are never started.
    ///
    /// Steps that run [always](crate::StepOptions::always) are not stopped and still start, bounded
    /// by their own timeouts. Calling it again stops these, too.
    ///
    /// # Errors
    /// [`ExecutionError::PlanNotFound`] for an unknown id, [`ExecutionError::AlreadyEnded`] if
    /// there is nothing left to stop: it has ended, is being stopped already, or all of its steps
    /// have just ended by themselves, but for those that the first call does not stop.
    pub async fn cancel_plan(&self, id: Uuid) -> Result<()> {
        let plan = self.plan(id)?;
        plan.cancel().map_err(|status| ExecutionError::AlreadyEnded { id, status })
    }

    /// Subscribes to a plan: the [`Progress`](crate::ExecutionEvent::Progress) of its steps and the
    /// events of its executions, from its beginning on as far as they are held, then live. The last
    /// record is [`PlanEnded`](crate::ExecutionEvent::PlanEnded).
    ///
    /// The records of one execution come in order, and after the record that says that its step has
    /// been started. A plan has the records of its steps for as long as it is remembered, also of
    /// those that retention has forgotten.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let plan = ExecutionPlan::serial(["echo one", "echo two"].map(ExecutionRequest::shell));
    /// let id = engine.execute_plan(plan).await?;
    /// let mut records = engine.subscribe_plan(id).await?;
    /// let mut lines = Vec::new();
    /// while let Some(record) = records.next().await {
    ///     match record.event {
    ///         ExecutionEvent::Progress { completed, total, .. } => println!("{completed}/{total}"),
    ///         ExecutionEvent::Stdout { line, .. } => lines.push(line),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(lines, ["one", "two"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ExecutionError::PlanNotFound`] for an unknown id.
    pub async fn subscribe_plan(&self, id: Uuid) -> Result<PlanSubscription> {
        Ok(PlanSubscription::new(self.plan(id)?, self.core.view()))
    }

    /// Returns all plans that are running or remembered, in the order in which they were accepted.
    /// Copies no output.
    pub async fn list_plans(&self) -> Vec<PlanSummary> {
        self.core.shared.registry.plans().iter().map(|plan| plan.summary()).collect()
    }

    /// Forgets one ended plan and the results of its steps.
    ///
    /// # Errors
    /// [`ExecutionError::PlanNotFound`] for an unknown id, [`ExecutionError::StillRunning`] for one
    /// that has not ended.
    pub async fn remove_plan(&self, id: Uuid) -> Result<()> {
        self.core.shared.registry.remove_plan(id).map(drop)
    }

    fn plan(&self, id: Uuid) -> Result<Arc<ActivePlan>> {
        self.core.check_process()?;
        let registry = &self.core.shared.registry;
        registry.plan(id).ok_or_else(|| registry.no_plan(id))
    }
}

/// Waits for a plan to end, and returns its result.
async fn ended(plan: &ActivePlan) -> Result<PlanExecutionResult> {
    plan.ended().await;
    plan.result().ok_or(ExecutionError::PlanNotFound(plan.info().id))
}

/// The engine as a plan uses it. It keeps the core, and not the engine alive: when the last clone
/// of the engine is dropped, the next step is refused.
struct EngineBackend {
    core: Arc<EngineCore>,
    starter: Starter,
}

impl PlanBackend for EngineBackend {
    fn check(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Result<GroupId, ValidationError> {
        match &self.core.backend {
            Some(backend) => {
                self.core.check_elsewhere(&**backend, request, options)?;
                // Groups are those of the backend.
                Ok(GroupId::NONE)
            }
            None => prepare::check(request, options, &self.core.rules()).map(|(_, group)| group),
        }
    }

    fn limits(&self) -> (usize, Vec<usize>) {
        let groups = self.core.shared.registry.permits().group_limits();
        (self.core.config.max_concurrent_executions, groups)
    }

    fn starter(&self) -> &Starter {
        &self.starter
    }

    fn start(
        &self,
        plan: &Arc<ActivePlan>,
        request: ExecutionRequest,
        options: &ExecutionOptions,
        admitted: &mut dyn FnMut(&Arc<ActiveExecution>),
    ) -> Result<Arc<ActiveExecution>> {
        let origin = Origin::Step(plan);
        if let Some(backend) = self.core.backend.clone() {
            // The step is submitted until there is an answer, so that is not waited for.
            let submitted = self.core.submit(backend, request, options.clone(), origin, admitted);
            return submitted.map(|(active, _answer)| active);
        }
        let passed = PassedDescriptors::new();
        self.core.start(&request, options, passed, origin, admitted)
    }

    fn release(&self, plan: &Arc<ActivePlan>, step: Uuid) {
        self.core.shared.registry.release(plan, step);
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.core.shared.runtime.spawn(task);
    }

    fn plan_ended(&self, plan: &Arc<ActivePlan>, publish: Box<dyn FnOnce() + '_>) {
        let shared = &self.core.shared;
        let evicted = shared.registry.end_plan(plan, Instant::now(), shared.retention, publish);
        shared.ended.notify_one();
        shared.forget(&evicted.executions);
    }
}
