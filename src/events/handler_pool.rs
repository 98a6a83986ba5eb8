//! Threads for event handlers. A handler is code of the user: it may block, panic or never return,
//! so it runs on threads of its own with a tokio context, never on those of executions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use std::{io, mem, thread};

use execution_engine_process::CoarseInstant;
use tokio::runtime::{Builder, Handle};

use super::handler::{EventHandler, NoopEventHandler};
use super::handler_queue::HandlerQueue;
use crate::output::JournalOwner;
use crate::runtime::{LazyRuntime, is_worker};

/// Stuck calls of one handler at which it gets no more executions. Each holds a thread that nothing
/// can free, so this bounds what a handler that blocks for ever costs.
const MAX_STUCK_CALLS: usize = 16;

/// Handler threads of an engine. Queues beyond wait for one.
const MAX_THREADS: usize = 512;

/// Handler threads of an engine: the blocking pool of a runtime, started with the first handler.
pub(crate) struct HandlerPool {
    runtime: LazyRuntime,
    threads: usize,
    /// Queues that wait for a thread.
    waiters: AtomicUsize,
    /// When a call of any handler last returned while a queue waited.
    last_call: CoarseInstant,
    pub(super) stall_limit: Duration,
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
            runtime: LazyRuntime::default(),
            threads,
            waiters: AtomicUsize::new(0),
            last_call: CoarseInstant::now(),
            stall_limit,
        }
    }

    /// Starts the runtime unless it runs.
    pub(crate) fn start(&self) -> io::Result<()> {
        let configure = |builder: &mut Builder| {
            builder.worker_threads(1).max_blocking_threads(self.threads);
        };
        self.runtime.start("execution-handler", configure).map(drop)
    }

    /// Runs `work` on a thread that may block, as soon as one is free.
    pub(super) fn run(self: &Arc<Self>, work: impl FnOnce(&Handle) + Send + 'static) {
        if let Some(runtime) = self.runtime.get() {
            let (pool, handle) = (Arc::clone(self), runtime.handle().clone());
            self.waiters.fetch_add(1, Ordering::Relaxed);
            runtime.spawn_blocking(move || {
                pool.waiters.fetch_sub(1, Ordering::Relaxed);
                work(&handle);
            });
        }
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
        let thread = thread::Builder::new().name("execution-handler".to_string());
        if let Err(error) = thread.spawn(move || drop(handler)) {
            tracing::warn!(%error, "no thread could be started to drop an event handler");
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

    /// Notes that `queue` is active. Returns `false` if it must not be, because too many calls of
    /// this handler are stuck.
    pub(super) fn admit(&self, queue: &Arc<HandlerQueue>) -> bool {
        let others: Vec<_> = {
            let active = self.active();
            let may_be_stuck = active.len() >= MAX_STUCK_CALLS;
            active.values().filter(|_| may_be_stuck).filter_map(Weak::upgrade).collect()
        };
        // Without our lock, because a queue takes it while holding its own.
        if others.iter().filter(|queue| queue.cut_off_if_stuck()).count() >= MAX_STUCK_CALLS {
            return false;
        }
        self.active().insert(queue.owner(), Arc::downgrade(queue));
        true
    }

    /// Notes that `queue` is no longer active.
    pub(super) fn forget(&self, queue: &HandlerQueue) {
        self.active().remove(&queue.owner());
    }

    fn active(&self) -> MutexGuard<'_, HashMap<JournalOwner, Weak<HandlerQueue>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
