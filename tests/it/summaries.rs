//! Summaries: what is known of an execution without its output, at every stage of its life.

use execution_engine::*;
use test_support::*;

#[tokio::test]
async fn a_running_execution_has_its_process_and_its_sizes() {
    let engine = engine();
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let request = ExecutionRequest::program("cat").description("copies");
    let execution = engine.start_with(request, options).await.unwrap();
    let mut events = execution.events().await.unwrap();
    execution.stdin().write("hello\n").await.unwrap();
    let mut started = None;
    loop {
        match soon("a line", events.next()).await.unwrap().event {
            ExecutionEvent::Started { pid, .. } => started = Some(pid),
            ExecutionEvent::Stdout { .. } => break,
            _ => {}
        }
    }
    let summary = engine.get_summary(execution.id()).await.unwrap();
    assert!(started.is_some());
    assert_eq!((summary.status, summary.pid), (ExecutionStatus::Running, started));
    assert_eq!((summary.completed_at, &summary.ending, summary.attempts), (None, &None, 1));
    assert_eq!(summary.stdout_stats, StreamStats { seen_bytes: 6, kept_bytes: 6 });
    assert_eq!(summary.metadata.description.as_deref(), Some("copies"));

    execution.stdin().close().await.unwrap();
    let result = soon("its end", execution.wait()).await.unwrap();
    let summary = execution.summary().await.unwrap();
    assert_eq!((summary.status, summary.pid), (ExecutionStatus::Completed, started));
    assert_eq!(summary.completed_at, Some(result.completed_at));
    assert_eq!((summary.started_at, summary.duration), (result.started_at, result.duration));
    assert_eq!(summary.ending, Some(Ending::Exited { code: 0 }));
    assert_eq!(engine.get_summary(execution.id()).await.unwrap(), summary);
    assert_eq!(engine.list_executions().await, std::slice::from_ref(&summary));
    let json = serde_json::to_string(&summary).unwrap();
    let read: ExecutionSummary = serde_json::from_str(&json).unwrap();
    assert_eq!((read.pid, read.stdout_stats), (summary.pid, summary.stdout_stats));
}

#[tokio::test]
async fn what_never_started_has_no_process() {
    let config = ExecutionConfig { max_concurrent_executions: 1, ..Default::default() };
    let admission = Admission::Queue { max_waiting: 1 };
    let engine = ExecutionEngine::builder().config(config).admission(admission).build().unwrap();
    let first = engine.execute(shell("sleep 60")).await.unwrap();
    let second = engine.execute(shell("echo hello")).await.unwrap();
    let queued = engine.get_summary(second).await.unwrap();
    assert_eq!((queued.status, queued.pid, queued.attempts), (ExecutionStatus::Pending, None, 0));
    engine.cancel(second).await.unwrap();
    ended(&engine, second).await;
    let summary = engine.get_summary(second).await.unwrap();
    assert_eq!((summary.pid, summary.attempts), (None, 0));
    assert!(summary.waited >= queued.waited, "{summary:?}");
    engine.cancel(first).await.unwrap();
    let unknown = Uuid::new_v4();
    assert_eq!(engine.get_summary(unknown).await, Err(ExecutionError::NotFound(unknown)));
}

#[tokio::test]
async fn each_attempt_has_its_own_process() {
    let engine = engine();
    let retry = RetryPolicy::new(2).initial_delay(Duration::ZERO);
    let options = ExecutionOptions::default().retry(retry);
    let result = run_with(&engine, shell("echo $$; exit 1"), options).await;
    let summary = engine.get_summary(result.id).await.unwrap();
    assert_eq!(summary.attempts, 2);
    assert_eq!(format!("{}\n", summary.pid.unwrap()), result.stdout);
    assert_eq!(summary.stdout_stats, result.stdout_stats);
}

#[tokio::test]
async fn truncated_output_is_told() {
    use OversizedOutputStrategy::{
        FailExecution, KeepHeadAndTail, StreamToFile, TruncateWithWarning,
    };
    for strategy in [TruncateWithWarning, FailExecution, StreamToFile, KeepHeadAndTail] {
        let engine = engine_with(|config| {
            config.max_output_size_bytes = 100;
            config.oversized_output_strategy = strategy;
        });
        for (last, is_truncated) in [(10, false), (100, true)] {
            let result = run(&engine, shell(format!("seq 1 {last} >&2"))).await;
            assert_eq!(result.truncated, is_truncated, "{strategy:?}: {result:?}");
            let summary = engine.get_summary(result.id).await.unwrap();
            assert_eq!(summary.truncated, is_truncated, "{strategy:?}: {summary:?}");
            assert_eq!(summary.stderr_stats, result.stderr_stats, "{strategy:?}");
        }
    }
}
