//! Handlers get every event once and in order.

use super::*;

#[tokio::test]
async fn lines_come_once_and_in_order_between_start_and_end() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let line = "seq -f 'out %.0f' 1 20000 & seq -f 'err %.0f' 1 20000 >&2; wait";
    let result = run(&engine, shell(line)).await;
    let events = recorder.all_of(result.id).await;
    assert_framed(&events);
    assert!(lines_of(&events, OutputStream::Stdout) == numbered("out ", 20_000));
    assert!(lines_of(&events, OutputStream::Stderr) == numbered("err ", 20_000));
    assert_eq!(result.lines_missed, 0);
}

#[tokio::test]
async fn lines_have_no_line_ending_and_the_last_needs_none() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let result = run(&engine, shell(r"printf 'a\n\nb\r\n \377c\nlast'")).await;
    let lines = lines_of(&recorder.all_of(result.id).await, OutputStream::Stdout);
    assert_eq!(lines, ["a", "", "b", " \u{fffd}c", "last"]);
}

#[tokio::test]
async fn lines_come_while_the_program_runs() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let id = engine.execute(shell("echo here; exec sleep 1000")).await.unwrap();
    recorder.when(id, |events| lines_of(events, OutputStream::Stdout) == ["here"]).await;
    assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Running));
    engine.cancel(id).await.unwrap();
    let events = recorder.all_of(id).await;
    assert!(matches!(events.last(), Some(ExecutionEvent::Cancelled { .. })));
}

#[tokio::test]
async fn started_event_has_command_and_pid() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let result = run(&engine, shell("echo $$")).await;
    let pid: u32 = result.stdout.trim().parse().unwrap();
    let started = &recorder.all_of(result.id).await[0];
    let expected =
        ExecutionEvent::Started { execution_id: result.id, command: "echo $$".into(), pid };
    assert_eq!(*started, expected);
}

#[tokio::test]
async fn every_handler_gets_all_events() {
    let [one, two] = [Recorder::new(), Recorder::new()];
    let engine = engine().with_event_handler(one.clone()).with_event_handler(two.clone());
    let result = run(&engine, shell("seq 1 5000; seq 1 5000 >&2; exit 2")).await;
    let events = one.all_of(result.id).await;
    assert_eq!(events.len(), 10_004);
    assert!(events == two.all_of(result.id).await);
}

#[tokio::test]
async fn later_handler_gets_later_executions_only() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let [early, late] = [Recorder::new(), Recorder::new()];
    let engine = engine().with_event_handler(early.clone());
    let line = format!("until [ -e '{}' ]; do sleep 0.01; done; echo", go.display());
    let first = engine.execute(shell(line)).await.unwrap();

    let with_late = engine.clone().with_event_handler(late.clone());
    std::fs::write(go, "").unwrap();
    soon("the first", engine.wait_for_completion(first)).await.unwrap();
    early.all_of(first).await;
    for engine in [&engine, &with_late] {
        let later = run(engine, shell("echo")).await.id;
        assert_framed(&late.all_of(later).await);
        assert_framed(&early.all_of(later).await);
    }
    assert_eq!(late.of(first), []);
}

#[tokio::test]
async fn events_of_concurrent_executions_are_each_in_order() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let mut running = JoinSet::new();
    for number in 0..50 {
        let engine = engine.clone();
        let line = format!("seq -f '{number}: %.0f' 1 300");
        running.spawn(async move { (number, run(&engine, shell(line)).await.id) });
    }
    for (number, id) in running.join_all().await {
        let events = recorder.all_of(id).await;
        assert_framed(&events);
        assert_eq!(lines_of(&events, OutputStream::Stdout), numbered(&format!("{number}: "), 300));
    }
}

#[tokio::test]
async fn dropped_engine_publishes_cancelled() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let id = engine.execute(shell("echo here; exec sleep 1000")).await.unwrap();
    recorder.when(id, |events| lines_of(events, OutputStream::Stdout) == ["here"]).await;
    drop(engine);
    let events = recorder.all_of(id).await;
    assert!(matches!(events.last(), Some(ExecutionEvent::Cancelled { .. })));
}

#[tokio::test]
async fn handlers_are_dropped_with_their_engine() {
    let recorder = Recorder::new();
    let handler: Weak<Recorder> = Arc::downgrade(&recorder);
    let engine = engine().with_event_handler(recorder);
    run(&engine, shell("seq 1 1000")).await;
    assert!(handler.upgrade().is_some());
    drop(engine);
    until("the handler is gone", || handler.upgrade().is_none()).await;
}
