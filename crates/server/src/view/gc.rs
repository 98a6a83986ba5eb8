//! Retention, now.

use serde::{Deserialize, Serialize};

/// What to keep, for this once. What is None, or left out in JSON, is as the configuration has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gc {
    /// Whether nothing is removed, and what would be is told.
    pub dry_run: bool,
    /// How many milliseconds an execution is kept after its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<u64>,
    /// How many executions that have ended are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_count: Option<u64>,
    /// How many bytes all may have on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GcReport {
    /// `true` if nothing was removed.
    pub dry_run: bool,
    /// Number of executions.
    pub executions: u64,
    /// Bytes of their output as it was stored, that is mostly compressed.
    pub bytes: u64,
    /// What was too old.
    pub by_age: GcPart,
    /// What was too many.
    pub by_count: GcPart,
    /// What took too much room; of a dry run an estimate.
    pub by_bytes: GcPart,
    /// `true` if the service died meanwhile: what it had removed before is not counted. Left out if it did not.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub incomplete: bool,
}

/// What was removed for one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcPart {
    /// Number of executions.
    pub executions: u64,
    /// Bytes of their output as it was stored.
    pub bytes: u64,
}
