//! The blocking API: it needs no runtime, works inside one, and is refused where it would wait for
//! itself.

use std::fs;
use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use async_trait::async_trait;
use execution_engine::*;
use test_support::*;

/// Does `work` on a thread without a runtime, in bounded time.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    done.recv_timeout(PATIENCE).expect("it blocks for ever, or has panicked")
}

fn blocking_engine() -> blocking::ExecutionEngine {
    engine().into()
}

fn stdout_lines(records: impl Iterator<Item = EventRecord>) -> Vec<String> {
    let line = |record: EventRecord| match record.event {
        ExecutionEvent::Stdout { line, .. } => Some(line),
        _ => None,
    };
    records.filter_map(line).collect()
}

/// Reads records until there is none in this time.
fn read(events: &mut blocking::Events, timeout: Duration) -> RecvTimeoutError {
    loop {
        if let Err(error) = events.next_timeout(timeout) {
            return error;
        }
    }
}

#[test]
fn calls_block_until_the_end_without_a_runtime() {
    on_a_thread(|| {
        let engine = blocking_engine();
        let result = engine.run(shell("echo hello; exit 3")).unwrap();
        assert_eq!((result.stdout.as_str(), result.exit_code), ("hello\n", 3));
        let id = engine.execute(shell("echo again")).unwrap();
        let result = engine.wait_for_completion(id).unwrap();
        assert_eq!(result.stdout, "again\n");
        assert_eq!(engine.get_result(id), Ok(Some(result)));
        assert_eq!(engine.list_executions().len(), 2);
        let refused = engine.run(ExecutionRequest::program("no-such-program"));
        assert_eq!(refused.unwrap_err().error_code(), "program_not_found");
        let plan = ExecutionPlan::serial([shell("echo one"), shell("exit 3")]);
        assert_eq!(engine.run_plan(plan).unwrap().stats.failed, 1);
    });
}

#[test]
fn wait_with_a_timeout_returns_and_stops_nothing() {
    on_a_thread(|| {
        let engine = blocking_engine();
        let execution = engine.start(shell("read line; echo \"$line\"")).unwrap();
        // Its input is empty, so it ends by itself.
        assert!(execution.wait_timeout(Duration::MAX).unwrap().is_some());

        let options = ExecutionOptions::default().stdin(StdinSource::Piped);
        let execution = engine.start_with(exec("cat"), options).unwrap();
        let short = Duration::from_millis(20);
        for _ in 0..3 {
            assert_eq!(execution.wait_timeout(short), Ok(None));
            assert_eq!(execution.wait_timeout(Duration::ZERO), Ok(None));
            let waited = engine.wait_for_completion_timeout(execution.id(), short);
            assert_eq!(waited, Ok(None));
        }
        assert_eq!(execution.status(), Ok(ExecutionStatus::Running));
        execution.stdin().write("still there\n").unwrap();
        execution.stdin().close().unwrap();
        let result = execution.wait_timeout(PATIENCE).unwrap().expect("it has ended");
        assert_eq!(result.stdout, "still there\n");
        assert_eq!(execution.wait_timeout(Duration::ZERO), Ok(Some(result)), "it only looks");

        let plan = engine.execute_plan(ExecutionPlan::serial([exec("sleep")])).unwrap();
        let request = ExecutionRequest::exec("sleep", ["60"]);
        let stuck = engine.execute_plan(ExecutionPlan::serial([request])).unwrap();
        assert_eq!(engine.wait_for_plan_timeout(stuck, short), Ok(None));
        assert!(engine.wait_for_plan_timeout(plan, PATIENCE).unwrap().is_some());
        engine.cancel_plan(stuck).unwrap();
        assert_eq!(engine.wait_for_plan(stuck).unwrap().status, ExecutionStatus::Cancelled);
    });
}

#[test]
fn events_are_an_iterator_that_ends_with_the_execution() {
    on_a_thread(|| {
        let engine = blocking_engine();
        let all = engine.subscribe_all();
        let execution = engine.start(shell("seq 1000")).unwrap();
        let expected: Vec<_> = (1..=1000).map(|number| number.to_string()).collect();
        assert_eq!(stdout_lines(execution.events().unwrap()), expected, "live");
        assert_eq!(stdout_lines(engine.subscribe(execution.id()).unwrap()), expected, "replayed");
        let mut bytes = Vec::new();
        for record in execution.chunks().unwrap() {
            if let ChunkContent::Output { bytes: chunk, .. } = record.content {
                bytes.extend_from_slice(&chunk);
            }
        }
        assert_eq!(bytes, execution.wait().unwrap().stdout.as_bytes());
        drop((engine, execution));
        assert_eq!(stdout_lines(all), expected, "it ends with the engine");
    });
}

#[test]
fn next_record_can_be_waited_for_with_a_timeout() {
    on_a_thread(|| {
        let engine = blocking_engine();
        let options = ExecutionOptions::default().stdin(StdinSource::Piped);
        let execution = engine.start_with(exec("cat"), options).unwrap();
        let mut events = execution.events().unwrap();
        assert_eq!(read(&mut events, Duration::from_millis(20)), RecvTimeoutError::Timeout);
        execution.stdin().write("hello\n").unwrap();
        let line = events.next_timeout(PATIENCE).unwrap().event;
        assert!(
            matches!(&line, ExecutionEvent::Stdout { line, .. } if line == "hello"),
            "{line:?}"
        );
        execution.stdin().close().unwrap();
        assert_eq!(read(&mut events, PATIENCE), RecvTimeoutError::Disconnected);
        assert_eq!(events.next(), None);
    });
}

#[test]
fn stdin_is_a_writer() {
    on_a_thread(|| {
        let engine = blocking_engine();
        let options = || ExecutionOptions::default().stdin(StdinSource::Piped);
        // More than both pipes hold.
        let copy = engine.start_with(exec("cat"), options()).unwrap();
        let much = "some line\n".repeat(100_000);
        let mut stdin = copy.stdin();
        std::io::copy(&mut much.as_bytes(), &mut stdin).unwrap();
        stdin.flush().unwrap();
        stdin.close().unwrap();
        let error = stdin.write_all(b"too late").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{error}");
        assert_eq!(copy.wait().unwrap().stdout, much);

        let deaf = engine.start_with(shell("exec <&-; echo deaf; sleep 60"), options()).unwrap();
        stdout_lines(
            deaf.events()
                .unwrap()
                .take_while(|record| !matches!(record.event, ExecutionEvent::Stdout { .. })),
        );
        // A program that another test starts meanwhile may hold a copy of the pipe's reading end until
        // it is executed.
        let mut writes = std::iter::repeat_with(|| deaf.stdin().write_all(b"is it read?"));
        let error = writes.find_map(std::result::Result::err).unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{error}");
        deaf.cancel().unwrap();
        deaf.wait().unwrap();

        let without = engine.start(exec("true")).unwrap();
        without.wait().unwrap();
        assert!(without.stdin().write_all(b"x").is_err());
    });
}

#[test]
fn many_threads_wait_for_one_execution() {
    let engine = blocking_engine();
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let execution = engine.start_with(exec("cat"), options).unwrap();
    let (sender, ends) = mpsc::channel();
    for _ in 0..20 {
        let (execution, sender) = (execution.clone(), sender.clone());
        thread::spawn(move || sender.send(execution.wait().unwrap()).unwrap());
    }
    execution.stdin().close().unwrap();
    for _ in 0..20 {
        assert!(ends.recv_timeout(PATIENCE).unwrap().success);
    }
}

// ------------------------------------------------------------------------------- inside a runtime

#[test]
fn inside_a_runtime_it_blocks_its_thread_and_nothing_else() {
    // More records than one task of tokio may read without a pause.
    let read_many = || {
        let engine = blocking_engine();
        let execution = engine.start(shell("seq 2000")).unwrap();
        let live = stdout_lines(execution.events().unwrap()).len();
        execution.wait().unwrap();
        (live, stdout_lines(execution.events().unwrap()).len())
    };
    let many = on_a_thread(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move { tokio::spawn(async move { read_many() }).await.unwrap() })
    });
    assert_eq!(many, (2000, 2000));
    let many = on_a_thread(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async move { read_many() })
    });
    assert_eq!(many, (2000, 2000));
}

// ----------------------------------------------------------------------------------- from a handler

/// Waits, from its handler, for another execution and for the one whose event it has.
struct Caller {
    engine: Mutex<Option<blocking::ExecutionEngine>>,
    results: Sender<(ExecutionResult, ExecutionResult)>,
}

#[async_trait]
impl EventHandler for Caller {
    async fn handle_event(&self, event: ExecutionEvent) {
        let ExecutionEvent::Stdout { execution_id, line } = event else { return };
        if line != "first" {
            return;
        }
        let engine = self.engine.lock().unwrap().clone().unwrap();
        let other = engine.run(shell("echo other")).unwrap();
        let own = engine.wait_for_completion(execution_id).unwrap();
        self.results.send((other, own)).unwrap();
    }
}

#[test]
fn a_handler_may_wait_for_others_and_for_its_own_execution() {
    let (results, from_handler) = mpsc::channel();
    let handler = Arc::new(Caller { engine: Mutex::default(), results });
    let engine = blocking_engine();
    engine.add_event_handler(Arc::clone(&handler) as _);
    *handler.engine.lock().unwrap() = Some(engine.clone());
    let result = on_a_thread(move || {
        let result = engine.run(shell("echo first; echo second")).unwrap();
        let (other, own) = from_handler.recv_timeout(PATIENCE).unwrap();
        assert_eq!((other.stdout.as_str(), &own), ("other\n", &result));
        engine.wait_until_idle().unwrap();
        result
    });
    assert_eq!(result.stdout, "first\nsecond\n");
    *handler.engine.lock().unwrap() = None;
}

// ----------------------------------------------------------------- on a thread that runs executions

/// Makes blocking calls on the thread that wakes it.
struct CallingWaker {
    engine: blocking::ExecutionEngine,
    calls: Mutex<Vec<&'static str>>,
    woken: Sender<()>,
}

impl Wake for CallingWaker {
    fn wake(self: Arc<Self>) {
        let refused = |call| match call {
            Err(ExecutionError::OnEngineThread) => self.calls.lock().unwrap().push("refused"),
            other => panic!("it is not refused: {other:?}"),
        };
        refused(self.engine.run(exec("true")).map(drop));
        refused(self.engine.wait_for_completion_timeout(Uuid::nil(), PATIENCE).map(drop));
        refused(self.engine.shutdown(Duration::ZERO).map(drop));
        refused(self.engine.wait_until_idle());
        let id = self.engine.execute(exec("true")).unwrap();
        let status = self.engine.get_status(id);
        if status.is_ok() && self.engine.list_executions().len() == 2 {
            self.calls.lock().unwrap().push("may be called");
        }
        let mut events = self.engine.subscribe(id).unwrap();
        // Its panic goes no further than this call.
        let next = std::panic::AssertUnwindSafe(|| events.next());
        if std::panic::catch_unwind(next).is_err() {
            self.calls.lock().unwrap().push("panics");
        }
        self.woken.send(()).unwrap();
    }
}

#[test]
fn on_a_thread_that_runs_executions_waiting_is_refused() {
    let engine = blocking_engine();
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let execution: Execution = engine.start_with(exec("cat"), options).unwrap().into();
    let (woken, is_woken) = mpsc::channel();
    let waker = Arc::new(CallingWaker { engine: engine.clone(), calls: Mutex::default(), woken });
    let mut wait = pin!(execution.wait());
    let std_waker = Waker::from(Arc::clone(&waker));
    assert!(wait.as_mut().poll(&mut Context::from_waker(&std_waker)).is_pending());
    blocking::Execution::from(execution.clone()).stdin().close().unwrap();
    is_woken.recv_timeout(PATIENCE).expect("the calls have not returned");
    let calls = waker.calls.lock().unwrap().clone();
    let refused = ["refused"; 4];
    assert_eq!(calls, [&refused[..], &["may be called", "panics"]].concat());
    let end = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(end, Poll::Ready(Ok(result)) if result.success));
    assert!(on_a_thread(move || engine.run(exec("true"))).unwrap().success, "it still works");
}

// ------------------------------------------------------------------------------------ completeness

/// Returns the names of public functions in the Rust files of a folder.
fn functions(folder: &str, with: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        let lines = source.lines().filter_map(|line| line.trim().strip_prefix(with));
        names.extend(lines.map(|line| line.split(['(', '<']).next().unwrap().to_string()));
    }
    names
}

#[test]
fn every_async_method_has_a_blocking_one() {
    let blocking = functions("blocking", "pub fn ");
    let mut missing = functions("engine", "pub async fn ");
    assert!(missing.len() > 50, "{missing:?}");
    // It takes an async reader; a thread copies into `ExecutionStdin`.
    missing.retain(|name| name != "pipe_stdin" && !blocking.contains(name));
    assert!(missing.is_empty(), "{missing:?}");
}
