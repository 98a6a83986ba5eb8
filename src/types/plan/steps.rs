//! JSON form of a plan in one list of steps, each with its command and its options, as people write
//! it.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Deserialize;
use uuid::Uuid;

use super::{
    ExecutionPlan, ExecutionStrategy, FailurePolicy, PlanOptions, PlanSpec, StepCondition,
    StepInput, StepOptions, StepRef,
};
use crate::types::{Command, ExecutionMetadata, ExecutionOptions, ExecutionRequest};

/// Form of a [`PlanSpec`]: a plan and its options, or all fields of both beside one list of steps.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with a `plan`, or with `steps`")]
pub(super) struct PlanSpecJson {
    plan: Option<ExecutionPlan>,
    options: Option<PlanOptions>,
    steps: Option<Vec<StepJson>>,
    id: Option<Uuid>,
    description: Option<String>,
    strategy: Option<ExecutionStrategy>,
    metadata: Option<ExecutionMetadata>,
    failure_policy: Option<FailurePolicy>,
    max_concurrency: Option<usize>,
    deadline_ms: Option<u64>,
    env: Option<HashMap<String, String>>,
    working_dir: Option<PathBuf>,
    defaults: Option<ExecutionOptions>,
}

/// A step: the fields of an [`ExecutionRequest`] and those of its [`StepOptions`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with a `command`")]
struct StepJson {
    #[serde(default = "Uuid::new_v4")]
    id: Uuid,
    command: Command,
    #[serde(default)]
    env: HashMap<String, String>,
    working_dir: Option<PathBuf>,
    timeout_ms: Option<u64>,
    output_log_path: Option<PathBuf>,
    #[serde(default)]
    metadata: ExecutionMetadata,
    name: Option<String>,
    #[serde(default)]
    after: Vec<StepRef>,
    #[serde(default)]
    inputs: Vec<StepInput>,
    options: Option<ExecutionOptions>,
    #[serde(default)]
    allow_failure: bool,
    #[serde(default)]
    always: bool,
    #[serde(default)]
    only_if: Vec<StepCondition>,
}

impl StepJson {
    fn split(self) -> (ExecutionRequest, StepOptions) {
        let Self { id, command, env, working_dir, timeout_ms, output_log_path, metadata, .. } =
            self;
        let Self { name, after, inputs, options, allow_failure, always, only_if, .. } = self;
        (
            ExecutionRequest {
                id,
                command,
                env,
                working_dir,
                timeout_ms,
                output_log_path,
                metadata,
            },
            StepOptions { name, after, inputs, options, allow_failure, always, only_if },
        )
    }
}

impl TryFrom<PlanSpecJson> for PlanSpec {
    type Error = &'static str;

    fn try_from(json: PlanSpecJson) -> Result<Self, Self::Error> {
        match json {
            PlanSpecJson {
                plan: Some(plan),
                options,
                steps: None,
                id: None,
                description: None,
                strategy: None,
                metadata: None,
                failure_policy: None,
                max_concurrency: None,
                deadline_ms: None,
                env: None,
                working_dir: None,
                defaults: None,
            } => Ok(Self { plan, options: options.unwrap_or_default() }),
            PlanSpecJson { plan: None, options: None, steps: Some(steps), .. } => {
                let (commands, steps) = steps.into_iter().map(StepJson::split).unzip();
                let no_order = HashMap::new();
                let strategy = json.strategy;
                let plan = ExecutionPlan {
                    id: json.id.unwrap_or_else(Uuid::new_v4),
                    description: json.description,
                    strategy: strategy
                        .unwrap_or(ExecutionStrategy::DependencyGraph { dependencies: no_order }),
                    commands,
                    metadata: json.metadata.unwrap_or_default(),
                };
                let options = PlanOptions {
                    steps,
                    failure_policy: json.failure_policy,
                    max_concurrency: json.max_concurrency,
                    deadline_ms: json.deadline_ms,
                    env: json.env.unwrap_or_default(),
                    working_dir: json.working_dir,
                    defaults: json.defaults.unwrap_or_default(),
                };
                Ok(Self { plan, options })
            }
            _ => Err("expected either a `plan` and its `options`, or `steps` and what they share"),
        }
    }
}
