use serde::{Deserialize, Serialize};

/// Settings of one execution beyond its request, for
/// [`execute_with`](crate::ExecutionEngine::execute_with).
///
/// ```
/// use execution_engine::*;
///
/// let options = ExecutionOptions::default().stop_grace(Duration::from_millis(200));
/// assert_eq!(options.stop_grace_ms, Some(200));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExecutionOptions {
    /// How many milliseconds the process tree has between the polite signal and SIGKILL when it is
    /// stopped; None takes the engine's ([`EngineBuilder::stop_grace`](crate::EngineBuilder::stop_grace)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_ms: Option<u64>,
}

impl ExecutionOptions {
    /// Sets [`stop_grace_ms`](Self::stop_grace_ms).
    #[must_use]
    pub fn stop_grace(mut self, grace: std::time::Duration) -> Self {
        self.stop_grace_ms = Some(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        self
    }
}
