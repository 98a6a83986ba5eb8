//! The engine depends on no runtime of its caller: it works in one, in several or in none, and outlives
//! each of them.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use async_trait::async_trait;
use execution_engine::*;
use tempfile::TempDir;
use test_support::*;
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// Creates a runtime without timers and without I/O.
fn bare_runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Minimal executor, which shows that tokio is not needed.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut work = pin!(work);
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the future was not woken");
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park_timeout(PATIENCE),
        }
    }
}

/// Returns a program that runs until a file exists, and a way to create it.
fn gated(home: &TempDir) -> (ExecutionRequest, PathBuf) {
    let gate = home.path().join("gate");
    (shell(format!("{}; echo done", wait_for(&gate))), gate)
}

fn is_done(result: &ExecutionResult) -> bool {
    result.success && result.stdout == "done\n"
}

// ------------------------------------------------------------------------------------------------ none

#[test]
fn engine_needs_no_runtime() {
    let home = TempDir::new().unwrap();
    let engine = engine_with(|config| config.log_dir = Some(home.path().to_path_buf()));
    let result = block_on(engine.run(shell("echo done"))).unwrap();
    assert!(is_done(&result), "{result:?}");
    assert!(block_on(engine.read_logs(result.id)).unwrap().contains("out | done\n"));
    assert_eq!(block_on(engine.list_executions()).len(), 1);

    let id = block_on(engine.execute(shell("sleep 60"))).unwrap();
    block_on(engine.cancel(id)).unwrap();
    assert_eq!(block_on(engine.wait_for_completion(id)).unwrap().ending, Ending::Cancelled);
    block_on(engine.shutdown(Duration::ZERO));
}

#[test]
fn timeout_fires_without_polling() {
    let engine = engine();
    let request = shell("sleep 60").timeout(Duration::from_millis(50));
    let id = at_once(engine.execute(request)).unwrap();
    let has_ended = || at_once(engine.get_result(id)).unwrap().is_some();
    runtime().block_on(until("its time is up", has_ended));
    assert_eq!(at_once(engine.get_status(id)), Ok(ExecutionStatus::Timeout));
}

// --------------------------------------------------------------------------------------------- several

#[test]
fn runtime_without_timers_and_io_is_enough() {
    let engine = engine();
    let request = shell("echo done").timeout(Duration::from_secs(60));
    let result = bare_runtime().block_on(engine.run(request)).unwrap();
    assert!(is_done(&result), "{result:?}");
}

#[test]
fn execution_outlives_the_runtime_that_started_it() {
    let home = TempDir::new().unwrap();
    let (request, gate) = gated(&home);
    let first = runtime();
    let (engine, id) = first.block_on(async {
        let engine = engine();
        let id = engine.execute(request).await.unwrap();
        (engine, id)
    });
    drop(first);
    let status = runtime().block_on(engine.get_status(id));
    assert_eq!(status, Ok(ExecutionStatus::Running));

    std::fs::write(gate, "").unwrap();
    let result = runtime().block_on(soon("its end", engine.wait_for_completion(id))).unwrap();
    assert!(is_done(&result), "{result:?}");
    let again = runtime().block_on(soon("another", engine.run(shell("echo done")))).unwrap();
    assert!(is_done(&again), "{again:?}");
}

#[test]
fn dropped_runtime_drops_its_waiters_only() {
    let home = TempDir::new().unwrap();
    let (request, gate) = gated(&home);
    let id = request.id;
    let engine = engine();
    let first = runtime();
    let waiter = {
        let engine = engine.clone();
        first.spawn(async move { engine.run(request).await })
    };
    runtime().block_on(until("it runs", || {
        at_once(engine.get_status(id)) == Ok(ExecutionStatus::Running)
    }));
    first.shutdown_background();
    let gone = runtime().block_on(soon("the waiter's end", waiter));
    assert!(gone.unwrap_err().is_cancelled());

    std::fs::write(gate, "").unwrap();
    let result = block_on(engine.wait_for_completion(id)).unwrap();
    assert!(is_done(&result), "{result:?}");
}

#[test]
fn execution_continues_while_its_runtime_is_blocked() {
    let home = TempDir::new().unwrap();
    let engine = engine();
    let only_thread = Builder::new_current_thread().enable_all().build().unwrap();
    let marker = home.path().join("marker");
    // More than a pipe holds, so that the engine must be reading.
    let line = format!("seq 1 100000; echo >'{}'", marker.display());
    let id = only_thread.block_on(engine.execute(shell(line))).unwrap();
    let has_ended = || marker.exists() && at_once(engine.running_count()) == 0;
    runtime().block_on(until("it has ended", has_ended));
    let result = only_thread.block_on(engine.wait_for_completion(id)).unwrap();
    assert!(result.stdout.ends_with("99999\n100000\n"), "{result:?}");
}

#[test]
fn waiters_on_different_runtimes_are_woken() {
    let home = TempDir::new().unwrap();
    let (request, gate) = gated(&home);
    let engine = engine();
    let id = at_once(engine.execute(request)).unwrap();
    let wait = || engine.wait_for_completion(id);
    let results = std::thread::scope(|scope| {
        let waiters = [
            scope.spawn(|| runtime().block_on(wait())),
            scope.spawn(|| bare_runtime().block_on(wait())),
            scope.spawn(|| block_on(wait())),
        ];
        std::fs::write(gate, "").unwrap();
        waiters.map(|waiter| waiter.join().unwrap().unwrap())
    });
    assert!(results.iter().all(is_done), "{results:?}");
}

#[test]
fn wait_may_move_between_runtimes() {
    let home = TempDir::new().unwrap();
    let (request, gate) = gated(&home);
    let engine = engine();
    let mut run = Box::pin(engine.run(request));
    let first = runtime();
    first.block_on(async {
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(run.as_mut().poll(&mut nobody).is_pending());
    });
    drop(first);
    std::fs::write(gate, "").unwrap();
    let result = runtime().block_on(soon("its end", run)).unwrap();
    assert!(is_done(&result), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_may_come_from_many_tasks_and_threads() {
    fn travels<T: Clone + Send + Sync + 'static>(value: T) -> T {
        value
    }

    let engine = travels(engine());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let engine = engine.clone();
        tasks.spawn(async move {
            let result = engine.run(shell(format!("exit {number}"))).await.unwrap();
            (result.exit_code, number)
        });
    }
    let results = soon("all of them", tasks.join_all()).await;
    assert!(results.iter().all(|(code, number)| code == number), "{results:?}");
}

// --------------------------------------------------------------------------------------------- dropped

/// Starts a program that does not end by itself, and returns its process id.
async fn start_endless(engine: &ExecutionEngine, recorder: &Recorder) -> u32 {
    let id = engine.execute(shell("sleep 60")).await.unwrap();
    let events = recorder.when(id, |events| !events.is_empty()).await;
    match events[0] {
        ExecutionEvent::Started { pid, .. } => pid,
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn engine_may_be_dropped_in_a_current_thread_runtime() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let pid = start_endless(&engine, &recorder).await;
    drop(engine);
    until("its program is gone", || !is_alive(pid)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engine_may_be_dropped_in_a_multi_thread_runtime() {
    let recorder = Recorder::new();
    let engine = Arc::new(engine().with_event_handler(recorder.clone()));
    Arc::clone(&engine).start_cleanup_task();
    let pid = start_endless(&engine, &recorder).await;
    tokio::spawn(async move { drop(engine) }).await.unwrap();
    until("its program is gone", || !is_alive(pid)).await;
}

#[tokio::test]
async fn unused_engine_may_be_dropped_anywhere() {
    drop(engine());
    drop(engine().with_event_handler(Recorder::new()));
    let engine = Arc::new(engine());
    Arc::clone(&engine).start_cleanup_task();
    drop(engine);
}

/// Handler that drops its engine at the first line.
#[derive(Default)]
struct Drops {
    engine: Mutex<Option<ExecutionEngine>>,
    dropped: tokio::sync::Notify,
}

#[async_trait]
impl EventHandler for Drops {
    async fn handle_event(&self, event: ExecutionEvent) {
        if let ExecutionEvent::Stdout { .. } = event {
            drop(self.engine.lock().unwrap().take());
            self.dropped.notify_one();
        }
    }
}

/// Handler that ends a runtime of its own when it is dropped, which panics inside of async code.
struct OwnsARuntime {
    runtime: Option<Runtime>,
    has_ended: Arc<AtomicBool>,
}

#[async_trait]
impl EventHandler for OwnsARuntime {
    async fn handle_event(&self, _event: ExecutionEvent) {}
}

impl Drop for OwnsARuntime {
    fn drop(&mut self) {
        drop(self.runtime.take());
        self.has_ended.store(true, Ordering::Release);
    }
}

#[tokio::test]
async fn handler_with_its_own_runtime_may_be_dropped() {
    for with_plan in [false, true] {
        for _ in 0..5 {
            let has_ended = Arc::new(AtomicBool::new(false));
            let handler =
                OwnsARuntime { runtime: Some(bare_runtime()), has_ended: Arc::clone(&has_ended) };
            let engine = engine().with_event_handler(Arc::new(handler));
            if with_plan {
                let plan = ExecutionPlan::serial([shell("sleep 60")]);
                engine.execute_plan(plan).await.unwrap();
            } else {
                engine.execute(shell("sleep 60")).await.unwrap();
            }
            // A running execution usually holds the handler for longer. Otherwise this thread drops it.
            std::thread::spawn(move || drop(engine)).join().unwrap();
            until("the runtime of the handler has ended", || has_ended.load(Ordering::Acquire))
                .await;
        }
    }
}

#[tokio::test]
async fn handler_may_drop_the_last_handle_of_its_engine() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("pid");
    let handler = Arc::new(Drops::default());
    let engine = engine().with_event_handler(handler.clone());
    *handler.engine.lock().unwrap() = Some(engine.clone());
    let line = format!("echo $$ >'{}'; echo now; sleep 60", file.display());
    engine.execute(shell(line)).await.unwrap();
    drop(engine);
    soon("the last handle is dropped", handler.dropped.notified()).await;
    let pid = pids(&when_written(&file).await)[0];
    until("its program is gone", || !is_alive(pid)).await;
}
