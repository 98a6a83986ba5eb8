//! Where foreign code runs: threads of its own with a tokio context, never the driver's.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use std::{io, mem, thread};

use tokio::runtime::{Builder, Handle, Runtime};

use super::handler::{EventHandler, NoopEventHandler};
use super::handler_queue::HandlerQueue;
use crate::output::JournalOwner;
use crate::time::CoarseInstant;

/// How many calls of one handler may be stuck before it gets no more executions. Each holds a
/// thread that nothing can free, so this bounds what a handler that blocks for ever costs.
const MOST_STUCK: usize = 16;

/// How many threads there are at most. Whoever comes then waits in line.
const MOST_THREADS: usize = 512;

/// The threads of an engine for handlers: one runtime, started with the first handler. A handler
/// runs on the blocking pool, so that one which blocks holds up nobody but itself.
pub(crate) struct HandlerPool {
    runtime: OnceLock<Runtime>,
    threads: usize,
    /// How many wait for a thread.
    in_line: AtomicUsize,
    /// When a call of any handler was last done while somebody waited.
    progress: CoarseInstant,
    pub(super) stall_limit: Duration,
}

/// One registered handler.
pub(crate) struct RegisteredHandler {
    pub(super) handler: Arc<dyn EventHandler>,
    /// The queues that are being worked off, by execution.
    active: Mutex<HashMap<JournalOwner, Weak<HandlerQueue>>>,
}

impl HandlerPool {
    pub(crate) fn new(stall_limit: Duration) -> Self {
        Self::with_threads(MOST_THREADS, stall_limit)
    }

    pub(super) fn with_threads(threads: usize, stall_limit: Duration) -> Self {
        Self {
            runtime: OnceLock::new(),
            threads,
            in_line: AtomicUsize::new(0),
            progress: CoarseInstant::new(),
            stall_limit,
        }
    }

    /// Starts the threads if they are not there yet.
    pub(crate) fn ready(&self) -> io::Result<()> {
        if self.runtime.get().is_none() {
            let runtime = Builder::new_multi_thread()
                .worker_threads(1)
                .max_blocking_threads(self.threads)
                .thread_name("execution-handler")
                .thread_keep_alive(Duration::from_secs(1))
                .enable_all()
                .build()?;
            if let Err(second) = self.runtime.set(runtime) {
                second.shutdown_background();
            }
        }
        Ok(())
    }

    /// Runs `work` on a thread that may block, when there is one.
    pub(super) fn perform(self: &Arc<Self>, work: impl FnOnce(&Handle) + Send + 'static) {
        if let Some(runtime) = self.runtime.get() {
            let (stage, handle) = (Arc::clone(self), runtime.handle().clone());
            self.in_line.fetch_add(1, Ordering::Relaxed);
            runtime.spawn_blocking(move || {
                stage.in_line.fetch_sub(1, Ordering::Relaxed);
                work(&handle);
            });
        }
    }

    /// Whether somebody waits for a thread.
    pub(super) fn has_line(&self) -> bool {
        self.in_line.load(Ordering::Relaxed) > 0
    }

    /// A call of a handler is done, which matters to those who wait for its thread.
    pub(super) fn note_progress(&self) {
        if self.has_line() {
            self.progress.note();
        }
    }

    /// Whether those who wait for a thread may hope for one: the threads are all handlers'.
    pub(super) fn goes_on(&self) -> bool {
        self.progress.elapsed() < self.stall_limit
    }
}

impl Drop for HandlerPool {
    fn drop(&mut self) {
        // Dropping a runtime inside async code would panic, and a stuck handler would block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

thread_local! {
    static IS_CLOSED: Cell<bool> = const { Cell::new(false) };
}

/// No foreign code runs on this thread from now on.
pub(crate) fn forbid_user_code() {
    IS_CLOSED.set(true);
}

/// What users do when their handler is dropped is foreign code, too: it may block, panic, or end a runtime,
/// which panics inside of async code. The last one to hold it is often an execution that ends.
impl Drop for RegisteredHandler {
    fn drop(&mut self) {
        // A thread that is ending has forgotten what it was, and is none of the driver's.
        if !IS_CLOSED.try_with(Cell::get).unwrap_or(false) {
            return;
        }
        let handler = mem::replace(&mut self.handler, Arc::new(NoopEventHandler));
        let thread = thread::Builder::new().name("execution-handler".to_string());
        if let Err(error) = thread.spawn(move || drop(handler)) {
            tracing::warn!(%error, "there is no thread to drop an event handler on");
        }
    }
}

impl RegisteredHandler {
    pub(crate) fn new(handler: Arc<dyn EventHandler>) -> Self {
        Self { handler, active: Mutex::default() }
    }

    /// Notes that a thread is to work off `queue`, unless too many are stuck in this handler.
    pub(super) fn enters(&self, queue: &Arc<HandlerQueue>) -> bool {
        let others: Vec<_> = {
            let active = self.active();
            let crowded = active.len() >= MOST_STUCK;
            active.values().filter(|_| crowded).filter_map(Weak::upgrade).collect()
        };
        // Asked without our lock held, because a queue takes it while holding its own.
        if others.iter().filter(|queue| queue.cut_if_stalled()).count() >= MOST_STUCK {
            return false;
        }
        self.active().insert(queue.owner(), Arc::downgrade(queue));
        true
    }

    pub(super) fn leaves(&self, queue: &HandlerQueue) {
        self.active().remove(&queue.owner());
    }

    fn active(&self) -> MutexGuard<'_, HashMap<JournalOwner, Weak<HandlerQueue>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
