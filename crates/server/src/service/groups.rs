//! Groups: how many of their executions run at a time, and whether they start any.

use std::sync::Arc;

use execution_engine_store::{GroupChange as StoredChange, StoredGroup};

use super::active::Phase;
use super::inner::Inner;
use super::queue::Setting;
use super::{Service, check};
use crate::error::{ErrorCode, ServiceError};
use crate::view::{GroupChange, GroupList, GroupView};

impl Service {
    /// Returns the groups that a client has set, and those that have executions which wait or run, by their names.
    pub fn groups(&self) -> GroupList {
        GroupList { groups: self.inner().state.lock().queue.groups() }
    }

    /// Returns a group.
    ///
    /// # Errors
    /// [`UnknownGroup`](crate::ErrorCode::UnknownGroup) if no client has set it and no execution of it waits or runs.
    pub fn group(&self, name: &str) -> Result<GroupView, ServiceError> {
        self.inner().group(name)
    }

    /// Sets a group, and returns it as it is then. When this returns, that is durable and counts for all that waits;
    /// what runs goes on. While a group is paused, or as many of it run as may, nothing of it starts, and those of
    /// other groups do not wait for it.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest), [`StoreFull`](crate::ErrorCode::StoreFull),
    /// [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn set_group(
        &self,
        name: &str,
        change: GroupChange,
    ) -> Result<GroupView, ServiceError> {
        check::group("name", name)?;
        if change.max_running == Some(Some(0)) {
            let text =
                format!("max_running of the group {name:?} is 0, so nothing of it would run");
            return Err(
                ServiceError::invalid("max_running", text).fix("write 1 or more, or pause it")
            );
        }
        let (inner, name) = (Arc::clone(self.inner()), name.to_string());
        self.to_its_end(async move { inner.set_group(&name, change).await }).await
    }

    /// Removes what is set of a group: it has no limit and is not paused then. Its executions keep its name.
    ///
    /// # Errors
    /// [`UnknownGroup`](crate::ErrorCode::UnknownGroup) if no client has set it,
    /// [`StoreFull`](crate::ErrorCode::StoreFull), [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn remove_group(&self, name: &str) -> Result<(), ServiceError> {
        let (inner, name) = (Arc::clone(self.inner()), name.to_string());
        self.to_its_end(async move { inner.remove_group(&name).await }).await
    }
}

impl Inner {
    /// Reads what is set of all groups.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn recover_groups(&self) -> Result<(), ServiceError> {
        let groups = self.store.groups().await?;
        let mut state = self.state.lock();
        for group in groups {
            state.queue.set_group(&group.name, Some(setting(&group)));
        }
        Ok(())
    }

    fn group(&self, name: &str) -> Result<GroupView, ServiceError> {
        self.state.lock().queue.group(name).ok_or_else(|| {
            let text = format!(
                "there is no group {name:?}: nothing is set for it, and no execution of it waits or runs"
            );
            unknown_group(text)
        })
    }

    async fn set_group(&self, name: &str, change: GroupChange) -> Result<GroupView, ServiceError> {
        // What is stored last is what counts here.
        let _alone = self.groups.lock().await;
        let GroupChange { max_running, paused } = change;
        let stored = self.store.set_group(name, StoredChange { max_running, paused }).await?;
        self.state.lock().queue.set_group(name, Some(setting(&stored)));
        self.pump.notify_one();
        self.until_dispatched(name).await?;
        self.group(name)
    }

    async fn remove_group(&self, name: &str) -> Result<(), ServiceError> {
        let _alone = self.groups.lock().await;
        if !self.store.remove_group(name).await? {
            return Err(unknown_group(format!("nothing is set for the group {name:?}")));
        }
        self.state.lock().queue.set_group(name, None);
        self.pump.notify_one();
        Ok(())
    }

    /// Waits until it is stored of all that have a slot of a group that they run. They have got it before the group
    /// was paused, and no client is to see one start after that.
    async fn until_dispatched(&self, name: &str) -> Result<(), ServiceError> {
        let running = self.state.lock().queue.running_of(name);
        for active in running.into_iter().filter_map(|id| self.find(id)) {
            let mut live = active.subscribe();
            loop {
                let phase = live.borrow_and_update().phase.clone();
                let is_stored = !matches!(phase, Phase::Accepting | Phase::Queued);
                // One that cannot be stored goes back into the queue.
                if is_stored || !self.state.lock().queue.has_slot(active.id) {
                    break;
                }
                // It cannot fail: `active` holds the sender.
                let _ = self.unless_closing(live.changed()).await?;
            }
        }
        Ok(())
    }
}

fn setting(stored: &StoredGroup) -> Setting {
    Setting { max_running: stored.max_running, paused: stored.paused }
}

fn unknown_group(text: String) -> ServiceError {
    ServiceError::new(ErrorCode::UnknownGroup, text).fix("list the groups to find its name")
}
