//! What a worker says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::check_name;
use crate::pool::{Pool, Size, check_labels};
use crate::wire::{RecordError, WireForm, check_text, form};

/// What a worker says of itself while it lives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Its name, which is new for each process.
    pub worker: String,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it has for executions.
    pub totals: Size,
    /// Most executions at a time.
    pub slots: u32,
    /// How many executions it runs now.
    pub running: u32,
    /// Version of the engine.
    pub engine: String,
    /// Build of the engine, such as a commit.
    pub build: String,
    /// Its kernel.
    pub kernel: String,
    /// Its containment level, in the engine's words.
    pub containment: String,
    /// Its sandbox level.
    pub sandbox: String,
    /// Whether it takes no more executions and ends when it has none.
    pub draining: bool,
    /// The pools that it takes executions of.
    pub pools: Vec<String>,
    /// The tenants that it takes executions of.
    pub tenants: Vec<String>,
}

impl form::Closed for Presence {}

impl WireForm for Presence {
    fn check(&self) -> Result<(), RecordError> {
        check_name("worker", &self.worker)?;
        check_labels(&self.labels)?;
        self.totals.check()?;
        for (field, text) in [
            ("engine", &self.engine),
            ("build", &self.build),
            ("kernel", &self.kernel),
            ("containment", &self.containment),
            ("sandbox", &self.sandbox),
        ] {
            check_text(field, text)?;
        }
        self.pools.iter().try_for_each(|pool| check_name("pool", pool))?;
        self.tenants.iter().try_for_each(|tenant| check_name("tenant", tenant))?;
        Ok(())
    }
}

impl Presence {
    /// Returns `true` if the worker takes executions of this size class, as far as its labels and
    /// totals say.
    pub fn takes(&self, pool: &Pool, class: &Size) -> bool {
        pool.selects(&self.labels) && self.totals.holds(class) > 0
    }
}
