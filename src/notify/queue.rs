//! One bounded queue for each execution and handler: pace before loss, and an end to patience.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use uuid::Uuid;

use super::stage::{Actor, Stage};
use crate::model::{ExecutionEvent, Stream};
use crate::output::LineBatch;

/// How many bytes of lines wait for a handler before the child is held back. A pipe's worth and
/// more: enough that a handler never waits for the child either.
const MOST_WAITING_BYTES: usize = 256 * 1024;

/// The events of one execution on their way to one handler.
pub(super) struct Queue {
    execution_id: Uuid,
    actor: Arc<Actor>,
    stage: Arc<Stage>,
    inner: Mutex<Inner>,
    /// Told whenever the handler has taken a batch off the queue.
    room: Notify,
}

struct Inner {
    items: VecDeque<Item>,
    waiting_bytes: usize,
    /// Whether a thread is working on the queue.
    active: bool,
    /// When the handler last finished something, or was last given something while idle.
    progress: Instant,
    cut: bool,
    missed: u64,
}

enum Item {
    Event(Box<ExecutionEvent>),
    Lines(LineBatch),
}

impl Queue {
    pub(super) fn new(execution_id: Uuid, actor: Arc<Actor>, stage: Arc<Stage>) -> Arc<Self> {
        let inner = Inner {
            items: VecDeque::new(),
            waiting_bytes: 0,
            active: false,
            progress: Instant::now(),
            cut: false,
            missed: 0,
        };
        let room = Notify::new();
        Arc::new(Self { execution_id, actor, stage, inner: Mutex::new(inner), room })
    }

    /// Queues an event other than a line; there are few of them, so they always fit.
    pub(super) fn event(self: &Arc<Self>, event: ExecutionEvent) {
        let mut inner = self.lock();
        inner.items.push_back(Item::Event(Box::new(event)));
        self.wake(inner);
    }

    /// Queues lines. They are taken even over the bound: the publisher asks for [`room`](Self::room)
    /// before the next read, and a drain has no time to wait.
    pub(super) fn lines(self: &Arc<Self>, batch: LineBatch) {
        let mut inner = self.lock();
        if inner.cut {
            inner.missed += batch.count();
            return;
        }
        inner.waiting_bytes += batch.len_bytes();
        inner.items.push_back(Item::Lines(batch));
        self.wake(inner);
    }

    /// Waits until the queue can take more, or until the handler has been given up. Cancel safe.
    pub(super) async fn room(&self) {
        loop {
            let changed = self.room.notified();
            let stalls_at = {
                let inner = self.lock();
                if inner.cut || inner.waiting_bytes < MOST_WAITING_BYTES {
                    return;
                }
                inner.progress.checked_add(self.stage.stall_limit)
            };
            let stalled = async {
                match stalls_at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = stalled => {
                    self.cut_if_stalled();
                }
            }
        }
    }

    pub(super) fn missed(&self) -> u64 {
        self.lock().missed
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a thread to work unless one is at it, or the handler has been given up.
    fn wake(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) {
        if std::mem::replace(&mut inner.active, true) {
            return;
        }
        inner.progress = Instant::now();
        // The actor looks into its other queues, so no lock of ours may be held meanwhile.
        drop(inner);
        if self.actor.enters(self) {
            let queue = Arc::clone(self);
            self.stage.perform(move |runtime| queue.work_off(runtime));
        } else {
            let mut inner = self.lock();
            inner.active = false;
            self.cut(&mut inner);
            inner.items.clear();
        }
    }

    pub(super) fn execution_id(&self) -> Uuid {
        self.execution_id
    }

    /// Whether the handler has finished nothing for too long. Its lines are cut off then.
    pub(super) fn cut_if_stalled(&self) -> bool {
        let mut inner = self.lock();
        let stalled = inner.active && inner.progress.elapsed() >= self.stage.stall_limit;
        if stalled {
            self.cut(&mut inner);
        }
        stalled
    }

    fn cut(&self, inner: &mut Inner) {
        if !inner.cut {
            inner.cut_off();
            let (id, missed) = (self.execution_id, inner.missed);
            tracing::warn!(%id, missed, "an event handler is stuck and gets no more lines");
        }
    }

    /// Calls the handler until the queue is empty.
    fn work_off(&self, runtime: &Handle) {
        while let Some(item) = self.take() {
            match item {
                Item::Event(event) => {
                    let missed = event.is_terminal().then(|| self.missed_event()).flatten();
                    self.call(runtime, missed.into_iter().chain([*event]));
                }
                Item::Lines(batch) => {
                    let execution_id = self.execution_id;
                    let stream = batch.stream;
                    let events = batch.lines().map(|line| match stream {
                        Stream::Stdout => ExecutionEvent::Stdout { execution_id, line },
                        Stream::Stderr => ExecutionEvent::Stderr { execution_id, line },
                    });
                    self.call(runtime, events);
                }
            }
            self.room.notify_one();
        }
    }

    fn take(&self) -> Option<Item> {
        let mut inner = self.lock();
        let item = inner.items.pop_front();
        match &item {
            Some(Item::Lines(batch)) => inner.waiting_bytes -= batch.len_bytes(),
            Some(Item::Event(_)) => {}
            None => {
                // Left before idle: an event that comes in between enters again by itself.
                self.actor.leaves(self);
                inner.active = false;
            }
        }
        item
    }

    fn missed_event(&self) -> Option<ExecutionEvent> {
        let count = self.missed();
        (count > 0)
            .then_some(ExecutionEvent::LinesMissed { execution_id: self.execution_id, count })
    }

    /// Calls the handler with each event. A panic costs the event it met; a call that waits beyond
    /// the stall limit is dropped, and the lines after it are missed.
    fn call(&self, runtime: &Handle, mut events: impl Iterator<Item = ExecutionEvent>) {
        loop {
            let calls = || runtime.block_on(self.call_each(&mut events));
            match catch_unwind(AssertUnwindSafe(calls)) {
                Ok(()) => return,
                Err(_) => {
                    let id = self.execution_id;
                    tracing::warn!(%id, "an event handler panicked");
                    self.progressed();
                }
            }
        }
    }

    async fn call_each(&self, events: &mut impl Iterator<Item = ExecutionEvent>) {
        while let Some(event) = events.next() {
            let is_terminal = event.is_terminal();
            if !is_terminal && self.lock().cut && is_line(&event) {
                self.lock().missed += 1 + events.count() as u64;
                return;
            }
            let mut call = self.actor.handler.handle_event(event);
            // Most calls are done at once and need no timer.
            let at_once = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
            if !at_once && tokio::time::timeout(self.stage.stall_limit, call).await.is_err() {
                self.cut(&mut self.lock());
            }
            self.progressed();
        }
    }

    fn progressed(&self) {
        self.lock().progress = Instant::now();
    }
}

fn is_line(event: &ExecutionEvent) -> bool {
    matches!(event, ExecutionEvent::Stdout { .. } | ExecutionEvent::Stderr { .. })
}

impl Inner {
    /// No more lines: those that wait are counted as missed, everything else stays.
    fn cut_off(&mut self) {
        self.cut = true;
        self.waiting_bytes = 0;
        let missed = &mut self.missed;
        self.items.retain(|item| match item {
            Item::Lines(batch) => {
                *missed += batch.count();
                false
            }
            Item::Event(_) => true,
        });
    }
}
