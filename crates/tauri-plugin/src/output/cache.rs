//! The indexes of the executions that were read last.

use std::sync::{Arc, Mutex, PoisonError};

use execution_engine::Uuid;

use super::LineIndex;

/// Number of executions whose index is kept. Another one is made anew when it is read again.
const MAX_INDEXES: usize = 64;

/// Indexes by execution, those that were used last at the end.
#[derive(Default)]
pub(crate) struct IndexCache(Mutex<Vec<(Uuid, Arc<Mutex<LineIndex>>)>>);

impl IndexCache {
    /// Returns the index of an execution.
    pub(crate) fn of(&self, id: Uuid) -> Arc<Mutex<LineIndex>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().position(|(known, _)| *known == id);
        let index = known.map_or_else(Arc::default, |at| all.remove(at).1);
        all.push((id, Arc::clone(&index)));
        if all.len() > MAX_INDEXES {
            all.remove(0);
        }
        index
    }

    /// Forgets the index of an execution.
    pub(crate) fn forget(&self, id: Uuid) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(known, _)| *known != id);
    }
}
