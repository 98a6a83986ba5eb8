//! Requests and plans as a window sends them.

use std::collections::HashMap;
use std::path::PathBuf;

use execution_engine::{Command, ExecutionMetadata, ExecutionRequest, ExecutionStrategy, Uuid};
use serde::Deserialize;

/// [`ExecutionRequest`] of a window: the id may be left out, and the request can name a rule of the
/// scope, or a sidecar. With one of these and no command it runs the program of that rule, with
/// `args`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LaunchRequest {
    #[serde(default)]
    pub(crate) id: Option<Uuid>,
    #[serde(default)]
    pub(crate) rule: Option<String>,
    #[serde(default)]
    pub(crate) sidecar: Option<String>,
    #[serde(default)]
    pub(crate) args: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) command: Option<Command>,
    #[serde(default)]
    pub(crate) env: HashMap<String, String>,
    #[serde(default)]
    pub(crate) working_dir: Option<PathBuf>,
    #[serde(default)]
    pub(crate) timeout_ms: Option<u64>,
    #[serde(default)]
    pub(crate) output_log_path: Option<PathBuf>,
    #[serde(default)]
    pub(crate) metadata: ExecutionMetadata,
}

impl LaunchRequest {
    /// Returns the request for the engine, with the command that was checked.
    pub(crate) fn with_command(self, command: Command) -> ExecutionRequest {
        ExecutionRequest {
            id: self.id.unwrap_or_else(Uuid::new_v4),
            command,
            env: self.env,
            working_dir: self.working_dir,
            timeout_ms: self.timeout_ms,
            output_log_path: self.output_log_path,
            metadata: self.metadata,
        }
    }
}

/// [`ExecutionPlan`](execution_engine::ExecutionPlan) of a window.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanRequest {
    #[serde(default)]
    pub(crate) id: Option<Uuid>,
    #[serde(default)]
    pub(crate) description: Option<String>,
    pub(crate) strategy: ExecutionStrategy,
    pub(crate) commands: Vec<LaunchRequest>,
    #[serde(default)]
    pub(crate) metadata: ExecutionMetadata,
}
