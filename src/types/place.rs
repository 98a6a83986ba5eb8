//! Where an execution ran that was not run by this engine itself, and what it needs of a place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::setters::setters;

/// Place where an execution ran, and what is known of it there: the receipt of a
/// [backend](crate::Backend).
///
/// In JSON: `{"worker":"w1","attempt":1,"fence":7,"exclusive":"assumed","durability":"power"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Place {
    /// Name of the worker that ran it.
    pub worker: String,
    /// Number of the attempt that this is about, the first being 1.
    pub attempt: u32,
    /// Fence of the attempt: a number that grows with each attempt of an execution, so that what an
    /// earlier one still writes can be told apart and refused.
    pub fence: u64,
    /// Whether no other attempt ran at the same time.
    pub exclusive: Exclusivity,
    /// What the backend's acceptance of the execution survives.
    pub durability: PlaceDurability,
}

/// Whether an attempt was the only one that ran.
///
/// In JSON: `"proven"` or `"assumed"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusivity {
    /// No process of an earlier attempt was alive when it began.
    Proven,
    /// Earlier attempts were told to stop, and nothing proves that they had.
    #[default]
    Assumed,
}

/// What an acceptance survives.
///
/// In JSON: `"power"`, `"process"` or `"unknown"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceDurability {
    /// A power failure of everything.
    Power,
    /// The end of any process, but not a power failure.
    Process,
    /// Not known. Never counts as more.
    #[default]
    Unknown,
}

impl Place {
    /// Creates a place that claims nothing: exclusive is assumed, durability unknown.
    pub fn new(worker: impl Into<String>, attempt: u32, fence: u64) -> Self {
        let (exclusive, durability) = (Exclusivity::default(), PlaceDurability::default());
        Self { worker: worker.into(), attempt, fence, exclusive, durability }
    }

    setters! {
        /// Sets [`exclusive`](Self::exclusive).
        exclusive(exclusive: Exclusivity) => exclusive = exclusive;

        /// Sets [`durability`](Self::durability).
        durability(durability: PlaceDurability) => durability = durability;
    }
}

/// What an execution needs of the place where it runs, for engines with a
/// [backend](crate::EngineBuilder::backend).
///
/// ```
/// use execution_engine::*;
///
/// let requires = Requires::default().pool("builds").label("arch", "arm64").cpu_milli(1500);
/// let same: Requires = serde_json::from_str(
///     r#"{"pool": "builds", "labels": {"arch": "arm64"}, "cpu_milli": 1500}"#,
/// ).unwrap();
/// assert_eq!(requires, same);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Requires {
    /// Name of a pool of workers; None leaves it to the backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Labels that the worker has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// CPU time in thousandths of a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_milli: Option<u64>,
    /// Memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Amounts of other resources by name, such as `gpu`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
}

impl Requires {
    setters! {
        /// Sets [`pool`](Self::pool).
        pool(name: impl Into<String>) => pool = Some(name.into());

        /// Sets [`cpu_milli`](Self::cpu_milli).
        cpu_milli(milli: u64) => cpu_milli = Some(milli);

        /// Sets [`memory_bytes`](Self::memory_bytes).
        memory_bytes(bytes: u64) => memory_bytes = Some(bytes);
    }

    /// Adds one of the [`labels`](Self::labels).
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Adds one of the [`resources`](Self::resources).
    #[must_use]
    pub fn resource(mut self, name: impl Into<String>, amount: u64) -> Self {
        self.resources.insert(name.into(), amount);
        self
    }
}
