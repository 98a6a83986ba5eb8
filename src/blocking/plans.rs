//! Plans.

use std::time::Duration;

use uuid::Uuid;

use super::{ExecutionEngine, PlanEvents, Records, now, wait, wait_for};
use crate::error::Result;
use crate::types::{ExecutionStatus, PlanExecutionResult, PlanSpec, PlanSummary};

/// Plans.
impl ExecutionEngine {
    /// Starts a plan and returns its id at once, like [`crate::ExecutionEngine::execute_plan`].
    ///
    /// # Errors
    /// As there.
    pub fn execute_plan(&self, plan: impl Into<PlanSpec>) -> Result<Uuid> {
        now(self.engine().execute_plan(plan))
    }

    /// Starts a plan and waits for its end, like [`crate::ExecutionEngine::run_plan`].
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let plan = ExecutionPlan::builder()
    ///     .step("build", ExecutionRequest::shell("echo building"))
    ///     .step("test", ExecutionRequest::shell("exit 3"))
    ///     .after("build")
    ///     .build()?;
    /// let result = engine.run_plan(plan)?;
    /// assert_eq!(result.step("test").map(|step| step.exit_code), Some(3));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn run_plan(&self, plan: impl Into<PlanSpec>) -> Result<PlanExecutionResult> {
        wait(self.engine().run_plan(plan))
    }

    /// Waits for a plan to end, like [`crate::ExecutionEngine::wait_for_plan`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_for_plan(&self, id: Uuid) -> Result<PlanExecutionResult> {
        wait(self.engine().wait_for_plan(id))
    }

    /// Waits for a plan to end, for no longer than this. Returns `None` if it has not ended by then;
    /// it goes on running.
    ///
    /// # Errors
    /// Those of [`wait_for_plan`](Self::wait_for_plan).
    pub fn wait_for_plan_timeout(
        &self,
        id: Uuid,
        timeout: Duration,
    ) -> Result<Option<PlanExecutionResult>> {
        wait_for(self.engine().wait_for_plan(id), timeout)
    }

    /// Returns the status of a plan, like [`crate::ExecutionEngine::get_plan_status`].
    ///
    /// # Errors
    /// As there.
    pub fn get_plan_status(&self, id: Uuid) -> Result<ExecutionStatus> {
        now(self.engine().get_plan_status(id))
    }

    /// Returns the result of a plan, or `None` while it runs, like
    /// [`crate::ExecutionEngine::get_plan_result`].
    ///
    /// # Errors
    /// As there.
    pub fn get_plan_result(&self, id: Uuid) -> Result<Option<PlanExecutionResult>> {
        now(self.engine().get_plan_result(id))
    }

    /// Stops a plan, and returns at once, like [`crate::ExecutionEngine::cancel_plan`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel_plan(&self, id: Uuid) -> Result<()> {
        now(self.engine().cancel_plan(id))
    }

    /// Iterates over the records of a plan and its executions, like
    /// [`crate::ExecutionEngine::subscribe_plan`].
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let plan = ExecutionPlan::serial(["echo one", "echo two"].map(ExecutionRequest::shell));
    /// let id = engine.execute_plan(plan)?;
    /// for record in engine.subscribe_plan(id)? {
    ///     if let ExecutionEvent::Progress { completed, total, .. } = record.event {
    ///         println!("{completed}/{total}");
    ///     }
    /// }
    /// assert_eq!(engine.wait_for_plan(id)?.stats.completed, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_plan(&self, id: Uuid) -> Result<PlanEvents> {
        now(self.engine().subscribe_plan(id)).map(Records)
    }

    /// Returns all plans, like [`crate::ExecutionEngine::list_plans`].
    pub fn list_plans(&self) -> Vec<PlanSummary> {
        now(self.engine().list_plans())
    }

    /// Forgets one ended plan, like [`crate::ExecutionEngine::remove_plan`].
    ///
    /// # Errors
    /// As there.
    pub fn remove_plan(&self, id: Uuid) -> Result<()> {
        now(self.engine().remove_plan(id))
    }
}
