//! The engine as a plan needs it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::admission::GroupId;
use crate::error::{Result, ValidationError};
use crate::execution::ActiveExecution;
use crate::runtime::Starter;
use crate::store::ActivePlan;
use crate::types::{ExecutionOptions, ExecutionRequest};

/// Engine as plans use it. A trait, so that a test can replace it with an engine that fails.
pub(crate) trait PlanBackend: Send + Sync + 'static {
    /// Checks a step as far as is possible before it starts. Returns its group.
    fn check(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Result<GroupId, ValidationError>;

    /// Returns how many executions may be active at a time: in all, and of each group.
    fn limits(&self) -> (usize, Vec<usize>);

    /// Returns where the steps are started.
    fn starter(&self) -> &Starter;

    /// Starts a step as an execution, or queues it, for however long that takes. Before that,
    /// `admitted` learns of it.
    fn start(
        &self,
        plan: &Arc<ActivePlan>,
        request: ExecutionRequest,
        options: &ExecutionOptions,
        admitted: &mut dyn FnMut(&Arc<ActiveExecution>),
    ) -> Result<Arc<ActiveExecution>>;

    /// Runs a task of a plan.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Gives back the id that was reserved for a step that will never start.
    fn release(&self, plan: &Arc<ActivePlan>, step: Uuid);

    /// Moves the plan to the ended ones; `publish` is a part of that for every observer.
    fn plan_ended(&self, plan: &Arc<ActivePlan>, publish: Box<dyn FnOnce() + '_>);
}
