//! Methods about plans, and the engine as a plan uses it.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::ExecutionEngine;
use super::core::{EngineCore, no_threads};
use crate::admission::GroupId;
use crate::error::{ExecutionError, Result, ValidationError};
use crate::events::Subscription;
use crate::execution::ActiveExecution;
use crate::output::{Journal, JournalOwner};
use crate::plan::{PlanBackend, PlanExecutor, PlanSubscription, validate};
use crate::prepare;
use crate::store::{ActivePlan, Origin, PlanInfo};
use crate::types::{
    ExecutionOptions, ExecutionPlan, ExecutionRequest, ExecutionStatus, PlanExecutionResult,
    PlanOptions, PlanSpec, PlanSummary,
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
        self.start_plan(plan.into())
    }

    /// Like [`execute_plan`](Self::execute_plan), but with names, a failure policy, a deadline and
    /// whatever else [`PlanOptions`] has.
    ///
    /// # Errors
    /// Those of [`execute_plan`](Self::execute_plan).
    pub async fn execute_plan_with(
        &self,
        plan: ExecutionPlan,
        options: PlanOptions,
    ) -> Result<Uuid> {
        self.start_plan(PlanSpec::new(plan, options))
    }

    fn start_plan(&self, mut spec: PlanSpec) -> Result<Uuid> {
        let backend = EngineBackend(Arc::clone(&self.core));
        let validated = validate(&spec, &backend)?;
        prepare::absolute_plan(&mut spec);
        let PlanSpec { plan, .. } = &spec;
        let id = plan.id;
        let started_at = Utc::now();
        let owner = JournalOwner { id, accepted_at: started_at };
        let journal = Arc::new(Journal::new(owner, "".into(), self.core.journal_limits()));
        let publisher = self.core.publisher(Arc::clone(&journal))?;
        self.core.shared.runtime.start().map_err(no_threads)?;

        let info = PlanInfo {
            id,
            description: plan.description.clone(),
            metadata: plan.metadata.clone(),
            total: plan.commands.len(),
            started_at,
            begun: Instant::now(),
            level: self.core.shared.containment.level(),
        };
        let active = Arc::new(ActivePlan::new(info, journal));
        let steps: Vec<_> = plan.commands.iter().map(|request| request.id).collect();
        self.core.shared.registry.admit_plan(&active, &steps)?;
        PlanExecutor::new(Box::new(backend), active, publisher, spec, validated).run();
        Ok(id)
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
        let plan = self.plan(id)?;
        plan.ended().await;
        plan.result().ok_or(ExecutionError::PlanNotFound(id))
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

    /// Stops a plan: nothing new is started, and what runs is cancelled. Returns at once.
    ///
    /// # Errors
    /// [`ExecutionError::PlanNotFound`] for an unknown id, [`ExecutionError::AlreadyEnded`] if it
    /// has ended.
    pub async fn cancel_plan(&self, id: Uuid) -> Result<()> {
        let plan = self.plan(id)?;
        plan.cancel().map_err(|status| ExecutionError::AlreadyEnded { id, status })
    }

    /// Subscribes to a plan: the [`Progress`](crate::ExecutionEvent::Progress) of its steps and the
    /// events of its executions, from its beginning on as far as they are held, then live. The last
    /// record is [`PlanEnded`](crate::ExecutionEvent::PlanEnded).
    ///
    /// The records of one execution come in order, and after the record that says that its step has
    /// been started.
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
        let view = self.core.view();
        let own = Subscription::to(Arc::clone(self.plan(id)?.journal()), view, 0);
        Ok(PlanSubscription::new(own, self.core.journals(), view))
    }

    /// Returns all plans that are running or remembered, oldest first. Copies no output.
    pub async fn list_plans(&self) -> Vec<PlanSummary> {
        let plans = self.core.shared.registry.plans();
        let mut all: Vec<_> = plans.iter().map(|plan| plan.summary()).collect();
        all.sort_by_key(|summary| summary.started_at);
        all
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
        self.core.shared.registry.plan(id).ok_or(ExecutionError::PlanNotFound(id))
    }
}

/// The engine as a plan uses it. It keeps the core, and not the engine alive: when the last clone
/// of the engine is dropped, the next step is refused.
struct EngineBackend(Arc<EngineCore>);

impl PlanBackend for EngineBackend {
    fn check(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Result<GroupId, ValidationError> {
        prepare::check(request, options, &self.0.rules()).map(|(_, group)| group)
    }

    fn limits(&self) -> (usize, Vec<usize>) {
        let groups = self.0.shared.registry.permits().group_limits();
        (self.0.config.max_concurrent_executions, groups)
    }

    fn start(
        &self,
        plan: &Arc<ActivePlan>,
        request: ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Result<Arc<ActiveExecution>> {
        // Starting a program blocks this worker for as long as `vfork` does. The executions on it
        // go to another thread for that time.
        tokio::task::block_in_place(|| self.0.start(&request, options, Origin::Step(plan)))
    }

    fn release(&self, plan: &Arc<ActivePlan>, step: Uuid) {
        self.0.shared.registry.release(plan, step);
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.shared.runtime.spawn(task);
    }

    fn plan_ended(&self, plan: &Arc<ActivePlan>) {
        let shared = &self.0.shared;
        let evicted = shared.registry.end_plan(plan, Instant::now(), shared.retention);
        shared.ended.notify_one();
        shared.forget(&evicted.executions);
    }
}
