//! Handles: `start` gives one, and it does what the engine's methods do by id.

use execution_engine::*;
use test_support::*;

fn already_ended<T>(id: Uuid, status: ExecutionStatus) -> Result<T> {
    Err(ExecutionError::AlreadyEnded { id, status })
}

#[tokio::test]
async fn handle_and_its_clone_wait_for_the_same_execution() {
    let engine = engine();
    let request = shell("echo hello; exit 3");
    let id = request.id;
    let execution = engine.start(request).await.unwrap();
    assert_eq!(execution.id(), id);
    let clone = execution.clone();
    let (first, second) = tokio::join!(execution.wait(), clone.wait());
    let result = first.unwrap();
    assert_eq!((result.id, result.stdout.as_str(), result.exit_code), (id, "hello\n", 3));
    assert_eq!(second.unwrap(), result);
    assert_eq!(soon("its end", execution.wait()).await.unwrap(), result, "after the end, too");
    assert_eq!(execution.status().await, Ok(ExecutionStatus::Failed));
    assert_eq!(engine.get_result(id).await, Ok(Some(result)));
}

#[tokio::test]
async fn refused_start_leaves_nothing_behind() {
    let engine = engine();
    let refused = engine.start(ExecutionRequest::exec("no-such-program", ["x"])).await;
    assert!(matches!(refused, Err(ExecutionError::Validation(_))), "{refused:?}");
    assert_eq!(engine.total_count().await, 0);
}

#[tokio::test]
async fn dropped_handle_stops_nothing() {
    let engine = engine();
    let execution = engine.start(shell("sleep 0.2; echo done")).await.unwrap();
    let id = execution.id();
    drop(execution);
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.stdout, "done\n");
}

#[tokio::test]
async fn handle_does_not_keep_its_engine_alive() {
    let engine = engine();
    let execution = engine.start(shell("sleep 60")).await.unwrap();
    drop(engine);
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.ending, Ending::EngineClosed);
}

#[tokio::test]
async fn handle_outlives_retention() {
    let engine = engine_with(|config| config.max_in_memory_executions = 1);
    let execution = engine.start(shell("echo first")).await.unwrap();
    soon("its end", execution.wait()).await.unwrap();
    engine.run(shell("echo second")).await.unwrap();
    let id = execution.id();
    assert_eq!(engine.get_status(id).await, Err(ExecutionError::NotFound(id)));
    assert_eq!(execution.status().await, Ok(ExecutionStatus::Completed));
    assert_eq!(execution.wait().await.unwrap().stdout, "first\n");
    let records = execution.events().await.unwrap();
    assert_eq!(lines(records).await, ["first"]);
}

async fn lines(mut records: Subscription) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(record) = soon("the next record", records.next()).await {
        if let ExecutionEvent::Stdout { line, .. } = record.event {
            lines.push(line);
        }
    }
    lines
}

#[tokio::test]
async fn handle_streams_events_and_chunks() {
    let engine = engine();
    let execution = engine.start(shell("echo one; echo two")).await.unwrap();
    let records = execution.events().await.unwrap();
    assert_eq!(lines(records).await, ["one", "two"]);
    let mut chunks = execution.chunks().await.unwrap();
    let mut bytes = Vec::new();
    while let Some(record) = soon("the next record", chunks.next()).await {
        if let ChunkContent::Output { bytes: more, .. } = record.content {
            bytes.extend_from_slice(&more);
        }
    }
    assert_eq!(bytes, b"one\ntwo\n");
}

#[tokio::test]
async fn handle_signals_and_cancels_until_the_ending() {
    let engine = engine();
    let execution = engine.start(ExecutionRequest::exec("sleep", ["60"])).await.unwrap();
    assert_eq!(soon("the signal", execution.signal(Signal::Continue)).await, Ok(1));
    assert_eq!(execution.cancel().await, Ok(()));
    let id = execution.id();
    assert_eq!(execution.cancel().await, already_ended(id, ExecutionStatus::Cancelled));
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
    assert_eq!(execution.cancel().await, already_ended(id, ExecutionStatus::Cancelled));
    let late = soon("the signal", execution.signal(Signal::Continue)).await;
    assert_eq!(late, already_ended(id, ExecutionStatus::Cancelled));
}

#[tokio::test]
async fn unknown_signal_is_refused() {
    let execution = engine().start(shell("true")).await.unwrap();
    let refused = execution.signal(Signal::Other(-1)).await;
    assert!(matches!(refused, Err(ExecutionError::Validation(_))), "{refused:?}");
}

#[tokio::test]
async fn handle_writes_and_closes_stdin() {
    let engine = engine();
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let execution = engine.start_with(shell("cat"), options).await.unwrap();
    let (id, stdin) = (execution.id(), execution.stdin());
    assert_eq!(soon("the write", stdin.write("hello ")).await, Ok(6));
    assert_eq!(soon("the write", stdin.clone().write("world")).await, Ok(5));
    assert_eq!(stdin.close().await, Ok(()));
    assert_eq!(stdin.write("late").await, Err(ExecutionError::StdinClosed(id)));
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.stdout, "hello world");
    assert_eq!(stdin.write("late").await, already_ended(id, ExecutionStatus::Completed));
    assert_eq!(stdin.close().await, already_ended(id, ExecutionStatus::Completed));
}

#[tokio::test]
async fn write_to_unpiped_stdin_is_refused() {
    let engine = engine();
    let execution = engine.start(shell("sleep 60")).await.unwrap();
    let id = execution.id();
    assert_eq!(execution.stdin().write("x").await, Err(ExecutionError::StdinNotPiped(id)));
    assert_eq!(execution.stdin().close().await, Err(ExecutionError::StdinNotPiped(id)));
    execution.cancel().await.unwrap();
}

#[tokio::test]
async fn run_with_applies_options() {
    let options = ExecutionOptions::default().output(OutputMode::Merged);
    let engine = engine();
    let result = engine.run_with(shell("echo one; echo two >&2"), options).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("one\ntwo\n", ""));
    let options = ExecutionOptions::default().group("no such group");
    let refused = engine.run_with(shell("true"), options).await;
    assert!(matches!(refused, Err(ExecutionError::Validation(_))), "{refused:?}");
}

#[tokio::test]
async fn handler_added_to_a_clone_receives_all_executions() {
    let engine = engine();
    let recorder = Recorder::new();
    engine.clone().add_event_handler(recorder.clone());
    let execution = engine.start(shell("echo hello")).await.unwrap();
    soon("its end", execution.wait()).await.unwrap();
    let events = recorder.all_of(execution.id()).await;
    assert!(events.last().is_some_and(ExecutionEvent::is_terminal), "{events:?}");
}

#[tokio::test]
async fn handle_events_after_the_end_equal_a_subscription() {
    let engine = ExecutionEngine::new(ExecutionConfig {
        max_output_size_bytes: 20,
        ..ExecutionConfig::default()
    })
    .unwrap();
    let execution = engine.start(ExecutionRequest::shell("seq 1 1000")).await.unwrap();
    soon("the end", execution.wait()).await.unwrap();
    let (mut by_handle, mut by_id) =
        (execution.events().await.unwrap(), engine.subscribe(execution.id()).await.unwrap());
    let mut records = 0;
    loop {
        let expected = soon("a record", by_id.next()).await;
        assert_eq!(soon("a record", by_handle.next()).await, expected);
        records += 1;
        if expected.is_none() {
            break;
        }
    }
    assert!((5..100).contains(&records), "{records}");
}
