//! The journals of the registry by id, for readers of all executions.

use std::sync::Arc;

use uuid::Uuid;

use super::active::ActiveExecution;
use crate::events::JournalLookup;
use crate::output::{Journal, JournalOwner};
use crate::store::{ExecutionEntry, Registry};

impl Registry<ActiveExecution> {
    pub(crate) fn journal_of_execution(&self, id: Uuid) -> Option<Arc<Journal>> {
        Some(match self.get(id)? {
            ExecutionEntry::Active(active) => active.journal(),
            ExecutionEntry::Ended(record) => record.journal(),
        })
    }
}

impl JournalLookup for Registry<ActiveExecution> {
    fn journal(&self, id: Uuid) -> Option<Arc<Journal>> {
        let of_plan = || self.plan(id).map(|plan| Arc::clone(plan.journal()));
        self.journal_of_execution(id).or_else(of_plan)
    }

    fn is_alive(&self, owner: JournalOwner) -> bool {
        match self.get(owner.id) {
            Some(ExecutionEntry::Active(active)) => active.journal().owner() == owner,
            Some(ExecutionEntry::Ended(_)) => false,
            None => self.plan(owner.id).is_some_and(|plan| {
                plan.journal().owner() == owner && !plan.status().is_terminal()
            }),
        }
    }
}
