//! Delivery of one execution's events and lines to one handler.
//!
//! The journal of the execution is the queue: the handler's position in it is pinned, so that the
//! journal holds what has not been delivered. The supervisor waits for
//! [room](HandlerQueue::wait_for_room) before it reads more, which slows the child down rather than
//! lose a line.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use execution_engine_process::CoarseInstant;
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::handler_pool::{HandlerPool, RegisteredHandler};
use super::handler_state::HandlerState;
use super::records::{HandlerRecords, RecordSource};
use crate::output::{Journal, JournalCursor, JournalItem, JournalOwner, View};
use crate::runtime::block_on;
use crate::time;
use crate::types::{EventRecord, ExecutionEvent};
use crate::waker::discard;

/// Undelivered bytes of output at which the child is held back. More than a pipe holds, so that a
/// handler does not wait for the child either.
const MAX_PENDING_BYTES: u64 = 256 * 1024;
/// Undelivered bytes at which reading resumes. Well below the maximum, so that handler and
/// supervisor do not wake each other for every piece.
const RESUME_AT_BYTES: u64 = MAX_PENDING_BYTES / 2;
/// Events that are set aside for a handler that is cut off. There are more only with very many
/// attempts, and then some in the middle are left out.
const MAX_PASSED_EVENTS: usize = 200;
/// How long a queue keeps its thread while other queues wait for one. It is given up only between
/// two pieces of output, which may have many lines.
const MIN_TURN: Duration = Duration::from_millis(100);

/// Queue of one execution for one handler.
pub(super) struct HandlerQueue {
    handler: Arc<RegisteredHandler>,
    pool: Arc<HandlerPool>,
    journal: Arc<Journal>,
    /// The pinned position in the journal; None for a handler that gets no output.
    pin: Option<usize>,
    delivery: Mutex<Delivery>,
    /// When a call last returned, or the queue began to wait or run. Outside the lock, because it
    /// is set for every line.
    last_call: CoarseInstant,
    /// Notified whenever a call has returned and little is left, and when the handler is cut off.
    room: Notify,
}

struct Delivery {
    state: HandlerState,
    cursor: JournalCursor,
    /// Events that the cursor passed while lines were counted as missed.
    passed_events: VecDeque<JournalItem>,
    missed: u64,
}

impl HandlerQueue {
    pub(super) fn new(
        journal: Arc<Journal>,
        view: View,
        handler: Arc<RegisteredHandler>,
        pool: Arc<HandlerPool>,
    ) -> Arc<Self> {
        let pin = (view == View::Lines).then(|| journal.pin());
        let delivery = Delivery {
            state: HandlerState::default(),
            cursor: journal.reader(view, 0).pinned(pin),
            passed_events: VecDeque::new(),
            missed: 0,
        };
        Arc::new(Self {
            handler,
            pool,
            journal,
            pin,
            delivery: Mutex::new(delivery),
            last_call: CoarseInstant::now(),
            room: Notify::new(),
        })
    }

    /// Delivers what is new in the journal, on a pool thread. For a handler that is cut off, counts
    /// the new lines as missed.
    pub(super) fn wake(self: &Arc<Self>) {
        // Nothing ends a call that blocks its thread, so what comes later tells that it is stuck,
        // however much room there is.
        self.cut_off_if_stuck();
        {
            let mut delivery = self.delivery.lock();
            if delivery.state.is_cut_off() {
                delivery.pass_over(&self.journal);
            }
            if !delivery.state.wake() {
                return;
            }
            self.last_call.note();
        }
        // Without our lock: this locks the handler's other queues.
        if self.handler.admit(self) {
            return self.request_thread();
        }
        self.cut_off_if(|_| true);
        let mut delivery = self.delivery.lock();
        delivery.state.finish();
        delivery.passed_events.clear();
    }

    fn request_thread(self: &Arc<Self>) {
        let queue = Arc::clone(self);
        self.pool.run(move || {
            {
                let mut delivery = queue.delivery.lock();
                queue.last_call.note();
                delivery.state.start();
            }
            queue.deliver();
        });
    }

    /// Returns `true` if the handler can take more.
    pub(super) fn has_room(&self) -> bool {
        self.pin.is_none_or(|pin| self.journal.behind(pin) < MAX_PENDING_BYTES)
    }

    /// Waits until the handler can take much more, or has been cut off, which happens after the
    /// stall limit at the latest.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn wait_for_room(self: &Arc<Self>) {
        let Some(pin) = self.pin else { return };
        loop {
            let changed = self.room.notified();
            if self.journal.behind(pin) < RESUME_AT_BYTES || self.is_cut_off() {
                return;
            }
            // What waits may be one long unfinished line, for which no thread was woken.
            self.wake();
            let state = self.delivery.lock().state;
            let left = self.pool.stall_limit.saturating_sub(self.stalled_for(state));
            tokio::select! {
                () = changed => {}
                () = time::sleep_until(Instant::now().checked_add(left)) => {
                    self.cut_off_if(|state| self.stalled_for(state) >= self.pool.stall_limit);
                }
            }
        }
    }

    /// Returns how many lines the handler has missed so far.
    pub(super) fn missed(&self) -> u64 {
        self.cut_off_if_stuck();
        self.delivery.lock().missed
    }

    pub(super) fn owner(&self) -> JournalOwner {
        self.journal.owner()
    }

    fn execution_id(&self) -> Uuid {
        self.journal.id()
    }

    /// Returns `true` if a call has not returned for the stall limit. The handler is cut off then.
    pub(super) fn cut_off_if_stuck(&self) -> bool {
        let limit = self.pool.stall_limit;
        self.cut_off_if(|state| state.is_stuck(self.last_call.elapsed(), limit))
    }

    /// Returns `true` if no call has returned for so long that it was cut off before, and would have
    /// returned or been dropped since.
    pub(super) fn is_stuck_for_good(&self) -> bool {
        let state = self.delivery.lock().state;
        self.stalled_for(state) >= self.pool.stall_limit.saturating_mul(2)
    }

    fn stalled_for(&self, state: HandlerState) -> Duration {
        state.stalled_for(self.last_call.elapsed(), self.pool.since_any_call())
    }

    /// Ends the delivery of lines if `is_due`. Returns what `is_due` did.
    fn cut_off_if(&self, is_due: impl FnOnce(HandlerState) -> bool) -> bool {
        let missed = {
            let mut delivery = self.delivery.lock();
            if !is_due(delivery.state) {
                return false;
            }
            if !delivery.state.cut_off() {
                return true;
            }
            delivery.pass_over(&self.journal);
            delivery.missed
        };
        self.room.notify_one();
        // Without our lock: where the line goes is code of the host.
        let id = self.execution_id();
        tracing::warn!(%id, missed, "an event handler is stuck and gets no more lines");
        true
    }

    /// Calls the handler until everything is delivered, or until it is the turn of other queues.
    fn deliver(self: &Arc<Self>) {
        let turn = CoarseInstant::now();
        while let Some(item) = self.take() {
            // What was taken waits no more, so that the supervisor can read more meanwhile.
            if self.pin.is_some_and(|pin| self.journal.behind(pin) < RESUME_AT_BYTES) {
                self.room.notify_one();
            }
            match item {
                JournalItem::Lines(lines) => {
                    self.call(HandlerRecords::of_lines(RecordSource::of(&self.journal), lines));
                }
                // A pinned reader of lines gets neither chunks nor gaps.
                item => {
                    let record = RecordSource::of(&self.journal).event(item);
                    self.call(HandlerRecords::of_event(self.lines_missed(record.as_ref()), record));
                }
            }
            if self.pool.has_waiters() && turn.elapsed() >= MIN_TURN {
                self.delivery.lock().state.give_up_thread();
                return self.request_thread();
            }
        }
        // The cursor may have passed entries that the handler does not get.
        self.room.notify_one();
    }

    fn take(&self) -> Option<JournalItem> {
        let delivery = &mut *self.delivery.lock();
        if delivery.state.is_cut_off() {
            delivery.pass_over(&self.journal);
        }
        let passed = delivery.passed_events.pop_front();
        let next = passed.or_else(|| self.journal.next(&mut delivery.cursor, u64::MAX));
        if next.is_none() {
            // In this order, and under the lock: a wake in between would be admitted first and
            // forgotten here.
            self.handler.forget(self);
            delivery.state.finish();
            self.pool.activity.note_change();
        }
        next
    }

    /// Returns the record of the lines that the handler has missed, if this is the last one.
    fn lines_missed(&self, last: Option<&EventRecord>) -> Option<EventRecord> {
        let last = last.filter(|last| last.event.is_terminal())?;
        let (execution_id, count) = (self.execution_id(), self.missed());
        let event = ExecutionEvent::LinesMissed { execution_id, count };
        (count > 0).then(|| EventRecord { event, containment: None, ..last.clone() })
    }

    /// Calls the handler with each record. A panic costs the event that it met.
    fn call(&self, mut records: HandlerRecords) {
        loop {
            let calls = || block_on(self.call_each(&mut records));
            match catch_unwind(AssertUnwindSafe(calls)) {
                Ok(()) => return,
                Err(panic) => {
                    let id = self.execution_id();
                    tracing::warn!(%id, "an event handler panicked");
                    discard(panic);
                    self.note_call();
                }
            }
        }
    }

    /// Calls the handler with each record until it is cut off. A call that waits beyond the stall
    /// limit is dropped, and the lines after it are missed.
    async fn call_each(&self, records: &mut HandlerRecords) {
        let mut is_cut_off = self.is_cut_off();
        loop {
            if is_cut_off && let Some(lines) = records.lines_left() {
                self.delivery.lock().missed += lines;
                return;
            }
            let Some(mut call) = self.handler.user_handler().handle_next(records) else { return };
            // Most calls return at once and need no timer.
            let at_once = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
            if !at_once && tokio::time::timeout(self.pool.stall_limit, call).await.is_err() {
                is_cut_off = self.cut_off_if(|_| true);
            }
            // Others cut off only a call that is as long as the stall limit, so that a line needs
            // no lock. A call that is longer ends the delivery whether they have seen it or not: it
            // must not depend on when the next line comes. If they do so while the call returns, it
            // is seen at the next piece of output. The count stays exact: lines are either
            // delivered here or counted there.
            if self.note_call() >= self.pool.stall_limit {
                is_cut_off = self.cut_off_if(|_| true);
            }
        }
    }

    /// Notes that a call has returned. Returns how long it took.
    fn note_call(&self) -> Duration {
        self.pool.note_call();
        self.last_call.note()
    }

    fn is_cut_off(&self) -> bool {
        self.delivery.lock().state.is_cut_off()
    }
}

impl Delivery {
    /// Counts the lines in the journal as missed and sets events aside for delivery.
    fn pass_over(&mut self, journal: &Journal) {
        while let Some(item) = journal.next(&mut self.cursor, u64::MAX) {
            match item {
                JournalItem::Lines(lines) => self.missed += lines.count(),
                event => self.passed_events.push_back(event),
            }
            if self.passed_events.len() > MAX_PASSED_EVENTS {
                self.passed_events.remove(MAX_PASSED_EVENTS / 2);
            }
        }
    }
}
