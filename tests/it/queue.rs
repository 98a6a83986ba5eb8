//! `Admission::Queue`: executions wait in order, within exact limits, without resources, and a cancel
//! ends them at once.

use std::fs;
use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::host::passed_apart;
use test_support::*;

const HOLD: &str = "sleep 60";

fn config(limit: usize) -> ExecutionConfig {
    ExecutionConfig { max_concurrent_executions: limit, ..Default::default() }
}

fn queueing(limit: usize, max_waiting: usize) -> EngineBuilder {
    ExecutionEngine::builder()
        .config(config(limit))
        .admission(Admission::Queue { max_waiting })
        .stop_grace(Duration::from_millis(100))
}

fn with_options(change: impl FnOnce(ExecutionOptions) -> ExecutionOptions) -> ExecutionOptions {
    change(ExecutionOptions::default())
}

/// Returns a line that appends a word to a file.
fn says(word: &str, file: &Path) -> ExecutionRequest {
    shell(format!("echo {word} >> {}", file.display()))
}

#[tokio::test]
async fn freed_permit_starts_the_next_in_the_queue() {
    let recorder = Recorder::new();
    let engine = queueing(1, 10).event_handler(Arc::clone(&recorder) as Arc<_>).build().unwrap();
    let holder = engine.execute(shell(HOLD)).await.unwrap();
    let second = engine.execute(shell("echo second")).await.unwrap();
    let third = engine.execute(shell("echo third")).await.unwrap();

    assert_eq!(engine.get_status(second).await, Ok(ExecutionStatus::Pending));
    assert_eq!(engine.get_result(second).await, Ok(None));
    assert_eq!(engine.queue_position(holder).await, Ok(None));
    assert_eq!(engine.queue_position(second).await, Ok(Some(1)));
    assert_eq!(engine.queue_position(third).await, Ok(Some(2)));
    assert_eq!((engine.running_count().await, engine.waiting_count().await), (1, 2));
    assert_eq!((engine.total_count().await, engine.available_permits()), (3, 0));
    assert!(recorder.of(second).is_empty(), "nothing has happened to it yet");

    engine.cancel(holder).await.unwrap();
    let (holder, second, third) =
        (ended(&engine, holder).await, ended(&engine, second).await, ended(&engine, third).await);
    assert_eq!((second.stdout.as_str(), third.stdout.as_str()), ("second\n", "third\n"));
    assert_eq!(holder.waited, Duration::ZERO);
    assert!(second.waited > Duration::ZERO && third.waited > second.waited);
    assert!(second.started_at >= holder.completed_at, "it started when the other was gone");
    assert_eq!(engine.queue_position(third.id).await, Ok(None));
    assert_eq!((engine.waiting_count().await, engine.available_permits()), (0, 1));
    let events = recorder.all_of(second.id).await;
    assert!(matches!(events[0], ExecutionEvent::Started { .. }), "{events:?}");
    let unknown = Uuid::new_v4();
    assert_eq!(engine.queue_position(unknown).await, Err(ExecutionError::NotFound(unknown)));
}

#[tokio::test]
async fn timeout_excludes_the_time_in_the_queue() {
    let engine = queueing(1, 10).build().unwrap();
    let first = engine.execute(shell("sleep 1")).await.unwrap();
    let timeout = Duration::from_millis(300);
    let second = engine.execute(shell(HOLD).timeout(timeout)).await.unwrap();
    let (first, second) = (ended(&engine, first).await, ended(&engine, second).await);
    assert!(first.success);
    assert_eq!(second.ending, Ending::TimedOut { timeout_ms: 300 });
    assert!(second.usage.is_some(), "it ran although it had waited for longer than its timeout");
    assert!(second.waited > timeout && second.duration >= timeout, "{second:?}");
}

#[tokio::test]
async fn cancel_in_the_queue_prevents_the_run() {
    let recorder = Recorder::new();
    let engine = queueing(1, 1).event_handler(Arc::clone(&recorder) as Arc<_>).build().unwrap();
    let dir = TempDir::new().unwrap();
    let witness = dir.path().join("ran");
    let holder = engine.execute(shell(HOLD)).await.unwrap();
    let waiting = engine.execute(says("ran", &witness)).await.unwrap();
    assert_eq!(engine.execute(shell("true")).await, Err(ExecutionError::QueueFull(1)));

    engine.cancel(waiting).await.unwrap();
    let result = ended(&engine, waiting).await;
    assert_eq!(result.ending, Ending::Cancelled);
    assert_eq!((result.usage, result.exit_code, result.containment.proven), (None, -1, true));
    let again = engine.cancel(waiting).await;
    assert!(matches!(again, Err(ExecutionError::AlreadyEnded { .. })), "{again:?}");
    let events = recorder.all_of(waiting).await;
    let started = |event: &ExecutionEvent| matches!(event, ExecutionEvent::Started { .. });
    assert!(!events.iter().any(started), "{events:?}");

    // Its slot in the queue is free, and the permit is still taken.
    assert_eq!(engine.get_status(holder).await, Ok(ExecutionStatus::Running));
    let next = engine.execute(shell("true")).await.unwrap();
    assert_eq!(engine.queue_position(next).await, Ok(Some(1)));
    engine.cancel(holder).await.unwrap();
    assert!(ended(&engine, next).await.success);
    assert!(!witness.exists());
}

#[tokio::test]
async fn queue_orders_by_priority_then_age() {
    let engine = queueing(1, 10).build().unwrap();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("order");
    let holder = engine.execute(shell(HOLD)).await.unwrap();
    let mut all = Vec::new();
    for (word, priority) in [("c1", 0), ("a1", 7), ("d", -3), ("c2", 0), ("a2", 7), ("b", 1)] {
        let options = with_options(|options| options.priority(priority));
        all.push(engine.execute_with(says(word, &file), options).await.unwrap());
    }
    assert_eq!(engine.queue_position(all[2]).await, Ok(Some(6)), "the lowest is last");
    engine.cancel(holder).await.unwrap();
    for id in all {
        assert!(ended(&engine, id).await.success);
    }
    let order = fs::read_to_string(&file).unwrap();
    assert_eq!(order.split_whitespace().collect::<Vec<_>>(), ["a1", "a2", "b", "c1", "c2", "d"]);
}

#[tokio::test]
async fn full_group_blocks_no_other_executions() {
    let engine = queueing(3, 10).group("gpu", 1).build().unwrap();
    let on_gpu = || with_options(|options| options.group("gpu").priority(9));
    let first = engine.execute_with(shell(HOLD), on_gpu()).await.unwrap();
    let second = engine.execute_with(shell("echo gpu"), on_gpu()).await.unwrap();
    assert_eq!(engine.get_status(second).await, Ok(ExecutionStatus::Pending));
    assert_eq!(engine.available_permits(), 2);

    // Executions without the group run while it waits.
    let other = engine.execute(shell("echo other")).await.unwrap();
    assert!(ended(&engine, other).await.success);
    assert_eq!(engine.queue_position(second).await, Ok(Some(1)));
    engine.cancel(first).await.unwrap();
    assert_eq!(ended(&engine, second).await.stdout, "gpu\n");
}

#[tokio::test]
async fn full_group_without_a_queue_is_refused_by_name() {
    let engine = ExecutionEngine::builder().group("gpu", 1).build().unwrap();
    let on_gpu = || with_options(|options| options.group("gpu"));
    let holder = engine.execute_with(shell(HOLD), on_gpu()).await.unwrap();
    let error = engine.execute_with(shell("true"), on_gpu()).await.unwrap_err();
    assert_eq!(error, ExecutionError::GroupLimitReached { group: "gpu".to_string(), limit: 1 });
    assert!(error.is_retryable());
    assert_eq!(error.error_code(), "group_limit_reached");
    assert_eq!((engine.total_count().await, engine.running_count().await), (1, 1));
    engine.cancel(holder).await.unwrap();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let cases = [
        ("admission", queueing(1, 0)),
        ("group", ExecutionEngine::builder().group("gpu", 0)),
        ("group", ExecutionEngine::builder().group(" ", 1)),
    ];
    for (expected, builder) in cases {
        let error = builder.build().unwrap_err();
        let is_named = matches!(
            &error,
            ExecutionError::Validation(ValidationError::InvalidOption { field, .. })
                if *field == expected
        );
        assert!(is_named, "{expected}: {error:?}");
    }
    let engine = queueing(1, 1).group("gpu", 1).build().unwrap();
    let unknown = with_options(|options| options.group("cpu"));
    let error = engine.execute_with(shell("true"), unknown).await.unwrap_err();
    assert!(error.to_string().contains("\"cpu\""), "{error}");
    assert_eq!(engine.total_count().await, 0);
}

#[tokio::test]
async fn full_queue_refuses_and_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { log_dir: Some(dir.path().join("logs")), ..config(1) })
        .admission(Admission::Queue { max_waiting: 2 })
        .build()
        .unwrap();
    let mut accepted = vec![engine.execute(shell(HOLD)).await.unwrap()];
    for _ in 0..2 {
        accepted.push(engine.execute(shell(HOLD)).await.unwrap());
    }
    let refused = shell(HOLD);
    let id = refused.id;
    let error = engine.execute(refused).await.unwrap_err();
    assert_eq!(error, ExecutionError::QueueFull(2));
    assert!(error.is_retryable());
    assert_eq!(engine.get_status(id).await, Err(ExecutionError::NotFound(id)));
    assert_eq!((engine.total_count().await, engine.waiting_count().await), (3, 2));

    // The id of a queued execution is taken.
    let twice = engine.execute(shell(HOLD).id(accepted[1])).await;
    assert_eq!(twice, Err(ExecutionError::DuplicateId(accepted[1])));
    // Only a running execution has a log.
    assert_eq!(fs::read_dir(dir.path().join("logs")).unwrap().count(), 1);
    engine.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn queued_execution_holds_no_process_and_no_file() {
    if passed_apart(test_name!()).await {
        return;
    }
    let dir = TempDir::new().unwrap();
    let engine = queueing(1, 200).build().unwrap();
    let holder = engine.execute(shell("echo up; sleep 60")).await.unwrap();
    running(&engine, holder).await;
    let (descriptors, threads_before) = (open_descriptors(), threads());
    let mut waiting = Vec::new();
    for number in 0..200 {
        let log = dir.path().join(format!("{number}.log"));
        waiting.push(engine.execute(shell("echo x").output_log(log)).await.unwrap());
    }
    assert_eq!(open_descriptors(), descriptors);
    assert!(threads() < threads_before + 10);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    engine.cancel(holder).await.unwrap();
    for id in waiting {
        assert!(ended(&engine, id).await.success);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 200);
}

#[tokio::test]
async fn unopenable_log_after_the_queue_is_a_failed_spawn() {
    fails_without_its_log(ExecutionOptions::default()).await;
}

#[tokio::test]
async fn unopenable_log_after_the_queue_is_final_despite_retry() {
    fails_without_its_log(with_options(|options| options.retry(RetryPolicy::new(3)))).await;
}

async fn fails_without_its_log(options: ExecutionOptions) {
    let dir = TempDir::new().unwrap();
    let engine = queueing(1, 10).build().unwrap();
    let holder = engine.execute(shell(HOLD)).await.unwrap();
    let request = shell("true").output_log(dir.path().join("a-file/out.log"));
    let waiting = engine.execute_with(request, options).await.unwrap();
    fs::write(dir.path().join("a-file"), "in the way").unwrap();
    engine.cancel(holder).await.unwrap();
    let result = ended(&engine, waiting).await;
    assert!(matches!(result.ending, Ending::SpawnFailed { .. }), "{result:?}");
    assert!(result.error.unwrap().contains("a-file"));
    assert_eq!(engine.available_permits(), 1);
}

#[tokio::test]
async fn program_removed_during_the_queue_is_not_found() {
    let dir = TempDir::new().unwrap();
    let engine = queueing(1, 10).build().unwrap();
    let holder = engine.execute(shell(HOLD)).await.unwrap();
    let program = dir.path().join("copy");
    fs::copy("/bin/true", &program).unwrap();
    let request = ExecutionRequest::program(program.to_str().unwrap());
    let waiting = engine.execute(request).await.unwrap();
    fs::remove_file(&program).unwrap();
    engine.cancel(holder).await.unwrap();
    let result = ended(&engine, waiting).await;
    let Ending::SpawnFailed { reason, os_error: Some(2) } = &result.ending else {
        panic!("it ended otherwise: {result:?}");
    };
    assert!(reason.contains(program.to_str().unwrap()), "it says which: {reason}");
    assert!(!reason.contains("#!"), "it has no such line: {reason}");
}

#[tokio::test]
async fn queued_executions_are_listed_oldest_first_after_running() {
    let engine = queueing(1, 50).build().unwrap();
    let mut expected = vec![engine.execute(shell(HOLD)).await.unwrap()];
    for priority in 0..20 {
        let options = with_options(|options| options.priority(priority));
        expected.push(engine.execute_with(shell("true"), options).await.unwrap());
    }
    let listed = engine.list_executions().await;
    let listed: Vec<_> = listed.into_iter().map(|summary| summary.id).collect();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn control_of_a_queued_execution_is_refused() {
    let engine = queueing(1, 10).build().unwrap();
    let holder = engine.execute(shell(HOLD)).await.unwrap();
    let waiting = engine.execute(shell("echo ran")).await.unwrap();
    let refusals = [
        soon("signal", engine.signal(waiting, Signal::Interrupt)).await.map(drop),
        soon("pause", engine.pause(waiting)).await,
        soon("resume", engine.resume(waiting)).await,
    ];
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert_eq!(error.error_code(), "control_failed");
        assert!(error.to_string().contains("queue"), "{error}");
    }
    engine.cancel(holder).await.unwrap();
    assert_eq!(ended(&engine, waiting).await.stdout, "ran\n");
}

#[tokio::test]
async fn shutdown_ends_queued_executions() {
    let dir = TempDir::new().unwrap();
    let witness = dir.path().join("ran");
    let engine = queueing(1, 10).build().unwrap();
    let holder = engine.execute(shell(HOLD)).await.unwrap();
    let waiting = engine.execute(says("ran", &witness)).await.unwrap();
    let report = soon("the shutdown", engine.shutdown(Duration::ZERO)).await;
    assert_eq!(report.ended.len(), 2);
    let never_ran = Ending::NotRun { reason: SkipReason::EngineClosed };
    for (id, ending) in [(holder, Ending::EngineClosed), (waiting, never_ran)] {
        assert_eq!(engine.get_result(id).await.unwrap().unwrap().ending, ending);
    }
    assert!(!witness.exists());
}

#[tokio::test]
async fn dropped_engine_ends_queued_executions() {
    let dir = TempDir::new().unwrap();
    let witness = dir.path().join("ran");
    let recorder = Recorder::new();
    let engine = queueing(1, 10).event_handler(Arc::clone(&recorder) as Arc<_>).build().unwrap();
    engine.execute(shell(HOLD)).await.unwrap();
    let waiting = engine.execute(says("ran", &witness)).await.unwrap();
    drop(engine);
    let events = recorder.all_of(waiting).await;
    assert!(matches!(events.last(), Some(ExecutionEvent::Cancelled { .. })), "{events:?}");
    assert!(!witness.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_load_never_exceeds_the_limit() {
    const LIMIT: usize = 3;
    let dir = TempDir::new().unwrap();
    let (alive, counts) = (dir.path().join("alive"), dir.path().join("counts"));
    fs::create_dir(&alive).unwrap();
    let engine = queueing(LIMIT, 1000).build().unwrap();
    // Each counts those alive at the same time as it.
    let line = format!(
        "touch {alive}/$$; ls {alive} | wc -l >> {counts}; rm {alive}/$$",
        alive = alive.display(),
        counts = counts.display()
    );
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let (engine, line) = (engine.clone(), line.clone());
        tasks.spawn(async move {
            let mut ids = Vec::new();
            for number in 0..30 {
                let id = engine.execute(shell(&line)).await.unwrap();
                // Some are cancelled, whether they wait, run or have ended by then; but none that
                // would leave its mark behind: what waits behind the others does not run yet.
                if number % 5 == task && engine.queue_position(id).await.unwrap() > Some(20) {
                    engine.cancel(id).await.unwrap();
                }
                ids.push(id);
            }
            ids
        });
    }
    let ids: Vec<Uuid> = tasks.join_all().await.into_iter().flatten().collect();
    let mut completed = 0;
    for id in ids {
        let result = ended(&engine, id).await;
        completed += usize::from(result.success);
        assert!(result.success || result.ending == Ending::Cancelled, "{result:?}");
    }
    let counts = fs::read_to_string(&counts).unwrap();
    let counts: Vec<usize> = counts.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!(counts.len(), completed);
    assert!(counts.iter().all(|count| *count <= LIMIT), "{counts:?}");
    assert_eq!((engine.running_count().await, engine.waiting_count().await), (0, 0));
    assert_eq!(engine.available_permits(), LIMIT);
}

#[test]
fn queue_settings_round_trip_as_json() {
    let options: ExecutionOptions =
        serde_json::from_str(r#"{"priority": 3, "group": "gpu"}"#).unwrap();
    assert_eq!(options, with_options(|options| options.priority(3).group("gpu")));
    let admission: Admission =
        serde_json::from_str(r#"{"type": "queue", "max_waiting": 5}"#).unwrap();
    assert_eq!(admission, Admission::Queue { max_waiting: 5 });
    let admission: Admission = serde_json::from_str(r#"{"type": "reject"}"#).unwrap();
    assert_eq!(admission, Admission::Reject);
    for json in [r#"{"type": "reject", "max_waiting": 5}"#, r#"{"type": "queue", "most": 5}"#] {
        let read = serde_json::from_str::<Admission>(json);
        assert!(read.is_err(), "{json}: {read:?}");
    }
}
