//! The engine's own tokio runtimes: executions and handlers do not run on the caller's, which may be
//! dropped, blocked or no longer polled meanwhile.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// More threads than this do not make pipes faster.
const MAX_WORKERS: usize = 4;

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Returns true on a thread that runs executions. Code of the user must not run there.
pub(crate) fn is_worker() -> bool {
    // A thread that is ending has lost its thread-locals; no execution runs there any more.
    IS_WORKER.try_with(Cell::get).unwrap_or(false)
}

/// Runtime that is started when it is first needed, and not waited for when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct LazyRuntime(OnceLock<Runtime>);

/// The threads of one engine, started with its first execution.
///
/// Each has a runtime and so a reactor of its own. With one reactor for all, chunks of busy programs
/// moved between cores: two at a time had 15 % less throughput, and the allocator kept 4 MB more.
///
/// It belongs to what the executions of an engine share, and every task holds that. So it ends when
/// the engine was dropped and its last execution has ended, often on one of its own workers.
#[derive(Debug, Default)]
pub(crate) struct EngineRuntime([LazyRuntime; MAX_WORKERS]);

impl EngineRuntime {
    /// Starts the threads, unless they run. Returns the first of them.
    pub(crate) fn start(&self) -> io::Result<&Runtime> {
        for worker in &self.0[..workers()] {
            worker.start("execution-worker", |builder| {
                builder.worker_threads(1).on_thread_start(|| {
                    // These threads write to the standard input of programs that may end at any
                    // moment, and to logs that may be FIFOs whose reader ends. A thread starts with
                    // the signal mask of the thread that starts it, so each one sets its own.
                    execution_engine_process::hold_broken_pipe_signals();
                    IS_WORKER.set(true);
                });
            })?;
        }
        self.0[0].get().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Runs a task on the worker that has the fewest; the workers must have been started.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let workers = self.0.iter().filter_map(LazyRuntime::get);
        if let Some(worker) = workers.min_by_key(|worker| worker.metrics().num_alive_tasks()) {
            worker.spawn(task);
        }
    }

    /// Runs `work` on a thread that may block. May be awaited on any runtime.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.start()?.spawn_blocking(work).await.map_err(io::Error::other)?
    }
}

/// Returns the number of workers of an engine. Asked once: the answer takes a dozen system calls.
fn workers() -> usize {
    static WORKERS: OnceLock<usize> = OnceLock::new();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    *WORKERS.get_or_init(|| cores().min(MAX_WORKERS))
}

impl LazyRuntime {
    /// Returns the runtime. Starts it first if it does not run.
    pub(crate) fn start(
        &self,
        thread_name: &str,
        configure: impl FnOnce(&mut Builder),
    ) -> io::Result<&Runtime> {
        if let Some(runtime) = self.0.get() {
            return Ok(runtime);
        }
        let mut builder = Builder::new_multi_thread();
        builder.thread_name(thread_name).thread_keep_alive(Duration::from_secs(1)).enable_all();
        configure(&mut builder);
        let mut new = Some(builder.build()?);
        let runtime = self.0.get_or_init(|| new.take().expect("it is called once"));
        if let Some(second) = new {
            // Another thread was faster.
            second.shutdown_background();
        }
        Ok(runtime)
    }

    /// Returns the runtime, if it runs.
    pub(crate) fn get(&self) -> Option<&Runtime> {
        self.0.get()
    }
}

impl Drop for LazyRuntime {
    fn drop(&mut self) {
        // Dropping a runtime inside async code panics, and waiting for its threads could take for
        // ever: a disk may not answer, a handler may be stuck.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
