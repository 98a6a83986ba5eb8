//! The words of plans: many commands as one piece of work.

mod error;
mod indices;
mod options;
mod result;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ExecutionMetadata, ExecutionRequest};

pub use error::PlanError;
pub use options::{FailurePolicy, InputTarget, PlanOptions, StepInput, StepOptions, StepRef, Trim};
pub use result::{PlanEnding, PlanExecutionResult, PlanStats, PlanStep, PlanSummary, SkipReason};

/// Many commands as one piece of work, for
/// [`execute_plan`](crate::ExecutionEngine::execute_plan).
///
/// Each command is a step, known by its index. What the five fields cannot say (names, retries, a
/// deadline, what happens after a failure) stands in [`PlanOptions`]; [`PlanBuilder`](crate::PlanBuilder)
/// makes both.
///
/// ```
/// use execution_engine::*;
///
/// let plan: ExecutionPlan = serde_json::from_str(r#"{
///     "strategy": {"type": "dependency_graph", "dependencies": {"2": [0, 1]}},
///     "commands": [
///         {"command": {"type": "shell", "command": "echo left"}},
///         {"command": {"type": "shell", "command": "echo right"}},
///         {"command": {"type": "shell", "command": "echo both are done"}}
///     ]
/// }"#).unwrap();
/// assert_eq!(plan.commands.len(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionPlan {
    /// The id of the plan, yours to choose and unique within the engine.
    #[serde(default = "Uuid::new_v4")]
    pub id: Uuid,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which command may start when.
    pub strategy: ExecutionStrategy,
    /// The commands. Each runs as an execution of its own, with its own id, events and record.
    pub commands: Vec<ExecutionRequest>,
    /// What you want to remember about it.
    #[serde(default)]
    pub metadata: ExecutionMetadata,
}

/// Which command of a plan may start when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ExecutionStrategy {
    /// One after the other, in the order of the commands.
    Serial {
        /// Whether those after a failure do not run.
        stop_on_error: bool,
    },
    /// All at the same time, as far as there is room.
    Parallel {
        /// How many of them at most; None leaves it to the engine's limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_concurrency: Option<usize>,
    },
    /// Each when those that it depends on have ended well.
    DependencyGraph {
        /// For the index of a command, the indices of those that it waits for. One that is not
        /// named here waits for nobody.
        #[serde(with = "indices")]
        dependencies: HashMap<usize, Vec<usize>>,
    },
}

impl ExecutionPlan {
    /// A plan with a new id and nothing but its commands.
    pub fn new(strategy: ExecutionStrategy, commands: Vec<ExecutionRequest>) -> Self {
        Self {
            id: Uuid::new_v4(),
            description: None,
            strategy,
            commands,
            metadata: ExecutionMetadata::default(),
        }
    }

    /// One after the other, until one fails.
    pub fn serial(commands: impl IntoIterator<Item = ExecutionRequest>) -> Self {
        let strategy = ExecutionStrategy::Serial { stop_on_error: true };
        Self::new(strategy, commands.into_iter().collect())
    }

    /// All at the same time, as far as the engine has room.
    pub fn parallel(commands: impl IntoIterator<Item = ExecutionRequest>) -> Self {
        let strategy = ExecutionStrategy::Parallel { max_concurrency: None };
        Self::new(strategy, commands.into_iter().collect())
    }

    /// Each after those that it depends on, given as pairs of a command's index and what it waits
    /// for.
    pub fn graph(
        commands: impl IntoIterator<Item = ExecutionRequest>,
        dependencies: impl IntoIterator<Item = (usize, Vec<usize>)>,
    ) -> Self {
        let dependencies = dependencies.into_iter().collect();
        let strategy = ExecutionStrategy::DependencyGraph { dependencies };
        Self::new(strategy, commands.into_iter().collect())
    }
}
