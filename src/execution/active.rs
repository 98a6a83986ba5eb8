//! What everybody shares of an execution that has not ended.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use uuid::Uuid;

use super::control::{ControlAction, ControlInbox};
use super::state::{ExecutionState, IllegalTransition, StateInput};
use super::stdin::StdinWriter;
use crate::admission::QueueSlot;
use crate::events::JournalLookup;
use crate::output::{Journal, JournalOwner};
use crate::store::{ExecutionEntry, ExecutionInfo, Record, Registry};
use crate::types::{Ending, ExecutionStatus, ExecutionSummary, RetryPolicy};

/// A live execution: its state, and the two bells, one for its supervisor and one for its waiters.
#[derive(Debug)]
pub(crate) struct ActiveExecution {
    profile: ExecutionInfo,
    journal: Arc<Journal>,
    stdin: StdinWriter,
    state: Mutex<ExecutionState>,
    inbox: ControlInbox,
    /// Overrides the grace of its ladder: the shortest that was asked for.
    grace: Mutex<Option<Duration>>,
    /// Whether its engine was dropped.
    abandoned: AtomicBool,
    /// Rung when a tree that is being stopped already has to go sooner.
    haste: Notify,
    /// Rung when somebody else has decided the ending or left something in the inbox.
    bell: Notify,
    /// None is an execution that was refused after all.
    record: OnceLock<Option<Arc<Record>>>,
    /// Rung when the record is there.
    ended: Notify,
    accepted: Instant,
    /// When it got its permit.
    begun: OnceLock<Instant>,
    /// Where it waits for its permit; never set if it got one at once.
    place: OnceLock<QueueSlot>,
}

impl ActiveExecution {
    pub(crate) fn new(
        profile: ExecutionInfo,
        journal: Arc<Journal>,
        stdin: StdinWriter,
        retry: Option<Box<RetryPolicy>>,
    ) -> Self {
        Self {
            profile,
            journal,
            stdin,
            state: Mutex::new(ExecutionState::new(retry)),
            inbox: ControlInbox::default(),
            grace: Mutex::default(),
            abandoned: AtomicBool::new(false),
            haste: Notify::new(),
            bell: Notify::new(),
            record: OnceLock::new(),
            ended: Notify::new(),
            accepted: Instant::now(),
            begun: OnceLock::new(),
            place: OnceLock::new(),
        }
    }

    /// It has no permit yet and waits at this place.
    pub(crate) fn waits(&self, place: QueueSlot) {
        let _once = self.place.set(place);
    }

    pub(crate) fn place(&self) -> Option<QueueSlot> {
        self.place.get().copied()
    }

    /// Since when it has waited for its permit; None if it does not.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        let waits = self.place.get().is_some() && self.begun.get().is_none();
        waits.then_some(self.accepted)
    }

    /// Why it has no process now although it has not ended; None if that is not so.
    pub(crate) fn lull(&self) -> Option<&'static str> {
        if self.waits_since().is_some() {
            return Some("it waits in the queue, so there is no process yet");
        }
        let is_between_attempts = self.with_state(|state| state.is_between_attempts());
        is_between_attempts.then_some("it waits for its next attempt, so there is no process now")
    }

    /// Whether another attempt is to follow the one that is over.
    pub(super) fn tries_again(&self) -> bool {
        self.with_state(|state| state.is_between_attempts())
    }

    /// No other attempt follows, however this one ends.
    pub(super) fn try_no_more(&self) {
        self.with_state(ExecutionState::try_no_more);
    }

    /// The number of the attempt, the first being 1.
    pub(super) fn attempt(&self) -> u32 {
        self.with_state(|state| state.attempt())
    }

    /// It has its permit; from now on its time runs.
    pub(super) fn begin(&self) {
        let _once = self.begun.set(Instant::now());
    }

    /// From when on its time runs: since it was accepted, but for one that had to wait.
    pub(super) fn begun(&self) -> Instant {
        match self.begun.get() {
            Some(begun) => *begun,
            None if self.place.get().is_some() => Instant::now(),
            None => self.accepted,
        }
    }

    /// For its permit.
    pub(super) fn waited(&self) -> Duration {
        self.begun().saturating_duration_since(self.accepted)
    }

    pub(crate) fn profile(&self) -> &ExecutionInfo {
        &self.profile
    }

    pub(crate) fn stdin(&self) -> &StdinWriter {
        &self.stdin
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        self.with_state(|state| state.status())
    }

    pub(crate) fn decision(&self) -> Option<Ending> {
        self.with_state(|state| state.decided().cloned())
    }

    pub(super) fn apply(&self, input: StateInput) -> Result<(), IllegalTransition> {
        self.with_state(|state| state.apply(input))
    }

    /// Decides the ending from outside the supervisor, unless it is decided already: then that
    /// ending comes back.
    pub(crate) fn decide(&self, ending: Ending) -> Result<(), Ending> {
        let decided =
            self.with_state(|state| match state.apply(StateInput::Decide(ending.clone())) {
                Ok(()) => Ok(()),
                Err(IllegalTransition) => Err(state.decided().cloned().unwrap_or(ending)),
            });
        if decided.is_ok() {
            self.bell.notify_one();
        }
        decided
    }

    /// Decides that it ends because its engine does, within this grace. One that is being stopped
    /// already has no longer than that from now on.
    pub(crate) fn close(&self, grace: Duration) {
        let mut shortest = self.grace.lock().unwrap_or_else(PoisonError::into_inner);
        *shortest = Some(shortest.map_or(grace, |shortest| shortest.min(grace)));
        drop(shortest);
        self.engine_closed();
    }

    /// The same for an engine that was dropped, and can wait for nothing any more.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.engine_closed();
    }

    fn engine_closed(&self) {
        let is_being_stopped = self.decision().is_some();
        if self.decide(Ending::EngineClosed).is_err() || is_being_stopped {
            self.haste.notify_one();
        }
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    pub(super) fn grace(&self) -> Option<Duration> {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the tree, which is being stopped already, has to go sooner. Cancel safe.
    pub(super) async fn hastened(&self) {
        self.haste.notified().await;
    }

    /// Asks the supervisor for something, and waits until it is done: how many processes it
    /// reached. None if the execution has ended or is being ended. Cancel safe.
    pub(crate) async fn control(&self, action: ControlAction) -> Option<io::Result<u32>> {
        let answer = self.inbox.put(action)?;
        self.bell.notify_one();
        answer.await.ok()
    }

    /// Waits until somebody else has decided the ending or left something in the inbox. Cancel
    /// safe.
    pub(super) async fn called(&self) {
        self.bell.notified().await;
    }

    /// Waits until somebody else has decided the ending. What is in the inbox stays there. Cancel
    /// safe.
    pub(super) async fn stopped(&self) {
        while self.decision().is_none() {
            self.called().await;
        }
    }

    /// Another attempt begins, and takes controls again.
    pub(super) fn reopen(&self) {
        self.inbox.open();
    }

    /// What the clock on the wall showed at this moment.
    pub(super) fn time_of(&self, moment: Instant) -> DateTime<Utc> {
        self.profile.started_at(moment.saturating_duration_since(self.accepted))
    }

    pub(super) fn inbox(&self) -> &ControlInbox {
        &self.inbox
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
        self.inbox.close();
        if record.is_none() {
            self.journal.close();
        }
        if self.record.set(record).is_ok() {
            self.ended.notify_waiters();
        }
    }

    pub(crate) fn summary(&self) -> ExecutionSummary {
        // It may have ended since it was looked up.
        if let Some(Some(record)) = self.record.get() {
            return record.summary();
        }
        self.profile.summary(self.status(), [self.waited(), self.begun().elapsed()], None)
    }

    fn with_state<T>(&self, f: impl FnOnce(&mut ExecutionState) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Registry<ActiveExecution> {
    pub(crate) fn journal_of_execution(&self, id: Uuid) -> Option<Arc<Journal>> {
        Some(match self.get(id)? {
            ExecutionEntry::Active(active) => Arc::clone(&active.journal),
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
            Some(ExecutionEntry::Active(active)) => active.journal.owner() == owner,
            Some(ExecutionEntry::Ended(_)) => false,
            None => self.plan(owner.id).is_some_and(|plan| {
                plan.journal().owner() == owner && !plan.status().is_terminal()
            }),
        }
    }
}
