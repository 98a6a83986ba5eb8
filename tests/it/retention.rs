//! Retention: ended executions are remembered by the configured age and count, running ones are never
//! evicted, and every waiter gets a result.

use std::fs;
use std::pin::pin;
use std::task::{Context, Waker};

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

fn remembering(count: usize, secs: u64) -> ExecutionEngine {
    engine_with(|config| {
        config.max_in_memory_executions = count;
        config.execution_retention_secs = secs;
    })
}

async fn run_line(engine: &ExecutionEngine, line: &str) -> Uuid {
    run(engine, shell(line)).await.id
}

async fn knows(engine: &ExecutionEngine, id: Uuid) -> bool {
    match engine.get_result(id).await {
        Ok(result) => result.is_some(),
        Err(error) => {
            assert_eq!(error, ExecutionError::NotFound(id));
            assert_eq!(engine.get_status(id).await, Err(ExecutionError::NotFound(id)));
            false
        }
    }
}

async fn known(engine: &ExecutionEngine, ids: &[Uuid]) -> Vec<bool> {
    let mut all = Vec::new();
    for id in ids {
        all.push(knows(engine, *id).await);
    }
    all
}

/// One second, the retention of the tests by age.
const RETENTION: Duration = Duration::from_secs(1);

// ------------------------------------------------------------------------------------------ by count

#[tokio::test]
async fn oldest_records_are_evicted_beyond_the_count() {
    let engine = remembering(3, 3600);
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(run_line(&engine, &format!("exit {number}")).await);
        assert_eq!(engine.total_count().await, ids.len().min(3));
    }
    assert_eq!(known(&engine, &ids).await, [false, false, true, true, true]);
    let listed: Vec<_> = engine.list_executions().await.iter().map(|one| one.id).collect();
    assert_eq!(listed, ids[2..], "oldest first");
}

#[tokio::test]
async fn eviction_order_is_by_end() {
    let home = TempDir::new().unwrap();
    let gate = home.path().join("gate");
    let engine = remembering(2, 3600);
    let long = engine.execute(shell(wait_for(&gate))).await.unwrap();
    let one = run_line(&engine, "exit 0").await;
    let two = run_line(&engine, "exit 0").await;
    fs::write(&gate, "").unwrap();
    soon("the long one", engine.wait_for_completion(long)).await.unwrap();
    assert_eq!(known(&engine, &[one, two, long]).await, [false, true, true]);
}

// -------------------------------------------------------------------------------------------- by age

#[tokio::test]
async fn expired_record_is_evicted_at_the_next_end() {
    let engine = remembering(1000, 1);
    let old = run_line(&engine, "exit 0").await;
    assert!(knows(&engine, old).await);
    engine.age_ended(RETENTION);
    assert!(knows(&engine, old).await, "no execution has ended since, and no cleanup was called");
    let new = run_line(&engine, "exit 0").await;
    assert_eq!(known(&engine, &[old, new]).await, [false, true]);
}

#[tokio::test]
async fn cleanup_evicts_expired_records_and_returns_the_count() {
    let engine = engine_with(|config| {
        // On a busy machine the end of one could evict the other.
        config.enable_auto_cleanup = false;
        config.execution_retention_secs = 1;
    });
    let ids = [run_line(&engine, "exit 0").await, run_line(&engine, "exit 1").await];
    engine.age_ended(RETENTION);
    assert_eq!(engine.cleanup_old_executions().await, 2);
    assert_eq!(known(&engine, &ids).await, [false, false]);
    assert_eq!((engine.cleanup_old_executions().await, engine.total_count().await), (0, 0));
}

#[tokio::test]
async fn cleanup_task_evicts_while_the_engine_is_idle() {
    let engine = Arc::new(remembering(1000, 1));
    Arc::clone(&engine).start_cleanup_task();
    // Twice, and before there is anything to forget.
    Arc::clone(&engine).start_cleanup_task();
    for _ in 0..2 {
        let ids = [run_line(&engine, "exit 0").await, run_line(&engine, "exit 1").await];
        until("the task has forgotten them", || at_once(engine.total_count()) == 0).await;
        assert_eq!(known(&engine, &ids).await, [false, false]);
    }
}

#[test]
fn cleanup_task_needs_no_runtime_of_its_caller() {
    let engine = Arc::new(remembering(1000, 1));
    Arc::clone(&engine).start_cleanup_task();
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    runtime().block_on(run_line(&engine, "exit 0"));
    runtime().block_on(until("it is forgotten", || at_once(engine.total_count()) == 0));
}

// ----------------------------------------------------------------------------------- what is running

#[tokio::test]
async fn running_executions_are_never_evicted() {
    let home = TempDir::new().unwrap();
    let gate = home.path().join("gate");
    let engine = Arc::new(remembering(1, 1));
    Arc::clone(&engine).start_cleanup_task();
    let mut running = Vec::new();
    for _ in 0..5 {
        running.push(engine.execute(shell(wait_for(&gate))).await.unwrap());
    }
    engine.age_ended(RETENTION);
    run_line(&engine, "exit 0").await;
    engine.cleanup_old_executions().await;
    for id in &running {
        assert_eq!(engine.get_status(*id).await, Ok(ExecutionStatus::Running));
        assert_eq!(
            engine.remove_execution(*id).await,
            Err(ExecutionError::StillRunning(*id)),
            "nor by its id"
        );
    }
    assert_eq!(engine.running_count().await, 5);

    // Their age counts from their end.
    let waits: Vec<_> = running.iter().map(|id| engine.wait_for_completion(*id)).collect();
    let mut waits: Vec<_> = waits.into_iter().map(Box::pin).collect();
    for wait in &mut waits {
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut nobody).is_pending());
    }
    fs::write(&gate, "").unwrap();
    for wait in waits {
        assert!(soon("its result", wait).await.unwrap().success);
    }
}

#[tokio::test]
async fn waiter_gets_its_result_despite_eviction() {
    const COUNT: usize = 20;
    let home = TempDir::new().unwrap();
    let gate = home.path().join("gate");
    let recorder = Recorder::new();
    let engine = remembering(1, 3600).with_event_handler(recorder.clone());
    let mut waiting = Vec::new();
    for number in 0..COUNT {
        let line = format!("{}; echo {number}", wait_for(&gate));
        let id = engine.execute(shell(line)).await.unwrap();
        let engine = engine.clone();
        let mut waiter = Box::pin(async move { engine.wait_for_completion(id).await });
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(waiter.as_mut().poll(&mut nobody).is_pending());
        waiting.push((id, waiter));
    }
    fs::write(&gate, "").unwrap();
    // All have ended, and all but one are forgotten, before any waiter looks again.
    for (id, _) in &waiting {
        recorder.all_of(*id).await;
    }
    assert_eq!((engine.running_count().await, engine.total_count().await), (0, 1));

    for (number, (id, waiter)) in waiting.into_iter().enumerate() {
        let result = soon("its result", waiter).await.unwrap();
        assert_eq!((result.id, result.stdout), (id, format!("{number}\n")));
    }
    assert_eq!(engine.total_count().await, 1);
}

// ---------------------------------------------------------------------------------- only when asked

#[tokio::test]
async fn without_auto_cleanup_only_explicit_calls_evict() {
    let engine = Arc::new(engine_with(|config| {
        config.enable_auto_cleanup = false;
        config.max_in_memory_executions = 2;
        config.execution_retention_secs = 1;
    }));
    Arc::clone(&engine).start_cleanup_task();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(run_line(&engine, "exit 0").await);
    }
    engine.age_ended(RETENTION);
    ids.push(run_line(&engine, "exit 0").await);
    assert_eq!(known(&engine, &ids).await, [true; 6]);

    engine.remove_execution(ids[4]).await.unwrap();
    assert_eq!(known(&engine, &ids).await, [true, true, true, true, false, true]);
    engine.age_ended(RETENTION);
    assert_eq!(engine.cleanup_old_executions().await, 5);
    assert_eq!(engine.total_count().await, 0);
}

#[tokio::test]
async fn removed_execution_is_unknown_and_its_id_is_free() {
    let home = TempDir::new().unwrap();
    let engine = engine_with(|config| config.log_dir = Some(home.path().to_path_buf()));
    let id = run_line(&engine, "exit 3").await;
    engine.remove_execution(id).await.unwrap();
    assert!(!knows(&engine, id).await);
    assert_eq!(engine.remove_execution(id).await, Err(ExecutionError::NotFound(id)));
    assert_eq!(engine.total_count().await, 0);
    let again = soon("the same id", engine.run(shell("exit 4").id(id))).await.unwrap();
    assert_eq!(again.exit_code, 4);
    let log = engine.read_logs(id).await.unwrap();
    let (first, second) = (log.find("exit code 3").unwrap(), log.find("exit code 4").unwrap());
    assert!(first < second, "the log was appended to: {log}");
}

#[tokio::test]
async fn removed_execution_does_not_count_for_retention() {
    let engine = remembering(2, 3600);
    let ids = [run_line(&engine, "exit 0").await, run_line(&engine, "exit 0").await];
    engine.remove_execution(ids[1]).await.unwrap();
    let third = run_line(&engine, "exit 0").await;
    assert_eq!(known(&engine, &[ids[0], third]).await, [true, true]);
}

// ----------------------------------------------------------------------------------------- unlimited

#[tokio::test]
async fn largest_retention_values_evict_nothing() {
    let engine = Arc::new(remembering(usize::MAX, u64::MAX));
    Arc::clone(&engine).start_cleanup_task();
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(run_line(&engine, "exit 0").await);
    }
    assert_eq!(engine.cleanup_old_executions().await, 0);
    assert_eq!(engine.total_count().await, 20);
    assert_eq!(known(&engine, &ids).await, [true; 20]);
}

#[tokio::test]
async fn wait_after_eviction_is_not_found() {
    let engine = remembering(1, 3600);
    let id = run_line(&engine, "exit 0").await;
    run_line(&engine, "exit 0").await;
    let late = pin!(engine.wait_for_completion(id));
    assert_eq!(soon("an answer", late).await, Err(ExecutionError::NotFound(id)));
}
