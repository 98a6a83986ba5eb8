//! The engine's own threads. Executions live here and not on the caller's runtime, which may be
//! dropped, blocked or gone while they run.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

use crate::events::forbid_user_code;

/// More threads than this do not make pipes faster.
const MAX_WORKERS: usize = 4;

/// The threads of one engine, started with its first execution. They end by themselves when the
/// engine is gone and their executions have ended.
#[derive(Debug, Default)]
pub(crate) struct WorkerPool {
    lanes: OnceLock<Box<[Worker]>>,
    /// As many for plans, which start programs: so a start holds up no execution that runs. Made
    /// with the first plan.
    planners: OnceLock<Box<[Worker]>>,
}

/// One thread with a reactor of its own, so that the executions on it share buffers and nothing
/// has to move between cores.
#[derive(Debug)]
struct Worker {
    handle: Handle,
    load: Arc<AtomicUsize>,
    keep: KeepAlive,
}

/// Held by the driver and by every task of a lane: when the last one is dropped, the thread ends.
type KeepAlive = mpsc::Sender<Infallible>;

/// Counts an execution on its lane for as long as it is there.
struct LoadGuard {
    count: Arc<AtomicUsize>,
    _keep: KeepAlive,
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl WorkerPool {
    /// Starts the threads if they are not there yet.
    pub(crate) fn ready(&self) -> io::Result<()> {
        start(&self.lanes)
    }

    /// Starts the threads for plans, too.
    pub(crate) fn ready_for_plans(&self) -> io::Result<()> {
        start(&self.planners)?;
        self.ready()
    }

    /// Runs `task` on the thread that has the least to do.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        spawn(&self.lanes, task);
    }

    /// The same for a task of a plan, which starts programs.
    pub(crate) fn plan(&self, task: impl Future<Output = ()> + Send + 'static) {
        spawn(&self.planners, task);
    }

    /// Runs `work` where blocking is allowed; may be awaited on any runtime.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        self.ready()?;
        let lane = self.lanes.get().and_then(|lanes| lanes.first());
        let lane = lane.ok_or(io::ErrorKind::NotConnected)?;
        lane.handle.spawn_blocking(work).await.map_err(io::Error::other)
    }
}

fn start(lanes: &OnceLock<Box<[Worker]>>) -> io::Result<()> {
    if lanes.get().is_none() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let new: io::Result<Box<[Worker]>> =
            (0..cores.min(MAX_WORKERS)).map(|_| Worker::start()).collect();
        // If another thread was faster, these lanes close again by being dropped.
        let _lost_race = lanes.set(new?);
    }
    Ok(())
}

fn spawn(lanes: &OnceLock<Box<[Worker]>>, task: impl Future<Output = ()> + Send + 'static) {
    let lanes = lanes.get().map_or(&[][..], |lanes| lanes);
    if let Some(lane) = lanes.iter().min_by_key(|lane| lane.load.load(Ordering::Relaxed)) {
        lane.spawn(task);
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("execution-files")
            // Files may be pipes, too, and whose thread starts one of these is not known.
            .on_thread_start(execution_engine_process::hold_broken_pipe_signals)
            .thread_keep_alive(std::time::Duration::from_secs(1))
            .build()?;
        let (keep, mut kept) = mpsc::channel(1);
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name("execution-driver".to_string()).spawn(move || {
            // This thread writes to the standard input of programs that may end at any moment.
            execution_engine_process::hold_broken_pipe_signals();
            forbid_user_code();
            runtime.block_on(kept.recv());
            // A disk that does not answer must not keep this thread.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, load: Arc::default(), keep })
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.load.fetch_add(1, Ordering::Relaxed);
        let load = LoadGuard { count: Arc::clone(&self.load), _keep: self.keep.clone() };
        self.handle.spawn(CountedTask { task, _load: load });
    }
}

pin_project! {
    /// A task and its load. An async block around the task would hold it twice, before it is polled
    /// and while it is, and tasks are the largest part of what an execution takes.
    struct CountedTask<F> {
        #[pin]
        task: F,
        _load: LoadGuard,
    }
}

impl<F: Future> Future for CountedTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().task.poll(cx)
    }
}
