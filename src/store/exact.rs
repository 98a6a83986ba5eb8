//! How public types are written into a record: whole, and in few bytes. Their own way is for people, with
//! names in it and times in milliseconds.

use std::time::Duration;

use execution_engine_process::{Level, Signal};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::{OutputStream, ResourceLimit, ResourceUsage, SkipReason, Survivor, TreeUsage};

#[derive(Serialize, Deserialize)]
#[serde(remote = "crate::types::Ending")]
pub(super) enum Ending {
    Exited {
        code: i32,
    },
    Signaled {
        signal: i32,
        core_dumped: bool,
    },
    TimedOut {
        timeout_ms: u64,
    },
    Cancelled,
    OutputLimit {
        stream: OutputStream,
        limit: usize,
    },
    OutputLost {
        stream: OutputStream,
        reason: String,
    },
    SpawnFailed {
        reason: String,
        os_error: Option<i32>,
    },
    ResourceLimit {
        limit: ResourceLimit,
    },
    PlanDeadline {
        deadline_ms: u64,
    },
    StatusUnknown,
    EngineClosed,
    EngineFailed {
        reason: String,
    },
    /// Of a step of a plan, which has no record.
    #[serde(skip)]
    NotRun {
        reason: SkipReason,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "crate::types::ContainmentReceipt")]
pub(super) struct ContainmentReceipt {
    level: Level,
    proven: bool,
    stopped: u32,
    signal: Option<Signal>,
    took: Duration,
    survivors: Vec<Survivor>,
    left_running: Vec<Survivor>,
}

/// What an execution used, if that is known.
pub(super) mod usage {
    use super::{Deserialize, Deserializer, ResourceUsage, Serialize, Serializer, Usage};

    pub(in crate::store) fn serialize<S: Serializer>(
        usage: &Option<ResourceUsage>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        usage.map(Usage::from).serialize(to)
    }

    pub(in crate::store) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<ResourceUsage>, D::Error> {
        let usage = Option::<Usage>::deserialize(from)?;
        Ok(usage.map(ResourceUsage::from))
    }
}

#[derive(Serialize, Deserialize)]
struct Usage {
    user: Duration,
    system: Duration,
    peak_memory_bytes: Option<u64>,
    voluntary_switches: u64,
    involuntary_switches: u64,
    tree: Option<(Duration, Duration, Option<u64>)>,
}

impl From<ResourceUsage> for Usage {
    fn from(usage: ResourceUsage) -> Self {
        let ResourceUsage {
            user,
            system,
            peak_memory_bytes,
            voluntary_switches,
            involuntary_switches,
            tree,
        } = usage;
        let tree = tree
            .map(|TreeUsage { user, system, peak_memory_bytes }| (user, system, peak_memory_bytes));
        Self { user, system, peak_memory_bytes, voluntary_switches, involuntary_switches, tree }
    }
}

impl From<Usage> for ResourceUsage {
    fn from(usage: Usage) -> Self {
        let Usage {
            user,
            system,
            peak_memory_bytes,
            voluntary_switches,
            involuntary_switches,
            tree,
        } = usage;
        let tree = tree.map(|(user, system, peak_memory_bytes)| TreeUsage {
            user,
            system,
            peak_memory_bytes,
        });
        Self { user, system, peak_memory_bytes, voluntary_switches, involuntary_switches, tree }
    }
}
