//! An execution that has not ended, as everything outside its task sees it: state, requests,
//! record.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::control::{ControlInbox, ControlRefusal};
use super::remote::Remote;
use super::state::{ExecutionState, IllegalTransition, StateInput};
use super::stdin::StdinWriter;
use crate::admission::QueuePlace;
use crate::error::ExecutionError;
use crate::output::Journal;
use crate::store::{ExecutionInfo, Progress, Record};
use crate::time::Deadline;
use crate::types::{
    ControlAction, Ending, ExecutionStatus, ExecutionSummary, RetryPolicy, SkipReason,
};
use crate::waker;

/// Shared handle of an execution that has not ended.
///
/// Its ending can be decided from outside ([`decide`](Self::decide)) or by its task; the state
/// machine takes the first. The task learns of it by `wake`.
#[derive(Debug)]
pub(crate) struct ActiveExecution {
    info: ExecutionInfo,
    journal: Arc<Journal>,
    pub(crate) stdin: StdinWriter,
    state: Mutex<ExecutionState>,
    /// That of its current attempt.
    pub(super) deadline: Deadline,
    pub(super) inbox: ControlInbox,
    /// Overrides the grace of its stop sequence: the shortest that a shutdown asked for.
    grace: Mutex<Option<Duration>>,
    /// True once its engine was dropped.
    abandoned: AtomicBool,
    /// Notified when a tree that is being stopped already has to end sooner.
    accelerate: Notify,
    /// Notified when the ending was decided from outside, or a request is in the inbox.
    wake: Notify,
    /// None is an execution that was refused after all.
    record: OnceLock<Option<Arc<Record>>>,
    /// Notified once there is a record.
    ended: Notify,
    pub(super) accepted: Instant,
    /// When its time in the queue was over: it got its permit, or was stopped.
    pub(super) wait_over: OnceLock<Instant>,
    /// Never set if it got its permit at once.
    queue_place: OnceLock<QueuePlace>,
    /// None if it runs here.
    remote: Option<Box<Remote>>,
}

impl ActiveExecution {
    pub(crate) fn new(
        info: ExecutionInfo,
        journal: Arc<Journal>,
        stdin: StdinWriter,
        deadline: Deadline,
        retry: Option<Box<RetryPolicy>>,
    ) -> Self {
        Self {
            info,
            journal,
            stdin,
            state: Mutex::new(ExecutionState::new(retry)),
            deadline,
            inbox: ControlInbox::default(),
            grace: Mutex::default(),
            abandoned: AtomicBool::new(false),
            accelerate: Notify::new(),
            wake: Notify::new(),
            record: OnceLock::new(),
            ended: Notify::new(),
            accepted: Instant::now(),
            wait_over: OnceLock::new(),
            queue_place: OnceLock::new(),
            remote: None,
        }
    }

    /// Makes it one that runs elsewhere, and was accepted there at this instant.
    pub(crate) fn elsewhere(self, remote: Remote, accepted: Instant) -> Self {
        Self { remote: Some(Box::new(remote)), accepted, ..self }
    }

    /// Returns the link to where it runs; None if that is here.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        self.remote.as_deref()
    }

    /// Notes that it has no permit yet and waits at this place in the queue.
    pub(crate) fn set_queue_place(&self, place: QueuePlace) {
        let _once = self.queue_place.set(place);
    }

    /// Returns the position in the queue, the first being 1; None if it does not wait.
    pub(crate) fn queue_position(&self) -> Option<usize> {
        self.queue_place.get()?.position()
    }

    /// Returns since when it has waited for its permit; None if it does not wait.
    pub(crate) fn queued_since(&self) -> Option<Instant> {
        let is_queued = self.queue_place.get().is_some() && self.wait_over.get().is_none();
        is_queued.then_some(self.accepted)
    }

    /// Leaves the queue, if it waits there.
    fn leave_queue(&self) {
        if let Some(place) = self.queue_place.get() {
            self.wait_is_over();
            place.leave();
        }
    }

    /// Returns why it has no process now although it has not ended; None if that is not so.
    pub(crate) fn not_running_reason(&self) -> Option<&'static str> {
        if self.queued_since().is_some() {
            return Some("the execution is still queued and has no process");
        }
        self.will_retry().then_some("the execution waits for its next attempt and has no process")
    }

    /// Returns true if this attempt is over and another one is to follow.
    pub(super) fn will_retry(&self) -> bool {
        self.with_state(|state| state.is_between_attempts())
    }

    /// Makes this attempt the last one, however it ends.
    pub(super) fn forbid_retry(&self) {
        self.with_state(ExecutionState::forbid_retry);
    }

    /// Returns the number of the attempt, the first being 1.
    pub(super) fn attempt(&self) -> u32 {
        self.with_state(|state| state.attempt())
    }

    /// Returns in how many attempts the program was started, or was tried to be.
    pub(super) fn attempts_made(&self) -> u32 {
        self.with_state(|state| state.attempts_made())
    }

    /// Notes that it no longer waits in the queue. From now on its time runs.
    pub(super) fn wait_is_over(&self) {
        let _once = self.wait_over.set(Instant::now());
    }

    /// Returns from when its time runs: since it was accepted, or since its wait in the queue was
    /// over.
    pub(super) fn run_start(&self) -> Instant {
        match self.wait_over.get() {
            Some(over) => *over,
            None if self.queue_place.get().is_some() => Instant::now(),
            None => self.accepted,
        }
    }

    /// Returns how long it has run; zero if it never came to a start.
    pub(super) fn duration(&self) -> Duration {
        match self.attempts_made() {
            0 => Duration::ZERO,
            _ => self.run_start().elapsed(),
        }
    }

    /// Returns how long it has waited for its permit.
    pub(super) fn waited(&self) -> Duration {
        self.run_start().saturating_duration_since(self.accepted)
    }

    pub(crate) fn info(&self) -> &ExecutionInfo {
        &self.info
    }

    pub(crate) fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.journal)
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        self.with_state(|state| state.status())
    }

    /// Returns the ending as soon as it is decided, which is before the status shows it.
    pub(crate) fn decision(&self) -> Option<Ending> {
        self.with_state(|state| state.decided().cloned())
    }

    pub(super) fn apply(&self, input: StateInput) -> Result<(), IllegalTransition> {
        self.with_state(|state| state.apply(input))
    }

    /// Decides the ending as cancelled. Returns the ending that was decided before, if there is one.
    pub(crate) fn cancel(&self) -> Result<(), Ending> {
        self.decide(Ending::Cancelled)
    }

    /// Decides the ending as cancelled, within this grace; what is cancelled already has no longer
    /// than that from now on. Returns another ending that was decided before.
    pub(crate) fn cancel_within(&self, grace: Duration) -> Result<(), Ending> {
        self.shorten_grace(grace);
        match self.cancel() {
            Err(Ending::Cancelled) => Ok(()),
            decided => decided,
        }
    }

    /// Decides the ending beside the task, which it wakes. Returns the ending that was decided
    /// before, if there is one.
    pub(super) fn decide(&self, ending: Ending) -> Result<(), Ending> {
        self.end(StateInput::Decide(ending))
    }

    /// Stops it for a cause that is not about this execution alone: with this ending, or for this
    /// reason if its program never ran. Returns the ending that was decided before, if there is one.
    pub(crate) fn stop(&self, ending: Ending, reason: SkipReason) -> Result<(), Ending> {
        self.end(StateInput::Stop(ending, reason))
    }

    fn end(&self, input: StateInput) -> Result<(), Ending> {
        if let Some(remote) = &self.remote {
            return remote.stop(self, input);
        }
        let before = self.with_state(|state| match state.apply(input) {
            Ok(()) => None,
            Err(IllegalTransition) => state.decided().cloned(),
        });
        // Also for a caller that comes second: the place is free when its call returns, too.
        self.leave_queue();
        match before {
            Some(ending) => {
                // It may wait for what its program has left behind.
                self.accelerate.notify_one();
                Err(ending)
            }
            None => {
                self.wake.notify_one();
                Ok(())
            }
        }
    }

    /// Ends the execution because its engine shuts down, within this grace. One that is being
    /// stopped already has no longer than that from now on.
    pub(crate) fn shut_down(&self, grace: Duration) {
        self.shorten_grace(grace);
        self.engine_closed();
    }

    fn shorten_grace(&self, grace: Duration) {
        let mut shortest = self.grace.lock();
        *shortest = Some(shortest.map_or(grace, |shortest| shortest.min(grace)));
    }

    /// Ends the execution because its engine was dropped, and can wait for nothing any more.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.engine_closed();
    }

    fn engine_closed(&self) {
        if let Some(remote) = &self.remote {
            return remote.leave();
        }
        // Asked before: a failed attempt is being stopped although its ending can still be decided.
        let is_being_stopped = self.decision().is_some();
        let _late = self.stop(Ending::EngineClosed, SkipReason::EngineClosed);
        if is_being_stopped {
            self.accelerate.notify_one();
        }
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    pub(super) fn grace(&self) -> Option<Duration> {
        *self.grace.lock()
    }

    /// Waits until the tree, which is being stopped already, has to end sooner. Cancel safe.
    pub(super) async fn stop_accelerated(&self) {
        self.accelerate.notified().await;
    }

    /// Carries out an action on the process tree and returns the number of processes that it
    /// reached. Cancel safe.
    pub(crate) async fn control(&self, action: ControlAction) -> Result<u32, ControlRefusal> {
        if let Some(reason) = self.not_running_reason() {
            return Err(ControlRefusal::NotRunning(reason));
        }
        // Asked again, because the attempt may have ended while the request was in the inbox.
        match (self.ask_supervisor(action).await, self.not_running_reason(), self.decision()) {
            (Some(done), _, _) => done.map_err(ControlRefusal::System),
            (None, Some(reason), _) => Err(ControlRefusal::NotRunning(reason)),
            (None, None, Some(ending)) => Err(ControlRefusal::Ended(ending.status())),
            (None, None, None) => {
                Err(ControlRefusal::NotRunning("the attempt that ran has just ended"))
            }
        }
    }

    /// Sends a request to the supervisor and waits for its result. None if the execution has ended
    /// or is being ended.
    async fn ask_supervisor(&self, action: ControlAction) -> Option<io::Result<u32>> {
        let reply = self.inbox.put(action)?;
        self.wake.notify_one();
        // A request that came between the decision and the closing of the inbox gets no reply.
        waker::catching(reply).await.ok()
    }

    /// Lets [`woken`](Self::woken) return at once, for what came before it was called.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until the ending was decided from outside or a request is in the inbox. Cancel safe.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits until the ending was decided from outside. Requests stay in the inbox. Cancel safe.
    pub(super) async fn ending_decided(&self) {
        while self.decision().is_none() {
            self.woken().await;
        }
    }

    /// Returns the wall-clock time of an instant.
    pub(super) fn time_of(&self, instant: Instant) -> DateTime<Utc> {
        self.info.started_at(instant.saturating_duration_since(self.accepted))
    }

    /// Returns what became of it, once that is known: its record, or None if there will be none.
    pub(crate) fn ending(&self) -> Option<Option<Arc<Record>>> {
        self.record.get().cloned()
    }

    /// Returns the error for a caller that needs its record where there will be none.
    pub(crate) fn without_record(&self) -> ExecutionError {
        match &self.remote {
            Some(remote) => remote.gone(),
            None => ExecutionError::NotFound(self.info.id),
        }
    }

    /// Returns the record, once there is one.
    pub(crate) fn record(&self) -> Option<&Record> {
        self.record.get()?.as_deref()
    }

    /// Waits for the record. Whatever retention does meanwhile, a waiter gets it. None if the
    /// execution was refused after all. Cancel safe.
    pub(crate) async fn ended(&self) -> Option<Arc<Record>> {
        waker::catching(async {
            loop {
                let ended = self.ended.notified();
                if let Some(record) = self.record.get() {
                    return record.clone();
                }
                ended.await;
            }
        })
        .await
    }

    /// Stores the record, and makes the status terminal. Waiters are not woken yet.
    pub(super) fn set_record(&self, record: Arc<Record>) {
        let _once = self.record.set(Some(record));
        // Not before the record is there: a caller that sees a terminal status may ask for the
        // result.
        let _closed = self.apply(StateInput::Closed);
    }

    /// Wakes the waiters of [`ended`](Self::ended).
    pub(super) fn wake_waiters(&self) {
        self.ended.notify_waiters();
    }

    /// Tells all waiters that the execution was refused after all.
    pub(super) fn refused(&self) {
        self.inbox.close();
        let _once = self.record.set(None);
        self.wake_waiters();
        self.journal.close();
    }

    pub(crate) fn summary(&self) -> ExecutionSummary {
        // The status before the record: it is terminal only when the record is there, so a summary
        // with a terminal status always has an ending.
        let status = self.status();
        if let Some(record) = self.record() {
            return record.summary();
        }
        let progress = Progress {
            status,
            waited: self.waited(),
            duration: self.run_start().elapsed(),
            attempts: self.attempts_made(),
            ending: None,
        };
        self.info.summary(progress, self.journal.totals())
    }

    fn with_state<T>(&self, f: impl FnOnce(&mut ExecutionState) -> T) -> T {
        f(&mut self.state.lock())
    }
}
