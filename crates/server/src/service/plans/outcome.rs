//! How a plan has ended, as it is stored.

use execution_engine::{PlanEnding, SkipReason};
use serde::{Deserialize, Serialize};

use crate::view::StepCounts;

/// How a plan has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) ending: PlanEnding,
    /// Steps that never ran.
    pub(super) skipped: Vec<(usize, SkipReason)>,
    /// Steps that failed and were allowed to.
    pub(super) allowed: Vec<usize>,
    /// Its steps by where they stand.
    pub(super) counts: StepCounts,
}

/// What a list shows of a plan, as it is stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Title {
    pub(super) description: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) steps: usize,
}
