//! Executions of a dropped engine, and the waiters of an ending.

use super::*;

#[tokio::test]
async fn dropped_engine_stops_its_programs_and_publishes_the_end() {
    let logs = TempDir::new().unwrap();
    let observed = Observed::with(|config| config.log_dir = Some(logs.path().to_path_buf()));
    let id = observed.start(shell("echo busy; exec sleep 1000")).await;
    observed.is_busy(id).await;
    let log = observed.engine.get_log_path(id).await.unwrap().unwrap();

    let Observed { engine, recorder } = observed;
    drop(engine);

    let events = recorder.all_of(id).await;
    check_order(&events, true, ExecutionStatus::Cancelled);
    assert!(matches!(events.last(), Some(ExecutionEvent::Cancelled { .. })), "{events:?}");
    let ExecutionEvent::Started { pid, .. } = events[0] else { unreachable!() };
    assert!(!is_alive(pid));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("# ending    stopped because the engine was closed\n"), "{log}");
}

#[tokio::test]
async fn waiter_keeps_a_dropped_engine_alive() {
    let dir = TempDir::new().unwrap();
    let engine = engine();
    let line = "mkfifo go && echo ready > ready; read word < go; echo $word";
    let id = engine.execute(shell(line).working_dir(dir.path())).await.unwrap();
    when_written(&dir.path().join("ready")).await;
    let waiter = tokio::spawn({
        let engine = engine.clone();
        async move { engine.wait_for_completion(id).await }
    });
    drop(engine);
    soon("the program reads", tokio::fs::write(dir.path().join("go"), "gone\n")).await.unwrap();
    let result = soon("the waiter", waiter).await.unwrap().unwrap();
    assert_eq!((result.ending, result.stdout.as_str()), (Ending::Exited { code: 0 }, "gone\n"));
}

#[test]
fn engine_closed_has_status_cancelled() {
    let ending = Ending::EngineClosed;
    assert_eq!(ending.status(), ExecutionStatus::Cancelled);
    assert_eq!((ending.is_success(), ending.exit_code()), (false, -1));
    assert_eq!(ending.error(), Some(ExecutionError::ShuttingDown));
}

#[tokio::test]
async fn all_waiters_get_equal_results() {
    let observed = Observed::new();
    let id = observed.start(shell("exec sleep 1000")).await;
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let engine = observed.engine.clone();
        let mut waiter = Box::pin(async move { engine.wait_for_completion(id).await.unwrap() });
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(waiter.as_mut().poll(&mut nobody).is_pending());
        waiters.spawn(waiter);
    }
    observed.engine.cancel(id).await.unwrap();
    let early = soon("the early ones", waiters.join_all()).await;
    let mut late = Vec::new();
    for _ in 0..20 {
        late.push(observed.ended(id).await);
    }
    assert_eq!((early.len(), late.len()), (20, 20));
    assert_eq!(early[0].ending, Ending::Cancelled);
    assert!(early.iter().chain(&late).all(|result| *result == early[0]));
}
