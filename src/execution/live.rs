//! What everybody shares of an execution that has not ended.

use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::state::{Illegal, Input, State};
use crate::model::{Ending, ExecutionStatus, ExecutionSummary};
use crate::record::{Profile, Record};

/// A live execution: its state, and the two bells, one for its supervisor and one for its waiters.
#[derive(Debug)]
pub(crate) struct Live {
    profile: Arc<Profile>,
    state: Mutex<State>,
    /// Rung when somebody else has decided the ending.
    decided: Notify,
    /// None is an execution that was refused after all.
    record: OnceLock<Option<Arc<Record>>>,
    /// Rung when the record is there.
    ended: Notify,
    pub(super) begun: Instant,
}

impl Live {
    pub(crate) fn new(profile: Arc<Profile>) -> Self {
        Self {
            profile,
            state: Mutex::new(State::new()),
            decided: Notify::new(),
            record: OnceLock::new(),
            ended: Notify::new(),
            begun: Instant::now(),
        }
    }

    pub(crate) fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        self.with_state(|state| state.status())
    }

    pub(super) fn decision(&self) -> Option<Ending> {
        self.with_state(|state| state.decided().cloned())
    }

    pub(super) fn apply(&self, input: Input) -> Result<(), Illegal> {
        self.with_state(|state| state.apply(input))
    }

    /// Decides the ending from outside the supervisor, unless it is decided already: then that
    /// ending comes back.
    pub(crate) fn decide(&self, ending: Ending) -> Result<(), Ending> {
        let decided = self.with_state(|state| match state.apply(Input::Decide(ending.clone())) {
            Ok(()) => Ok(()),
            Err(Illegal) => Err(state.decided().cloned().unwrap_or(ending)),
        });
        if decided.is_ok() {
            self.decided.notify_one();
        }
        decided
    }

    /// Waits until somebody else has decided the ending. Cancel safe.
    pub(super) async fn decided_elsewhere(&self) {
        self.decided.notified().await;
    }

    /// Waits for the record. Whatever retention does meanwhile, a waiter gets it. None if the
    /// execution was refused after all. Cancel safe.
    pub(crate) async fn ended(&self) -> Option<Arc<Record>> {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if let Some(record) = self.record.get() {
                return record.clone();
            }
            ended.await;
        }
    }

    /// Wakes all waiters with the record, or with the news that there will be none.
    pub(crate) fn end(&self, record: Option<Arc<Record>>) {
        if self.record.set(record).is_ok() {
            self.ended.notify_waiters();
        }
    }

    pub(crate) fn summary(&self) -> ExecutionSummary {
        self.profile.summary(self.status(), self.begun.elapsed(), None)
    }

    fn with_state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
