//! Handles: `start` gives one, and it does what the engine's methods do by id.

use execution_engine::*;
use test_support::*;

fn already_ended<T>(id: Uuid, status: ExecutionStatus) -> Result<T> {
    Err(ExecutionError::AlreadyEnded { id, status })
}

#[tokio::test]
async fn a_handle_waits_for_its_execution_and_so_does_its_clone() {
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
async fn a_refused_start_gives_no_handle_and_leaves_nothing_behind() {
    let engine = engine();
    let refused = engine.start(ExecutionRequest::exec("no-such-program", ["x"])).await;
    assert!(matches!(refused, Err(ExecutionError::Validation(_))), "{refused:?}");
    assert_eq!(engine.total_count().await, 0);
}

#[tokio::test]
async fn dropping_a_handle_stops_nothing() {
    let engine = engine();
    let execution = engine.start(shell("sleep 0.2; echo done")).await.unwrap();
    let id = execution.id();
    drop(execution);
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.stdout, "done\n");
}

#[tokio::test]
async fn a_handle_does_not_keep_its_engine_alive() {
    let engine = engine();
    let execution = engine.start(shell("sleep 60")).await.unwrap();
    drop(engine);
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.ending, Ending::EngineClosed);
}

#[tokio::test]
async fn a_handle_is_usable_when_its_execution_is_forgotten() {
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
async fn events_and_chunks_of_a_handle_are_those_of_its_execution() {
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
async fn a_handle_signals_and_cancels_until_there_is_an_ending() {
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
async fn a_signal_that_does_not_exist_is_refused() {
    let execution = engine().start(shell("true")).await.unwrap();
    let refused = execution.signal(Signal::Other(-1)).await;
    assert!(matches!(refused, Err(ExecutionError::Validation(_))), "{refused:?}");
}

#[tokio::test]
async fn the_input_of_a_handle_is_written_and_closed() {
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
async fn an_input_that_is_not_piped_says_so() {
    let engine = engine();
    let execution = engine.start(shell("sleep 60")).await.unwrap();
    let id = execution.id();
    assert_eq!(execution.stdin().write("x").await, Err(ExecutionError::StdinNotPiped(id)));
    assert_eq!(execution.stdin().close().await, Err(ExecutionError::StdinNotPiped(id)));
    execution.cancel().await.unwrap();
}

#[tokio::test]
async fn run_with_takes_options() {
    let options = ExecutionOptions::default().output(OutputMode::Merged);
    let engine = engine();
    let result = engine.run_with(shell("echo one; echo two >&2"), options).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("one\ntwo\n", ""));
    let options = ExecutionOptions::default().group("no such group");
    let refused = engine.run_with(shell("true"), options).await;
    assert!(matches!(refused, Err(ExecutionError::Validation(_))), "{refused:?}");
}

#[tokio::test]
async fn a_handler_that_is_added_to_a_clone_hears_of_all() {
    let engine = engine();
    let recorder = Recorder::new();
    engine.clone().add_event_handler(recorder.clone());
    let execution = engine.start(shell("echo hello")).await.unwrap();
    soon("its end", execution.wait()).await.unwrap();
    let events = recorder.all_of(execution.id()).await;
    assert!(events.last().is_some_and(ExecutionEvent::is_terminal), "{events:?}");
}
