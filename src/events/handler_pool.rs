//! Threads for event handlers. A handler is code of the user: it may block, panic or never return,
//! so it runs on threads of its own with a tokio context, never on those of executions.

use std::collections::HashMap;
use std::mem::{self, ManuallyDrop};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use std::{io, thread};

use execution_engine_process::CoarseInstant;
use parking_lot::Mutex;

use super::activity::Activity;
use super::handler::{EventHandler, NoopEventHandler};
use super::handler_queue::HandlerQueue;
use crate::output::JournalOwner;
use crate::runtime::{BlockingPool, RuntimeThread, is_worker};

/// Stuck calls of one handler at which it gets no more executions. Each holds a thread that nothing
/// can free, so this bounds what a handler that blocks for ever costs.
const MAX_STUCK_CALLS: usize = 16;

/// Handler threads of an engine. Queues beyond wait for one.
const MAX_THREADS: usize = 512;

/// Handler threads of an engine, started with the first handler.
pub(crate) struct HandlerPool {
    threads: BlockingPool,
    /// Runs timers, I/O and tasks of the handlers' tokio context.
    context: OnceLock<RuntimeThread>,
    /// Queues that wait for a thread.
    waiters: AtomicUsize,
    /// When a call of any handler last returned while a queue waited.
    last_call: CoarseInstant,
    pub(crate) stall_limit: Duration,
    pub(crate) activity: Arc<Activity>,
}

/// One handler of an engine.
pub(crate) struct RegisteredHandler {
    handler: Arc<dyn EventHandler>,
    /// The queues that wait for a thread or run. By owner and not by id, because an id may be used
    /// again while the queue of its first execution is still stuck.
    active: Mutex<HashMap<JournalOwner, Weak<HandlerQueue>>>,
}

impl HandlerPool {
    pub(crate) fn new(stall_limit: Duration) -> Self {
        Self::with_threads(MAX_THREADS, stall_limit)
    }

    pub(super) fn with_threads(threads: usize, stall_limit: Duration) -> Self {
        Self {
            threads: BlockingPool::new("execution-handler", threads, || {}),
            context: OnceLock::new(),
            waiters: AtomicUsize::new(0),
            last_call: CoarseInstant::now(),
            stall_limit,
            activity: Arc::default(),
        }
    }

    /// Starts the threads, unless they run.
    ///
    /// # Errors
    /// The system's error. What was started stays for the next time.
    pub(crate) fn start(&self) -> io::Result<()> {
        if self.context.get().is_none() {
            // If another thread was faster, the second one ends.
            drop(self.context.set(RuntimeThread::start("execution-handler", || {})?));
        }
        self.threads.start()
    }

    /// Runs `work` on a thread that may block, as soon as one is free.
    pub(super) fn run(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) {
        let pool = Arc::clone(self);
        self.waiters.fetch_add(1, Ordering::Relaxed);
        self.threads.run(move || {
            pool.waiters.fetch_sub(1, Ordering::Relaxed);
            let _context = pool.context.get().map(|context| context.handle().enter());
            work();
        });
    }

    /// Returns `true` if a queue waits for a thread.
    pub(super) fn has_waiters(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) > 0
    }

    /// Notes that a call of a handler has returned, if a queue may get its thread.
    pub(super) fn note_call(&self) {
        if self.has_waiters() {
            self.last_call.note();
        }
    }

    /// Returns the time since a call of any handler last returned while a queue waited.
    pub(super) fn since_any_call(&self) -> Duration {
        self.last_call.elapsed()
    }
}

/// The last reference to a handler is often that of an execution that has just ended. Dropping the
/// handler is code of the user: it may block, panic, or end a runtime, which panics inside async
/// code. So threads of executions leave it to a thread of its own.
impl Drop for RegisteredHandler {
    fn drop(&mut self) {
        if !is_worker() {
            return;
        }
        let handler = mem::replace(&mut self.handler, Arc::new(NoopEventHandler));
        // Without a thread it is leaked, and not dropped here.
        let handler = ManuallyDrop::new(handler);
        let thread = thread::Builder::new().name("execution-handler".to_string());
        if let Err(error) = thread.spawn(move || drop(ManuallyDrop::into_inner(handler))) {
            tracing::warn!(%error, "there was no thread to drop an event handler on; it is leaked");
        }
    }
}

impl RegisteredHandler {
    pub(crate) fn new(handler: Arc<dyn EventHandler>) -> Self {
        Self { handler, active: Mutex::default() }
    }

    pub(super) fn user_handler(&self) -> &dyn EventHandler {
        &*self.handler
    }

    /// Returns `true` if one of its queues has more to deliver, and is not stuck for good.
    pub(super) fn has_more(&self) -> bool {
        let queues: Vec<_> = self.active.lock().values().filter_map(Weak::upgrade).collect();
        // Without our lock, because a queue takes it while holding its own.
        queues.iter().any(|queue| !queue.is_stuck_for_good())
    }

    /// Notes that `queue` is active. Returns `false` if it must not be, because too many calls of
    /// this handler are stuck.
    pub(super) fn admit(&self, queue: &Arc<HandlerQueue>) -> bool {
        let others: Vec<_> = {
            let active = self.active.lock();
            let may_be_stuck = active.len() >= MAX_STUCK_CALLS;
            active.values().filter(|_| may_be_stuck).filter_map(Weak::upgrade).collect()
        };
        // Without our lock, because a queue takes it while holding its own.
        if others.iter().filter(|queue| queue.cut_off_if_stuck()).count() >= MAX_STUCK_CALLS {
            return false;
        }
        self.active.lock().insert(queue.owner(), Arc::downgrade(queue));
        true
    }

    /// Notes that `queue` is no longer active.
    pub(super) fn forget(&self, queue: &HandlerQueue) {
        self.active.lock().remove(&queue.owner());
    }
}
