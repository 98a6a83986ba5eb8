//! Handlers may call the engine and tokio.

use super::*;

/// Slot for the engine that a handler calls. The test sets it and clears it at its end: otherwise
/// engine and handler would keep each other alive.
#[derive(Default)]
struct EngineSlot {
    engine: Mutex<Option<ExecutionEngine>>,
}

impl EngineSlot {
    fn engine(&self) -> ExecutionEngine {
        self.engine.lock().unwrap().clone().unwrap()
    }
}

#[tokio::test]
async fn handler_may_query_and_cancel_its_execution() {
    struct Cancels {
        slot: Arc<EngineSlot>,
        said: mpsc::UnboundedSender<(ExecutionStatus, Result<()>)>,
    }

    #[async_trait]
    impl EventHandler for Cancels {
        async fn handle_event(&self, event: ExecutionEvent) {
            let id = event.execution_id();
            if is_line(&event) {
                let engine = self.slot.engine();
                let status = engine.get_status(id).await.unwrap();
                self.said.send((status, engine.cancel(id).await)).unwrap();
            }
        }
    }

    let slot = Arc::new(EngineSlot::default());
    let (said, mut hears) = mpsc::unbounded_channel();
    let handler = Cancels { slot: Arc::clone(&slot), said };
    let engine = engine().with_event_handler(Arc::new(handler));
    *slot.engine.lock().unwrap() = Some(engine.clone());

    let result = run(&engine, shell("echo ready; exec sleep 1000")).await;
    assert_eq!(result.ending, Ending::Cancelled);
    assert_eq!(hears.recv().await, Some((ExecutionStatus::Running, Ok(()))));
    slot.engine.lock().unwrap().take();
}

#[tokio::test]
async fn handler_may_wait_for_its_execution() {
    struct Waits {
        slot: Arc<EngineSlot>,
        results: mpsc::UnboundedSender<ExecutionResult>,
    }

    #[async_trait]
    impl EventHandler for Waits {
        async fn handle_event(&self, event: ExecutionEvent) {
            if is_line(&event) || event.is_terminal() {
                let engine = self.slot.engine();
                let result = engine.wait_for_completion(event.execution_id()).await;
                self.results.send(result.unwrap()).unwrap();
            }
        }
    }

    let slot = Arc::new(EngineSlot::default());
    let (results, mut ended) = mpsc::unbounded_channel();
    let handler = Waits { slot: Arc::clone(&slot), results };
    let engine = engine().with_event_handler(Arc::new(handler));
    *slot.engine.lock().unwrap() = Some(engine.clone());

    let result = run(&engine, shell("echo waited for; exit 3")).await;
    for event in ["line", "terminal"] {
        let same = soon(event, ended.recv()).await.unwrap();
        assert_eq!((same.ending, same.stdout), (result.ending.clone(), result.stdout.clone()));
    }
    slot.engine.lock().unwrap().take();
}

#[tokio::test]
async fn handler_may_start_an_execution() {
    struct Chains {
        slot: Arc<EngineSlot>,
        results: mpsc::UnboundedSender<ExecutionResult>,
    }

    #[async_trait]
    impl EventHandler for Chains {
        async fn handle_event(&self, event: ExecutionEvent) {
            if let ExecutionEvent::Stdout { line, .. } = event
                && line == "first"
            {
                let result = self.slot.engine().run(shell("echo second")).await;
                self.results.send(result.unwrap()).unwrap();
            }
        }
    }

    let slot = Arc::new(EngineSlot::default());
    let (results, mut ended) = mpsc::unbounded_channel();
    let handler = Chains { slot: Arc::clone(&slot), results };
    let engine = engine().with_event_handler(Arc::new(handler));
    *slot.engine.lock().unwrap() = Some(engine.clone());

    run(&engine, shell("echo first")).await;
    assert_eq!(soon("the second", ended.recv()).await.unwrap().stdout, "second\n");
    slot.engine.lock().unwrap().take();
}

#[tokio::test]
async fn handler_runs_within_tokio() {
    struct Works(mpsc::UnboundedSender<u32>);

    #[async_trait]
    impl EventHandler for Works {
        async fn handle_event(&self, event: ExecutionEvent) {
            if event.is_terminal() {
                pause(Duration::from_millis(1)).await;
                let spawned = tokio::spawn(async { 1 }).await.unwrap();
                let blocking = tokio::task::spawn_blocking(|| 2).await.unwrap();
                self.0.send(spawned + blocking).unwrap();
            }
        }
    }

    let (sums, mut told) = mpsc::unbounded_channel();
    let engine = engine().with_event_handler(Arc::new(Works(sums)));
    run(&engine, shell("echo")).await;
    assert_eq!(soon("the sum", told.recv()).await, Some(3));
}

#[test]
fn handlers_need_no_runtime_of_the_caller() {
    let (events, told) = std::sync::mpsc::channel();
    let events = Mutex::new(events);
    let handler = Calls(move |event| events.lock().unwrap().send(event).unwrap());
    let engine = engine().with_event_handler(Arc::new(handler));
    let id = {
        // A start never suspends, so one poll is enough.
        let mut start = std::pin::pin!(engine.execute(shell("echo here")));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match start.as_mut().poll(&mut context) {
            std::task::Poll::Ready(started) => started.unwrap(),
            std::task::Poll::Pending => panic!("starting waited"),
        }
    };
    let next = || told.recv_timeout(PATIENCE).unwrap();
    let events: Vec<_> = std::iter::repeat_with(next).take(5).collect();
    assert_framed(&events);
    assert_eq!(events[2], ExecutionEvent::Stdout { execution_id: id, line: "here".into() });
}
