//! The output sink: it gets each byte once and in order, holds the program back, and keeps no
//! execution from ending.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use execution_engine::*;
use test_support::*;
use tokio::sync::Semaphore;

/// What a sink was called with.
#[derive(Debug, Clone, PartialEq)]
enum Call {
    Started(u32, u32),
    Output(u32, OutputStream, Vec<u8>),
    Retrying(u32, Ending),
}

/// What a sink does with a write.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Behaviour {
    Takes,
    Fails,
    Panics,
    NeverReturns,
    /// Returns when the test permits it.
    Waits,
}

struct TestSink {
    calls: Mutex<Vec<(Uuid, Call)>>,
    behaviour: Mutex<Behaviour>,
    permits: Semaphore,
    /// How many writes were begun.
    tries: AtomicUsize,
}

impl TestSink {
    fn new(behaviour: Behaviour) -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            behaviour: Mutex::new(behaviour),
            permits: Semaphore::new(0),
            tries: AtomicUsize::new(0),
        })
    }

    fn tries(&self) -> usize {
        self.tries.load(Ordering::SeqCst)
    }

    fn calls(&self, id: Uuid) -> Vec<Call> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(of, _)| *of == id).map(|(_, call)| call.clone()).collect()
    }

    fn bytes(&self, id: Uuid, wanted: OutputStream) -> Vec<u8> {
        let bytes = self.calls(id).into_iter().filter_map(|call| match call {
            Call::Output(_, stream, bytes) if stream == wanted => Some(bytes),
            _ => None,
        });
        bytes.flatten().collect()
    }

    fn note(&self, id: Uuid, call: Call) {
        self.calls.lock().unwrap().push((id, call));
    }

    fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }
}

#[async_trait]
impl OutputSink for TestSink {
    async fn write(&self, chunk: OutputChunk) -> io::Result<()> {
        let behaviour = *self.behaviour.lock().unwrap();
        self.tries.fetch_add(1, Ordering::SeqCst);
        match behaviour {
            Behaviour::Takes => {}
            Behaviour::Fails => return Err(io::Error::other("no room on the test's disk")),
            Behaviour::Panics => panic!("the sink of this test panics"),
            Behaviour::NeverReturns => std::future::pending().await,
            Behaviour::Waits => self.permits.acquire().await.unwrap().forget(),
        }
        let output = Call::Output(chunk.attempt, chunk.stream, chunk.bytes.to_vec());
        self.note(chunk.execution_id, output);
        Ok(())
    }

    async fn started(&self, execution_id: Uuid, attempt: u32, pid: u32) {
        self.note(execution_id, Call::Started(attempt, pid));
    }

    async fn retrying(&self, execution_id: Uuid, attempt: u32, ending: &Ending, _: Duration) {
        self.note(execution_id, Call::Retrying(attempt, ending.clone()));
    }
}

/// Creates an engine that keeps so much itself and has this sink.
fn engine_for(sink: &Arc<TestSink>, kept: usize) -> ExecutionEngine {
    let config = ExecutionConfig { max_output_size_bytes: kept, ..Default::default() };
    let builder = ExecutionEngine::builder().config(config).drain_limit(Duration::from_millis(300));
    builder.output_sink(Arc::clone(sink) as _).build().unwrap()
}

#[tokio::test]
async fn it_gets_each_byte_whatever_is_kept() {
    let expected = numbers(100_000);
    for kept in [0, 1000, 10_000_000] {
        let sink = TestSink::new(Behaviour::Takes);
        let engine = engine_for(&sink, kept);
        let result = run(&engine, shell("seq 100000; seq 7 >&2")).await;
        assert!(result.success && result.output_error.is_none(), "{result:?}");
        let [stdout, stderr] = [OutputStream::Stdout, OutputStream::Stderr];
        assert!(sink.bytes(result.id, stdout) == expected.as_bytes(), "not byte for byte: {kept}");
        assert_eq!(sink.bytes(result.id, stderr), numbers(7).as_bytes());
        assert_eq!(result.stdout_stats.seen_bytes, expected.len() as u64);
        assert_eq!(result.stdout_bytes().len(), expected.len().min(kept), "{kept}");
        let pid = engine.get_summary(result.id).await.unwrap().pid.unwrap();
        assert_eq!(sink.calls(result.id)[0], Call::Started(1, pid));
    }
}

#[tokio::test]
async fn without_a_sink_nothing_can_be_kept_by_nobody() {
    let config = ExecutionConfig { max_output_size_bytes: 0, ..Default::default() };
    assert!(ExecutionEngine::builder().config(config).build().is_err());
}

#[tokio::test]
async fn attempts_are_told_in_order_with_their_output() {
    let sink = TestSink::new(Behaviour::Takes);
    let engine = engine_for(&sink, 0);
    let retry = RetryPolicy::new(3).initial_delay(Duration::ZERO);
    let options = ExecutionOptions::default().retry(retry);
    let result = run_with(&engine, shell("echo out; exit 7"), options).await;
    assert_eq!((&result.ending, result.attempts), (&Ending::Exited { code: 7 }, 3));
    let mut attempt = 0;
    let calls = sink.calls(result.id);
    assert_eq!(calls.len(), 8, "{calls:?}");
    for calls in calls.chunks(3) {
        attempt += 1;
        assert!(matches!(calls[0], Call::Started(number, _) if number == attempt), "{calls:?}");
        let output = Call::Output(attempt, OutputStream::Stdout, b"out\n".to_vec());
        assert_eq!(calls[1], output);
        if let Some(last) = calls.get(2) {
            assert_eq!(*last, Call::Retrying(attempt, Ending::Exited { code: 7 }));
        }
    }
}

#[tokio::test]
async fn a_slow_sink_holds_its_program_back_and_no_other() {
    let sink = TestSink::new(Behaviour::Waits);
    let engine = engine_for(&sink, 0);
    let id = engine.execute(shell("seq 500000")).await.unwrap();
    let other = TestSink::new(Behaviour::Takes);
    assert!(run(&engine_for(&other, 0), shell("seq 1000")).await.success);
    // Far more than a pipe holds, so the program cannot end.
    assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Running);
    assert_eq!(sink.bytes(id, OutputStream::Stdout), b"");
    let summary = engine.get_summary(id).await.unwrap();
    assert!(summary.stdout_stats.seen_bytes <= 2 * 1024 * 1024, "{summary:?}");
    sink.permits.add_permits(100_000);
    let result = ended(&engine, id).await;
    assert!(result.success && result.output_error.is_none(), "{result:?}");
    assert!(sink.bytes(id, OutputStream::Stdout) == numbers(500_000).as_bytes());
}

#[tokio::test]
async fn what_a_program_leaves_at_its_exit_waits_for_a_slow_sink() {
    let sink = TestSink::new(Behaviour::Waits);
    let engine = engine_for(&sink, 0);
    let id = engine.execute(shell("echo last words")).await.unwrap();
    // Longer than the drain limit.
    pause(Duration::from_secs(1)).await;
    assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Running);
    // Nothing is there to be controlled, and the call does not wait either.
    let refused = soon("the refusal", engine.signal(id, Signal::Interrupt)).await;
    assert!(matches!(refused, Err(ExecutionError::Control { .. })), "{refused:?}");
    sink.permits.add_permits(10);
    let result = ended(&engine, id).await;
    assert!(result.success && result.output_error.is_none(), "{result:?}");
    assert_eq!(sink.bytes(id, OutputStream::Stdout), b"last words\n");
}

#[tokio::test]
async fn machine_that_is_too_busy_for_the_drain_limit_costs_the_sink_nothing() {
    let sink = TestSink::new(Behaviour::Waits);
    let builder = ExecutionEngine::builder().drain_limit(Duration::from_nanos(1));
    let engine = builder.output_sink(Arc::clone(&sink) as _).build().unwrap();
    let id = engine.execute(shell("echo out; seq 9000 >&2")).await.unwrap();
    until("the first write", || sink.tries() == 1).await;
    // The program has exited, and stderr was not read since the sink has not returned.
    until("the exit", || {
        let calls = sink.calls(id);
        let Some(Call::Started(_, pid)) = calls.first() else { return false };
        !std::path::Path::new(&format!("/proc/{pid}/exe")).exists()
    })
    .await;
    sink.permits.add_permits(100);
    let result = ended(&engine, id).await;
    assert!(result.success && result.output_error.is_none(), "{result:?}");
    assert_eq!(sink.bytes(id, OutputStream::Stdout), b"out\n");
    assert!(sink.bytes(id, OutputStream::Stderr) == numbers(9000).as_bytes());
}

#[tokio::test]
async fn a_sink_that_fails_or_panics_is_told_and_asked_again() {
    for behaviour in [Behaviour::Fails, Behaviour::Panics] {
        let sink = TestSink::new(behaviour);
        let engine = engine_for(&sink, 1000);
        let dir = tempfile::tempdir().unwrap();
        let go = dir.path().join("go");
        let line = format!("echo lost; {}; echo written", wait_for(&go));
        let id = engine.execute(shell(line)).await.unwrap();
        until("the failed write", || sink.tries() == 1).await;
        sink.behave(Behaviour::Takes);
        std::fs::write(&go, "").unwrap();
        let result = ended(&engine, id).await;
        assert!(result.success, "{behaviour:?}: {result:?}");
        assert_eq!(result.stdout, "lost\nwritten\n");
        assert_eq!(sink.bytes(id, OutputStream::Stdout), b"written\n");
        let error = result.output_error.unwrap();
        assert!(error.contains("5 bytes of stdout and 0 bytes of stderr"), "{error}");
        let reason = if behaviour == Behaviour::Fails { "no room on" } else { "panicked" };
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_sink_that_never_returns_keeps_nothing_from_ending() {
    let sink = TestSink::new(Behaviour::NeverReturns);
    let engine = engine_for(&sink, 1_000_000);
    let busy = || shell("exec seq 10000000");
    let cancelled = engine.execute(busy()).await.unwrap();
    until("the first write", || sink.tries() == 1).await;
    engine.cancel(cancelled).await.unwrap();
    let result = ended(&engine, cancelled).await;
    assert_eq!(result.ending, Ending::Cancelled);
    assert!(result.containment.survivors.is_empty(), "{result:?}");
    let error = result.output_error.unwrap();
    let missed = format!("{} bytes of stdout", result.stdout_stats.seen_bytes);
    assert!(error.contains(&missed) && error.contains("did not return in time"), "{error}");

    let result = run(&engine, busy().timeout(Duration::from_millis(300))).await;
    assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 300 });

    // It has exited, so that is its ending; its timeout only limits the wait for the sink.
    let result = run(&engine, shell("echo short; exit 3").timeout(Duration::from_secs(1))).await;
    assert_eq!(result.ending, Ending::Exited { code: 3 });
    assert!(result.output_error.unwrap().contains("6 bytes of stdout"));

    let tries = sink.tries();
    let waiting = engine.execute(shell("echo waiting")).await.unwrap();
    until("its first write", || sink.tries() > tries).await;
    let report = soon("the shutdown", engine.shutdown(Duration::from_millis(100))).await;
    assert_eq!(report.survivors, []);
    assert!(ended(&engine, waiting).await.output_error.is_some());
}

#[tokio::test]
async fn a_program_without_pipes_is_told_while_it_runs() {
    let sink = TestSink::new(Behaviour::Takes);
    let engine = engine_for(&sink, 0);
    let id = engine.execute(shell("exec >&- 2>&-; exec sleep 1000")).await.unwrap();
    until("its start", || !sink.calls(id).is_empty()).await;
    engine.cancel(id).await.unwrap();
    assert_eq!(ended(&engine, id).await.output_error, None);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_not_told() {
    let sink = TestSink::new(Behaviour::Takes);
    let engine = engine_for(&sink, 0);
    let dir = tempfile::tempdir().unwrap();
    let program = executable(dir.path().join("broken"), "\x7fELF and no more");
    let result = run(&engine, exec(program)).await;
    assert!(matches!(result.ending, Ending::SpawnFailed { .. }), "{result:?}");
    assert_eq!(sink.calls(result.id), []);
}
