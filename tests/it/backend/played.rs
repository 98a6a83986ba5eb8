//! What a place may tell, played by the test: lost attempts and workers, gaps, endings of its own.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use execution_engine::prelude::*;
use test_support::*;

use super::machine::Machine;

fn started(worker: &str, attempt: u32) -> BackendEvent {
    let at = "2026-10-01T12:00:01Z".parse().unwrap();
    BackendEvent::Started {
        place: Place::new(worker, attempt, 10 + u64::from(attempt)),
        pid: 7,
        at,
    }
}

fn stdout(text: &str) -> BackendEvent {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    BackendEvent::Output { stream: OutputStream::Stdout, bytes }
}

fn missed(bytes: u64) -> BackendEvent {
    BackendEvent::OutputMissed { stream: OutputStream::Stdout, bytes }
}

fn ended(id: Uuid, ending: Ending) -> BackendEvent {
    let [from, to] = ["2026-10-01T12:00:01Z", "2026-10-01T12:00:03Z"].map(|at| at.parse().unwrap());
    BackendEvent::Ended(Box::new(ExecutionResult::unobserved(id, from, to, ending)))
}

fn lost(worker: &str, attempts: u32) -> Ending {
    Ending::WorkerLost { worker: worker.to_string(), attempts }
}

#[tokio::test]
async fn after_a_lost_attempt_the_next_one_is_the_result() {
    let machine = Machine::played();
    let recorder = Recorder::new();
    let engine = machine.client().with_event_handler(recorder.clone());
    let options = ExecutionOptions::default()
        .max_attempts(2)
        .requires(Requires::default().pool("builds").cpu_milli(500));
    let id = engine.execute_with(shell("make"), options.clone()).await.unwrap();
    assert_eq!(machine.options_of(id), options);
    let ending = lost("w1", 1);
    let again = BackendEvent::AttemptLost { ending: ending.clone(), delay: Duration::ZERO };
    machine.tell(id, [started("w1", 1), stdout("half a li"), again]);
    machine.tell(id, [started("w2", 2), stdout("whole\n"), ended(id, Ending::Exited { code: 0 })]);
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!((result.success, result.stdout.as_str()), (true, "whole\n"));
    assert_eq!(result.earlier_attempts.len(), 1);
    let earlier = &result.earlier_attempts[0];
    assert_eq!((earlier.number, &earlier.ending), (1, &ending));
    assert_eq!((earlier.stdout.as_str(), earlier.containment.proven), ("half a li", false));
    assert_eq!(result.place, Some(Place::new("w2", 2, 12)));
    assert_eq!(result.duration, Duration::from_secs(2));
    let events = recorder.all_of(id).await;
    assert_eq!(lines_of(&events, OutputStream::Stdout), ["half a li", "whole"]);
    let is_retry = |event: &&ExecutionEvent| matches!(event, ExecutionEvent::Retrying { .. });
    assert_eq!(events.iter().filter(is_retry).count(), 1);
}

#[tokio::test]
async fn a_lost_worker_and_an_unknown_ending_are_endings() {
    let machine = Machine::played();
    let engine = machine.client();
    let unknown = || Ending::Unknown { reason: "both sources are silent".to_string() };
    let cases = [
        (lost("w1", 1), "worker w1 was lost, after 1 attempt", "worker_lost"),
        (unknown(), "ending unknown: both sources are silent", "ending_unknown"),
    ];
    for (ending, text, code) in cases {
        let id = engine.execute(shell("make")).await.unwrap();
        machine.tell(id, [started("w1", 1), stdout("so far\n"), ended(id, ending.clone())]);
        let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
        assert_eq!((&result.ending, result.status), (&ending, ExecutionStatus::Lost));
        assert_eq!((result.error.as_deref(), result.success), (Some(text), false));
        assert_eq!(result.stdout, "so far\n");
        assert!(!result.containment.proven);
        assert_eq!(result.into_result().unwrap_err().error_code(), code);
    }
}

#[tokio::test]
async fn an_execution_that_never_started_has_the_ending_of_the_place() {
    let machine = Machine::played();
    let engine = machine.client();
    let id = engine.execute(shell("make")).await.unwrap();
    assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Pending));
    let mut refused = ExecutionResult::unobserved(
        id,
        "2026-10-01T12:00:00Z".parse().unwrap(),
        "2026-10-01T12:00:00Z".parse().unwrap(),
        Ending::SpawnFailed { reason: "there is no make".to_string(), os_error: Some(2) },
    );
    refused.attempts = 0;
    refused.output_error = Some("nothing was read".to_string());
    machine.tell(id, [BackendEvent::Ended(Box::new(refused))]);
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!((result.attempts, result.place.as_ref()), (0, None));
    assert_eq!(result.error.as_deref(), Some("could not be started: there is no make"));
    assert_eq!(result.output_error.as_deref(), Some("where it ran: nothing was read"));
}

/// Collects what a sink is given.
#[derive(Default)]
struct Collected(Mutex<Vec<(u32, Vec<u8>)>>);

#[async_trait]
impl OutputSink for Collected {
    async fn write(&self, chunk: OutputChunk) -> std::io::Result<()> {
        self.0.lock().unwrap().push((chunk.attempt, chunk.bytes.to_vec()));
        Ok(())
    }
}

#[tokio::test]
async fn a_gap_is_told_with_its_exact_bytes_wherever_output_is_read() {
    let machine = Machine::played();
    let sink = Arc::new(Collected::default());
    let builder = ExecutionEngine::builder().backend(machine.clone());
    let engine = builder.output_sink(sink.clone()).build().unwrap();
    let id = engine.execute(shell("make")).await.unwrap();
    machine.tell(id, [started("w1", 1), stdout("one\nbegun"), missed(40), missed(2)]);
    machine.tell(id, [stdout(" on\ntwo\n"), missed(0), ended(id, Ending::Exited { code: 0 })]);
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    let all = 9 + 42 + 8;
    assert_eq!((result.stdout_stats.seen_bytes, result.truncated), (all, true));
    let text = "one\nbegun\n[output truncated: kept the first 9 of 59 bytes]\n";
    assert_eq!(result.stdout, text);
    let error = result.output_error.unwrap();
    assert!(error.contains("stdout: 40 bytes were lost on their way here"), "{error}");
    assert!(error.contains("has not taken 42 bytes of stdout"), "{error}");
    let taken = sink.0.lock().unwrap().clone();
    assert_eq!(taken, [(1, b"one\nbegun".to_vec()), (1, b" on\ntwo\n".to_vec())]);
}

#[tokio::test]
async fn a_subscription_reads_around_a_gap() {
    let machine = Machine::played();
    let engine = machine.client();
    let id = engine.execute(shell("make")).await.unwrap();
    let mut lines = engine.subscribe(id).await.unwrap();
    let mut chunks = engine.subscribe_chunks(id).await.unwrap();
    machine.tell(id, [started("w1", 1), stdout("one\nbegun"), missed(42), stdout(" on\ntwo\n")]);
    machine.tell(id, [ended(id, Ending::Exited { code: 0 })]);
    let mut seen = Vec::new();
    while let Some(record) = soon("a record", lines.next()).await {
        match record.event {
            ExecutionEvent::Stdout { line, .. } => seen.push(line),
            ExecutionEvent::OutputMissed { bytes, .. } => seen.push(format!("-{bytes}")),
            _ => {}
        }
    }
    assert_eq!(seen, ["one", "begun", "-42", " on", "two"]);
    let mut bytes = 0;
    while let Some(record) = soon("a chunk", chunks.next()).await {
        bytes += match record.content {
            ChunkContent::Output { bytes, .. } => bytes.len() as u64,
            ChunkContent::Event(ExecutionEvent::OutputMissed { bytes, .. }) => bytes,
            _ => 0,
        };
    }
    assert_eq!(bytes, 59);
    let query = OutputQuery::default();
    let page = engine.read_output(id, query).await.unwrap();
    let is_gap = |part: &OutputPart| matches!(part, OutputPart::Missed { .. });
    assert!(page.ended && page.parts.iter().any(is_gap), "{page:?}");
    assert_eq!(page.next.stdout, 59);
}

#[tokio::test]
async fn records_that_come_twice_count_once() {
    let machine = Machine::played();
    machine.repeated.store(2, Ordering::SeqCst);
    let engine = machine.client();
    let id = engine.execute(shell("make")).await.unwrap();
    let mut lines = engine.subscribe(id).await.unwrap();
    for text in ["a\n", "b\n", "c\n"] {
        if text == "a\n" {
            // Nor does a start that nothing has announced.
            machine.tell(id, [started("w1", 1), started("w2", 2)]);
        }
        machine.tell(id, [stdout(text)]);
        let is_told = |record: &EventRecord| matches!(&record.event, ExecutionEvent::Stdout { line, .. } if text.starts_with(line));
        while !is_told(&soon("a line", lines.next()).await.unwrap()) {}
    }
    machine.tell(id, [ended(id, Ending::Exited { code: 0 })]);
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    let worker = result.place.unwrap().worker;
    assert_eq!((result.stdout.as_str(), worker.as_str()), ("a\nb\nc\n", "w1"));
}

/// Takes nothing, for ever.
struct Stuck;

#[async_trait]
impl OutputSink for Stuck {
    async fn write(&self, _: OutputChunk) -> std::io::Result<()> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_sink_that_is_stuck_keeps_no_cancelled_execution_from_ending() {
    let machine = Machine::played();
    let builder = ExecutionEngine::builder().backend(machine.clone()).output_sink(Arc::new(Stuck));
    let engine = builder.drain_limit(Duration::from_millis(20)).build().unwrap();
    let id = engine.execute(shell("make")).await.unwrap();
    machine.tell(id, [started("w1", 1), stdout("one\n")]);
    engine.cancel(id).await.unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!((result.ending, result.stdout.as_str()), (Ending::Cancelled, "one\n"));
    assert!(result.output_error.unwrap().contains("has not taken 4 bytes of stdout"));
}

#[tokio::test]
async fn an_overflow_file_has_no_hole() {
    let machine = Machine::played();
    let config = ExecutionConfig {
        max_output_size_bytes: 4,
        oversized_output_strategy: OversizedOutputStrategy::StreamToFile,
        ..Default::default()
    };
    let builder = ExecutionEngine::builder().config(config).backend(machine.clone());
    let engine = builder.build().unwrap();
    let id = engine.execute(shell("make")).await.unwrap();
    machine.tell(id, [started("w1", 1), stdout("one\ntwo\n"), missed(5), stdout("four\n")]);
    machine.tell(id, [ended(id, Ending::Exited { code: 0 })]);
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    let overflow = std::fs::read_to_string(result.stdout_overflow_file.unwrap()).unwrap();
    assert_eq!((result.stdout.as_str(), overflow.as_str()), ("one\n", "two\n"));
    assert!(result.output_error.unwrap().contains("5 bytes were lost on their way here"));
}
