//! The engine's own tokio runtime: executions do not run on the caller's, which may be dropped,
//! blocked or no longer polled while they run.

use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::events::forbid_user_code;

/// More threads than this do not make pipes faster.
const MAX_WORKERS: usize = 4;

/// The threads of one engine, started with its first execution.
///
/// It belongs to what the executions of an engine share, and every task holds that. So it ends when
/// the engine was dropped and its last execution has ended, often on one of its own workers.
#[derive(Debug, Default)]
pub(crate) struct EngineRuntime(OnceLock<Runtime>);

impl EngineRuntime {
    /// Starts the threads, unless they run.
    pub(crate) fn start(&self) -> io::Result<()> {
        if self.0.get().is_none() {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let new = Builder::new_multi_thread()
                .worker_threads(cores.min(MAX_WORKERS))
                .thread_name("execution-worker")
                .thread_keep_alive(Duration::from_secs(1))
                .on_thread_start(|| {
                    // These threads write to the standard input of programs that may end at any
                    // moment, and to logs that may be FIFOs whose reader ends. A thread starts with
                    // the signal mask of the thread that starts it, so each one sets its own.
                    execution_engine_process::hold_broken_pipe_signals();
                    forbid_user_code();
                })
                .enable_all()
                .build()?;
            if let Err(second) = self.0.set(new) {
                // Another thread was faster.
                second.shutdown_background();
            }
        }
        Ok(())
    }

    /// Runs a task on the workers, which must have been started.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.0.get() {
            runtime.spawn(task);
        }
    }

    /// Runs `work` on a thread that may block. May be awaited on any runtime.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        self.start()?;
        let runtime = self.0.get().ok_or(io::ErrorKind::NotConnected)?;
        runtime.spawn_blocking(work).await.map_err(io::Error::other)
    }
}

impl Drop for EngineRuntime {
    fn drop(&mut self) {
        // Dropping a runtime inside async code panics, and waiting for its threads could take for
        // ever: a disk may not answer.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
