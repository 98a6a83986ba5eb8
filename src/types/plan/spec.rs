//! A plan together with its options.

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSpec {
    /// The commands and their order.
    pub plan: ExecutionPlan,
    /// Names, limits and whatever else [`PlanOptions`] has.
    #[serde(default)]
    pub options: PlanOptions,
}

impl PlanSpec {
    /// Creates a spec from a plan and its options.
    pub fn new(plan: ExecutionPlan, options: PlanOptions) -> Self {
        Self { plan, options }
    }
}

impl From<ExecutionPlan> for PlanSpec {
    fn from(plan: ExecutionPlan) -> Self {
        Self::new(plan, PlanOptions::default())
    }
}
