//! What goes into the registry, and what comes out of it.

use std::sync::Arc;

use super::plan::ActivePlan;
use super::record::Record;

/// One execution as the registry knows it.
#[derive(Debug)]
pub(crate) enum ExecutionEntry<E> {
    Active(Arc<E>),
    Ended(Arc<Record>),
}

/// On whose behalf an execution is admitted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// A caller of the engine: the id must be new.
    Caller,
    /// An accepted plan, which has reserved the id for this step.
    Step(&'a Arc<ActivePlan>),
}

impl<'a> Origin<'a> {
    pub(crate) fn plan(self) -> Option<&'a Arc<ActivePlan>> {
        match self {
            Self::Caller => None,
            Self::Step(plan) => Some(plan),
        }
    }
}

/// What is active.
#[derive(Debug)]
pub(crate) struct ActiveEntries<E> {
    pub(crate) executions: Vec<Arc<E>>,
    pub(crate) plans: Vec<Arc<ActivePlan>>,
}

/// What retention has removed, to be dropped outside the lock: a record may own a file to remove.
#[derive(Debug)]
#[must_use = "logs of forgotten executions may have to be removed"]
pub(crate) struct Evicted {
    pub(crate) executions: Vec<Arc<Record>>,
    pub(crate) plans: Vec<Arc<ActivePlan>>,
}
