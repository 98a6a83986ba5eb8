//! Data of plans: many commands as one piece of work, their options and their results.

mod condition;
mod indices;
mod options;
mod result;
mod spec;
mod steps;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ExecutionMetadata, ExecutionRequest, json_form};

pub use condition::StepCondition;
pub use options::{FailurePolicy, InputTarget, PlanOptions, StepInput, StepOptions, StepRef, Trim};
pub use result::{
    PlanEnding, PlanExecutionResult, PlanStats, PlanStep, PlanSummary, SkipReason, StepReport,
};
pub use spec::PlanSpec;

/// Set of commands that run as one piece of work, for
/// [`execute_plan`](crate::ExecutionEngine::execute_plan).
///
/// Each command is a step, identified by its index. Names, retries, a deadline and the failure
/// policy are in [`PlanOptions`]; [`PlanBuilder`](crate::PlanBuilder) makes both.
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
    /// Id of the plan, chosen by the caller and unique within the engine.
    #[serde(default = "Uuid::new_v4")]
    pub id: Uuid,
    /// Description for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Order in which the commands start.
    pub strategy: ExecutionStrategy,
    /// The commands. Each runs as an execution of its own, with its own id, events and record.
    pub commands: Vec<ExecutionRequest>,
    /// Notes of the caller.
    #[serde(default)]
    pub metadata: ExecutionMetadata,
}

/// Order in which the commands of a plan start.
///
/// In JSON: `{"type":"serial","stop_on_error":true}`, `{"type":"parallel","max_concurrency":4}`,
/// `{"type":"dependency_graph","dependencies":{"2":[0,1]}}`; `"parallel"` is short for
/// `{"type":"parallel"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ExecutionStrategyJson", into = "ExecutionStrategyJson")]
pub enum ExecutionStrategy {
    /// One after the other, in the order of the commands.
    Serial {
        /// If `true`, the commands after a failed one do not run.
        stop_on_error: bool,
    },
    /// All at the same time, up to a limit.
    Parallel {
        /// Maximum number at a time; None leaves it to the engine's limit.
        max_concurrency: Option<usize>,
    },
    /// Each when all commands it depends on have succeeded or were allowed to fail.
    DependencyGraph {
        /// Indices of the commands that a command waits for, by its own index. A command without an
        /// entry starts at once.
        dependencies: HashMap<usize, Vec<usize>>,
    },
}

json_form! {
    #[serde(deny_unknown_fields)]
    ExecutionStrategyJson for ExecutionStrategy {
        Serial { stop_on_error: bool } = Serial { stop_on_error };
        Parallel {
            #[serde(default, skip_serializing_if = "Option::is_none")]
            max_concurrency: Option<usize>
        } = Parallel { max_concurrency };
        DependencyGraph {
            #[serde(with = "indices")]
            dependencies: HashMap<usize, Vec<usize>>
        } = DependencyGraph { dependencies };
    }
}

impl ExecutionPlan {
    /// Creates a plan with a new id and no notes.
    pub fn new(strategy: ExecutionStrategy, commands: Vec<ExecutionRequest>) -> Self {
        Self {
            id: Uuid::new_v4(),
            description: None,
            strategy,
            commands,
            metadata: ExecutionMetadata::default(),
        }
    }

    /// Gives the plan and its commands new ids, so that it can run again: an id that is running or
    /// remembered is refused.
    #[must_use = "the method returns the changed value"]
    pub fn with_new_ids(mut self) -> Self {
        self.id = Uuid::new_v4();
        self.commands.iter_mut().for_each(|command| command.id = Uuid::new_v4());
        self
    }

    /// Creates a plan that runs its commands one after the other, until one fails.
    pub fn serial(commands: impl IntoIterator<Item = ExecutionRequest>) -> Self {
        let strategy = ExecutionStrategy::Serial { stop_on_error: true };
        Self::new(strategy, commands.into_iter().collect())
    }

    /// Creates a plan that runs its commands at the same time, up to the engine's limit.
    pub fn parallel(commands: impl IntoIterator<Item = ExecutionRequest>) -> Self {
        let strategy = ExecutionStrategy::Parallel { max_concurrency: None };
        Self::new(strategy, commands.into_iter().collect())
    }

    /// Creates a plan that runs each command after those it depends on. The pairs are a command's
    /// index and the indices it waits for.
    pub fn graph(
        commands: impl IntoIterator<Item = ExecutionRequest>,
        dependencies: impl IntoIterator<Item = (usize, Vec<usize>)>,
    ) -> Self {
        let dependencies = dependencies.into_iter().collect();
        let strategy = ExecutionStrategy::DependencyGraph { dependencies };
        Self::new(strategy, commands.into_iter().collect())
    }
}
