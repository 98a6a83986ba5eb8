//! How the service goes on with what an earlier one has left.

use std::sync::Arc;

use execution_engine::ExecutionStatus;

use super::active::{Active, Phase};
use super::inner::Inner;
use crate::error::ServiceError;

impl Inner {
    /// Takes on all that has not ended. What runs keeps its keeper, what waits keeps its place.
    ///
    /// What keepers have is found out by asking them, and nothing is started again that one of them may
    /// have started: a keeper that lives is told again, by id, and one that has died is not.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn recover(self: &Arc<Self>) -> Result<(), ServiceError> {
        self.recover_groups().await?;
        let unfinished = self.store.unfinished().await?;
        let mut queued = Vec::new();
        {
            let mut state = self.state.lock();
            for stored in unfinished {
                let phase = match &stored.keeper {
                    Some(name) if stored.status == ExecutionStatus::Running => {
                        state.queue.take(stored.id, stored.group.as_deref());
                        Phase::Dispatched(self.keepers.named(name))
                    }
                    _ => Phase::Accepting,
                };
                let active = Active::new(stored.id, phase);
                active.set_paused(stored.paused);
                active.set_stored_paused(stored.paused);
                state.active.insert(stored.id, Arc::clone(&active));
                if stored.status == ExecutionStatus::Pending {
                    queued.push((active, stored));
                }
            }
        }
        for (active, stored) in queued {
            self.enqueue(&active, &stored).await;
        }
        for link in self.keepers.all() {
            self.watch(&link);
        }
        Ok(())
    }
}
