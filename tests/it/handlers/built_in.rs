//! The handlers of the library.

use super::*;

#[tokio::test]
async fn multi_event_handler_keeps_the_order_of_its_handlers() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let numbered = |number: usize| -> Arc<dyn EventHandler> {
        let order = Arc::clone(&order);
        Arc::new(Calls(move |event| order.lock().unwrap().push((number, event))))
    };
    let recorder = Recorder::new();
    let multi = MultiEventHandler::new(vec![numbered(0), numbered(1)])
        .with(numbered(2))
        .with(recorder.clone());
    assert_eq!(format!("{multi:?}"), "MultiEventHandler(4 handlers)");

    let engine = engine().with_event_handler(Arc::new(multi));
    let id = run(&engine, shell("seq 1 100")).await.id;
    let events = recorder.all_of(id).await;
    assert_framed(&events);
    let expected: Vec<_> =
        events.iter().flat_map(|event| (0..3).map(move |number| (number, event.clone()))).collect();
    assert!(*order.lock().unwrap() == expected);
}

#[tokio::test]
async fn empty_handlers_change_nothing() {
    let recorder = Recorder::new();
    let engine = engine()
        .with_event_handler(Arc::new(NoopEventHandler))
        .with_event_handler(Arc::new(MultiEventHandler::default()))
        .with_event_handler(recorder.clone());
    let result = run(&engine, shell("seq 1 1000")).await;
    assert_framed(&recorder.all_of(result.id).await);
    assert_eq!((result.ending, result.lines_missed), (Ending::Exited { code: 0 }, 0));
}

#[tokio::test]
async fn logging_handler_traces_lines_as_debug_and_failures_as_warnings() {
    let traces = Traces::of_this_process();
    let recorder = Recorder::new();
    let both = MultiEventHandler::new(vec![Arc::new(LoggingEventHandler), recorder.clone()]);
    let engine = engine().with_event_handler(Arc::new(both));
    let traced = async |line: &str| {
        let id = run(&engine, shell(line)).await.id;
        recorder.all_of(id).await;
        let mut mine = traces.so_far();
        mine.retain(|trace| trace.contains(&id.to_string()));
        mine.join("\n")
    };

    let good = traced("echo one; echo two >&2").await;
    for text in ["INFO", "started", "out | one", "err | two", "completed"] {
        assert!(good.contains(text), "{text} is not in\n{good}");
    }
    assert!(good.lines().any(|line| line.starts_with("DEBUG") && line.contains("out | one")));
    assert!(!good.contains("WARN"), "{good}");

    let bad = traced("exit 3").await;
    let warning = bad.lines().find(|line| line.starts_with("WARN")).unwrap();
    assert!(warning.contains("exit_code=3"), "{bad}");
}
