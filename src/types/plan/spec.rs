//! A plan together with its options.

use serde::{Deserialize, Serialize};

use super::steps::PlanSpecJson;
use super::{ExecutionPlan, PlanOptions};

/// Plan with its options, for [`execute_plan`](crate::ExecutionEngine::execute_plan). It is what
/// [`PlanBuilder::build`](crate::PlanBuilder::build) returns; an [`ExecutionPlan`] becomes one with
/// default options.
///
/// ```
/// use execution_engine::*;
///
/// let spec: PlanSpec = serde_json::from_str(r#"{
///     "plan": {
///         "strategy": {"type": "serial", "stop_on_error": true},
///         "commands": [{"command": {"type": "shell", "command": "make"}}]
///     },
///     "options": {"deadline_ms": 60000}
/// }"#).unwrap();
/// assert_eq!(spec.options.deadline_ms, Some(60_000));
/// ```
///
/// In JSON it may also be one list of steps, each with the fields of its
/// [request](crate::ExecutionRequest) and of its [options](crate::StepOptions), beside the fields of
/// the plan and of its options. The `strategy` may be left out then: each step starts when those that
/// it names have ended.
///
/// ```
/// use execution_engine::*;
///
/// let spec: PlanSpec = serde_json::from_str(r#"{
///     "steps": [
///         {"name": "build", "command": "make", "timeout_ms": 600000},
///         {"name": "test", "command": ["make", "check"], "after": ["build"], "options": {"retry": 3}}
///     ],
///     "deadline_ms": 900000
/// }"#).unwrap();
/// assert_eq!(spec.plan.commands[1].command.to_string(), "make check");
/// assert_eq!(spec.options.steps[1].after, [StepRef::from("build")]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PlanSpecJson")]
pub struct PlanSpec {
    /// The commands and their order.
    pub plan: ExecutionPlan,
    /// Names, limits and whatever else [`PlanOptions`] has.
    pub options: PlanOptions,
}

impl PlanSpec {
    /// Creates a spec from a plan and its options.
    pub fn new(plan: ExecutionPlan, options: PlanOptions) -> Self {
        Self { plan, options }
    }

    /// Gives the plan and its commands new ids, so that it can run again: an id that is running or
    /// remembered is refused.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let nightly = PlanSpec::from(ExecutionPlan::serial([ExecutionRequest::shell("make")]));
    /// let first = engine.execute_plan(nightly.clone()).await?;
    /// let second = engine.execute_plan(nightly.with_new_ids()).await?;
    /// assert_ne!(first, second);
    /// # Ok(()) }
    /// ```
    #[must_use = "the method returns the changed value"]
    pub fn with_new_ids(self) -> Self {
        Self { plan: self.plan.with_new_ids(), ..self }
    }
}

impl From<ExecutionPlan> for PlanSpec {
    fn from(plan: ExecutionPlan) -> Self {
        Self::new(plan, PlanOptions::default())
    }
}
