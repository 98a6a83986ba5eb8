//! One execution on its way to one handler: pace before loss, and an end to patience.
//!
//! The journal of the execution is the queue: the handler's place in it is pinned, so that what it
//! has not been told is held, and the supervisor asks for [`room`](HandlerQueue::room) before it reads more.

use std::any::Any;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use uuid::Uuid;

use super::handler_pool::{HandlerPool, RegisteredHandler};
use crate::output::{Journal, JournalCursor, JournalItem, JournalLines, JournalOwner, View};
use crate::time::{self, CoarseInstant};
use crate::types::{ExecutionEvent, OutputStream};

/// How many bytes of output wait for a handler before the child is held back. A pipe's worth and
/// more: enough that a handler never waits for the child either.
const MOST_WAITING_BYTES: u64 = 256 * 1024;
/// How many are left when the child goes on. Well below, so that handler and supervisor do not wake
/// each other with every piece.
const GOES_ON_AT_BYTES: u64 = MOST_WAITING_BYTES / 2;
/// How long a thread that others wait for is held at least. It is given up between two pieces of output,
/// which may have many lines.
const TURN: Duration = Duration::from_millis(100);

/// What one handler has still to be told of one execution.
pub(super) struct HandlerQueue {
    actor: Arc<RegisteredHandler>,
    stage: Arc<HandlerPool>,
    journal: Arc<Journal>,
    /// Its place in the journal; None for one who is told of no output.
    pin: Option<usize>,
    inner: Mutex<HandlerQueueState>,
    /// When the handler last finished something, or was last given something while idle.
    progress: CoarseInstant,
    /// Whether it has something to tell and waits for a thread.
    in_line: AtomicBool,
    /// Whether it has been given up: its lines are counted as missed. Changed with the lock held.
    cut: AtomicBool,
    /// Told whenever the handler has finished something and has little left.
    room: Notify,
}

struct HandlerQueueState {
    cursor: JournalCursor,
    /// Events that were passed while the handler's lines were being counted as missed.
    aside: VecDeque<ExecutionEvent>,
    /// Whether a thread is working on the queue.
    active: bool,
    missed: u64,
}

/// Lines as events. A type of its own, so that making an event becomes a part of the loop that tells
/// it, and the event is made where it is needed.
struct LineEvents {
    execution_id: Uuid,
    lines: JournalLines,
}

impl Iterator for LineEvents {
    type Item = ExecutionEvent;

    #[inline]
    fn next(&mut self) -> Option<ExecutionEvent> {
        let line = self.lines.next_text()?;
        Some(line_event(self.execution_id, self.lines.stream(), line))
    }
}

/// What a handler is called with.
enum HandlerCall {
    Event(ExecutionEvent),
    Lines(JournalLines),
}

impl HandlerQueue {
    pub(super) fn new(
        journal: Arc<Journal>,
        lens: View,
        actor: Arc<RegisteredHandler>,
        stage: Arc<HandlerPool>,
    ) -> Arc<Self> {
        let pin = (lens == View::Lines).then(|| journal.pin());
        let cursor = journal.reader(lens, 0);
        let inner = HandlerQueueState {
            cursor: match pin {
                Some(pin) => cursor.pinned(pin),
                None => cursor,
            },
            aside: VecDeque::new(),
            active: false,
            missed: 0,
        };
        Arc::new(Self {
            actor,
            stage,
            journal,
            pin,
            inner: Mutex::new(inner),
            progress: CoarseInstant::new(),
            in_line: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            room: Notify::new(),
        })
    }

    /// There is something new in the journal: puts a thread to work unless one is at it. What is
    /// new to a handler that has been given up is counted.
    pub(super) fn wake(self: &Arc<Self>) {
        {
            let mut inner = self.lock();
            if self.is_cut() {
                inner.pass_over(&self.journal);
            }
            if std::mem::replace(&mut inner.active, true) {
                return;
            }
            self.note_in_line();
        }
        // The actor looks into its other queues, so no lock of ours may be held meanwhile.
        if self.actor.enters(self) {
            self.get_in_line();
        } else {
            let mut inner = self.lock();
            inner.active = false;
            self.in_line.store(false, Ordering::Release);
            self.cut(&mut inner);
            inner.aside.clear();
        }
    }

    fn note_in_line(&self) {
        self.progress.note();
        self.in_line.store(true, Ordering::Release);
    }

    fn get_in_line(self: &Arc<Self>) {
        let queue = Arc::clone(self);
        self.stage.perform(move |runtime| {
            queue.progress.note();
            queue.in_line.store(false, Ordering::Release);
            queue.work_off(runtime);
        });
    }

    /// Whether the handler can take more.
    pub(super) fn has_room(&self) -> bool {
        self.pin.is_none_or(|pin| self.journal.behind(pin) < MOST_WAITING_BYTES)
    }

    /// Waits until the handler can take much more, or until it has been given up. Cancel safe.
    pub(super) async fn room(self: &Arc<Self>) {
        let Some(pin) = self.pin else { return };
        loop {
            let changed = self.room.notified();
            if self.journal.behind(pin) < GOES_ON_AT_BYTES || self.is_cut() {
                return;
            }
            // It may be a line that is not finished, of which nobody has been told.
            self.wake();
            let patience = self.stage.stall_limit.saturating_sub(self.progress.elapsed());
            let stalls_at = Instant::now().checked_add(patience);
            tokio::select! {
                () = changed => {}
                () = time::sleep_until(stalls_at) => self.cut_unless_in_line(),
            }
        }
    }

    pub(super) fn missed(&self) -> u64 {
        self.lock().missed
    }

    pub(super) fn owner(&self) -> JournalOwner {
        self.journal.owner()
    }

    fn execution_id(&self) -> Uuid {
        self.journal.id()
    }

    /// Whether the handler has finished nothing for too long. Its lines are cut off then. One that
    /// waits for a thread is not stuck.
    pub(super) fn cut_if_stalled(&self) -> bool {
        !self.in_line.load(Ordering::Acquire) && self.cut_if_idle()
    }

    /// The same for one that may wait for a thread, if nobody will ever give one back.
    fn cut_unless_in_line(&self) {
        if self.in_line.load(Ordering::Acquire) && self.stage.goes_on() {
            self.progress.note();
        } else {
            self.cut_if_idle();
        }
    }

    fn cut_if_idle(&self) -> bool {
        let mut inner = self.lock();
        let stalled = inner.active && self.progress.elapsed() >= self.stage.stall_limit;
        if stalled {
            self.cut(&mut inner);
        }
        stalled
    }

    fn cut(&self, inner: &mut HandlerQueueState) {
        if self.cut.swap(true, Ordering::Relaxed) {
            return;
        }
        inner.pass_over(&self.journal);
        let (id, missed) = (self.execution_id(), inner.missed);
        tracing::warn!(%id, missed, "an event handler is stuck and gets no more lines");
    }

    /// Calls the handler until it has been told everything, or until it is the turn of others.
    fn work_off(self: &Arc<Self>, runtime: &Handle) {
        let turn = CoarseInstant::new();
        while let Some(item) = self.take() {
            // What it has taken waits no more, so that more can be read meanwhile.
            if self.pin.is_some_and(|pin| self.journal.behind(pin) < GOES_ON_AT_BYTES) {
                self.room.notify_one();
            }
            match item {
                HandlerCall::Event(event) => {
                    let missed = event.is_terminal().then(|| self.missed_event()).flatten();
                    self.call(runtime, missed.into_iter().chain([event]));
                }
                HandlerCall::Lines(lines) => {
                    self.call(runtime, LineEvents { execution_id: self.execution_id(), lines });
                }
            }
            if self.stage.has_line() && turn.elapsed() >= TURN {
                self.note_in_line();
                return self.get_in_line();
            }
        }
        // What it has taken may have been no item yet.
        self.room.notify_one();
    }

    fn take(&self) -> Option<HandlerCall> {
        let mut inner = self.lock();
        if self.is_cut() {
            inner.pass_over(&self.journal);
        }
        if let Some(event) = inner.aside.pop_front() {
            return Some(HandlerCall::Event(event));
        }
        while let Some(piece) = self.journal.next(&mut inner.cursor, u64::MAX) {
            match piece {
                JournalItem::Event { event, .. } => return Some(HandlerCall::Event(event)),
                JournalItem::Lines(lines) => return Some(HandlerCall::Lines(lines)),
                // It sees lines, and is waited for.
                JournalItem::Chunk { .. } | JournalItem::Missed { .. } => {}
            }
        }
        // Left before idle: an event that comes in between enters again by itself.
        self.actor.leaves(self);
        inner.active = false;
        None
    }

    fn missed_event(&self) -> Option<ExecutionEvent> {
        let (execution_id, count) = (self.execution_id(), self.missed());
        (count > 0).then_some(ExecutionEvent::LinesMissed { execution_id, count })
    }

    /// Calls the handler with each event. A panic costs the event it met; a call that waits beyond
    /// the stall limit is dropped, and the lines after it are missed.
    fn call(&self, runtime: &Handle, mut events: impl Iterator<Item = ExecutionEvent>) {
        loop {
            let calls = || runtime.block_on(self.call_each(&mut events));
            match catch_unwind(AssertUnwindSafe(calls)) {
                Ok(()) => return,
                Err(panic) => {
                    let id = self.execution_id();
                    tracing::warn!(%id, "an event handler panicked");
                    discard(panic);
                    self.note_progress();
                }
            }
        }
    }

    async fn call_each(&self, events: &mut impl Iterator<Item = ExecutionEvent>) {
        while let Some(event) = events.next() {
            if self.is_cut() && is_line(&event) {
                self.lock().missed += 1 + events.count() as u64;
                return;
            }
            let mut call = self.actor.handler.handle_event(event);
            // Most calls are done at once and need no timer.
            let at_once = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
            if !at_once && tokio::time::timeout(self.stage.stall_limit, call).await.is_err() {
                self.cut(&mut self.lock());
            }
            self.note_progress();
        }
    }

    /// A call is done.
    fn note_progress(&self) {
        self.progress.note();
        self.stage.note_progress();
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HandlerQueueState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandlerQueueState {
    /// Counts the lines that are there as missed, and puts everything else aside.
    fn pass_over(&mut self, journal: &Journal) {
        while let Some(piece) = journal.next(&mut self.cursor, u64::MAX) {
            match piece {
                JournalItem::Event { event, .. } => self.aside.push_back(event),
                JournalItem::Lines(lines) => self.missed += lines.count(),
                JournalItem::Chunk { .. } | JournalItem::Missed { .. } => {}
            }
        }
    }
}

/// What a panic is about is foreign, too, and may panic when it is dropped. What that one is about is
/// given up.
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(another);
    }
}

/// A line as an event.
#[inline]
pub(super) fn line_event(execution_id: Uuid, stream: OutputStream, line: String) -> ExecutionEvent {
    match stream {
        OutputStream::Stdout => ExecutionEvent::Stdout { execution_id, line },
        OutputStream::Stderr => ExecutionEvent::Stderr { execution_id, line },
    }
}

fn is_line(event: &ExecutionEvent) -> bool {
    matches!(event, ExecutionEvent::Stdout { .. } | ExecutionEvent::Stderr { .. })
}
