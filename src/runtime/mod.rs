//! The engine's own threads: executions and handlers do not run on the caller's runtime, which may be
//! dropped, blocked or no longer polled meanwhile.
//!
//! All of them are made by [`RuntimeThread`] and [`BlockingPool`], which return an error where the
//! system has no room for a thread. tokio panics there, so neither its runtime of many threads nor
//! its blocking pool is used.

mod block_on;
mod pool;
mod starter;
mod thread;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use execution_engine_process::ThreadAttributes;
use tokio::sync::oneshot;

use crate::time;
pub(crate) use block_on::{block_on, block_on_until};
pub(crate) use pool::BlockingPool;
pub(crate) use starter::Starter;
use starter::Starters;
pub(crate) use thread::RuntimeThread;

/// More threads than this do not make pipes faster.
const MAX_WORKERS: usize = 4;
/// Threads that wait for disks, or for the readers of FIFOs, at a time.
const MAX_FILE_THREADS: usize = 512;

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Returns true on a thread that runs executions. Code of the user must not run there.
pub(crate) fn is_worker() -> bool {
    // A thread that is ending has lost its thread-locals; no execution runs there any more.
    IS_WORKER.try_with(Cell::get).unwrap_or(false)
}

/// The threads of one engine, started with its first execution.
///
/// Each worker has a runtime and so a reactor of its own. With one reactor for all, chunks of busy
/// programs moved between cores: two at a time had 15 % less throughput, and the allocator kept 4 MB
/// more.
///
/// It belongs to what the executions of an engine share, and every task holds that. So it ends when
/// the engine was dropped and its last execution has ended, often on one of its own workers.
#[derive(Debug)]
pub(crate) struct EngineRuntime {
    workers: [OnceLock<Worker>; MAX_WORKERS],
    starters: Starters,
    /// Threads that read and write files: a disk may not answer.
    files: Arc<BlockingPool>,
}

/// A thread that runs executions.
#[derive(Debug)]
struct Worker {
    thread: RuntimeThread,
    /// Those of the thread that made it.
    attributes: ThreadAttributes,
}

impl Default for EngineRuntime {
    fn default() -> Self {
        let files = BlockingPool::new("execution-files", MAX_FILE_THREADS, hold_signals);
        Self { workers: Default::default(), starters: Starters::default(), files: Arc::new(files) }
    }
}

impl EngineRuntime {
    /// Starts the workers, unless they run.
    ///
    /// # Errors
    /// The system's error. What was started stays for the next time.
    pub(crate) fn start(&self) -> io::Result<()> {
        for worker in &self.workers[..workers()] {
            if worker.get().is_none() {
                let attributes = ThreadAttributes::of_this_thread();
                let thread = RuntimeThread::start("execution-worker", || {
                    hold_signals();
                    IS_WORKER.set(true);
                })?;
                // If another thread was faster, the second one ends.
                drop(worker.set(Worker { thread, attributes }));
            }
        }
        Ok(())
    }

    /// Runs a task on the worker that has the fewest; the workers must have been started.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let workers = self.workers.iter().filter_map(OnceLock::get);
        let workers = workers.map(|worker| worker.thread.handle());
        if let Some(worker) = workers.min_by_key(|worker| worker.metrics().num_alive_tasks()) {
            worker.spawn(task);
        }
    }

    /// Starts a timer; the receiver is ready at this moment, or once the threads are gone. May be
    /// awaited on any runtime; None is never. The workers must have been started.
    pub(crate) fn timer(&self, at: Option<Instant>) -> oneshot::Receiver<()> {
        let (mut waits, over) = oneshot::channel();
        self.spawn(async move {
            tokio::select! {
                () = waits.closed() => {}
                () = time::sleep_until(at) => {}
            }
        });
        over
    }

    /// Returns where later starts of what the calling thread submits happen, so that all attempts
    /// inherit the same. The workers must have been started.
    ///
    /// # Errors
    /// The system's error where it has no room for a thread.
    pub(crate) fn starter(&self) -> io::Result<Starter> {
        if is_worker() {
            return Ok(Starter::Worker);
        }
        let attributes = ThreadAttributes::of_this_thread();
        let mut workers = self.workers.iter().filter_map(OnceLock::get);
        if workers.all(|worker| worker.attributes == attributes) {
            return Ok(Starter::Worker);
        }
        self.starters.thread_like(attributes)
    }

    /// Returns the threads for files. They are not started by this.
    pub(crate) fn file_threads(&self) -> &Arc<BlockingPool> {
        &self.files
    }

    /// Runs `work` on a thread that may block. May be awaited on any runtime.
    ///
    /// # Cancel safety
    /// Once polled, the work is done even if the future is dropped.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.files.start()?;
        let done = self.files.call(work).await;
        done.unwrap_or_else(|| Err(io::Error::other("the thread for files has panicked")))
    }
}

/// Holds signals of writes: these threads write to the standard input of programs that may end at
/// any moment, to logs that may be FIFOs whose reader ends, and to files that the host may have limited.
/// A thread starts with the signal mask of the thread that starts it, so each one sets its own.
fn hold_signals() {
    execution_engine_process::hold_write_signals();
}

/// Returns the number of workers of an engine. Asked once: the answer takes a dozen system calls.
fn workers() -> usize {
    static WORKERS: OnceLock<usize> = OnceLock::new();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    *WORKERS.get_or_init(|| cores().min(MAX_WORKERS))
}
