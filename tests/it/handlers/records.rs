//! Handlers that take records get what subscriptions get.

use super::*;

/// Handler that remembers records; its other method must not be called.
#[derive(Default)]
struct Records(Mutex<Vec<EventRecord>>);

impl Records {
    fn take(&self) -> Vec<EventRecord> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[async_trait]
impl EventHandler for Records {
    async fn handle_record(&self, record: EventRecord) {
        self.0.lock().unwrap().push(record);
    }

    async fn handle_event(&self, event: ExecutionEvent) {
        panic!("called with {event:?}");
    }
}

async fn subscribed(engine: &ExecutionEngine, id: Uuid) -> Vec<EventRecord> {
    let mut records = engine.subscribe(id).await.unwrap();
    let mut all = Vec::new();
    while let Some(record) = soon("a record", records.next()).await {
        all.push(record);
    }
    all
}

#[tokio::test]
async fn records_are_those_of_a_subscription() {
    let records = Arc::new(Records::default());
    let engine = engine().with_event_handler(records.clone());
    let line = "seq 1 2000 & seq 1 2000 >&2; wait; printf 'no end'";
    let retry = RetryPolicy::new(2).initial_delay(Duration::ZERO);
    for (line, options) in [
        (line, ExecutionOptions::default().partial_lines_after(Duration::ZERO)),
        ("echo a; exit 3", ExecutionOptions::default().retry(retry)),
    ] {
        let result = run_with(&engine, shell(line), options).await;
        soon("the last record", engine.wait_until_idle()).await;
        let heard = records.take();
        assert!(heard.is_sorted_by(|one, next| one.sequence < next.sequence));
        assert_eq!(heard.last().unwrap().containment.as_deref(), Some(&result.containment));
        let told = subscribed(&engine, result.id).await;
        let is_retried = result.attempts > 1;
        // The output of an earlier attempt is held only for those that wait for it.
        assert!(is_retried || heard == told, "{heard:?}\n{told:?}");
        assert!(!is_retried || heard.len() == told.len(), "{heard:?}\n{told:?}");
        assert!(is_retried || heard.iter().any(|record| record.partial));
    }
}

#[tokio::test]
async fn several_handlers_in_one_get_records() {
    let (records, events) = (Arc::new(Records::default()), Recorder::new());
    let both = MultiEventHandler::new(vec![records.clone(), events.clone()]);
    let engine = engine().with_event_handler(Arc::new(both));
    let id = run(&engine, shell("echo one; echo two >&2")).await.id;
    soon("the last record", engine.wait_until_idle()).await;
    let heard: Vec<_> = records.take().into_iter().map(|record| record.event).collect();
    assert_eq!(heard, events.of(id));
    assert_framed(&heard);
}

#[tokio::test]
async fn records_have_the_notes_of_the_request() {
    let records = Arc::new(Records::default());
    let engine = engine().with_event_handler(records.clone());
    let mut all = engine.subscribe_all().await;
    let request = shell("echo hello").tag("nightly").label("branch", "main");
    let notes = request.metadata.clone();
    let id = run(&engine, request).await.id;
    soon("the last record", engine.wait_until_idle()).await;
    let heard = records.take();
    assert_eq!(heard, subscribed(&engine, id).await);
    for record in &heard {
        assert_eq!(record.metadata.as_deref(), Some(&notes));
        assert_eq!(soon("a record", all.next()).await.as_ref(), Some(record));
        let json = serde_json::to_value(record).unwrap();
        assert!(json.get("metadata").is_none(), "{json}");
    }
    let plan = PlanSpec::from(ExecutionPlan::serial([shell("true")]));
    engine.execute_plan(plan).await.unwrap();
    soon("the last record", engine.wait_until_idle()).await;
    let heard = records.take();
    assert!(heard.len() > 4 && heard.iter().all(|record| record.metadata.is_none()), "{heard:?}");
}

/// Handler that remembers records and never returns from a line.
#[derive(Default)]
struct HangsAtLineRecords(Records);

#[async_trait]
impl EventHandler for HangsAtLineRecords {
    async fn handle_record(&self, record: EventRecord) {
        let hangs = is_line(&record.event);
        self.0.handle_record(record).await;
        if hangs {
            std::future::pending::<()>().await;
        }
    }

    async fn handle_event(&self, _: ExecutionEvent) {}
}

#[tokio::test]
async fn missed_lines_have_a_record_before_the_last() {
    let handler = Arc::new(HangsAtLineRecords::default());
    let engine = with_stall_limit(handler.clone(), Duration::from_millis(50));
    run(&engine, shell("seq 1 10")).await;
    soon("the last record", engine.wait_until_idle()).await;
    let heard = handler.0.take();
    let [.., missed, last] = &heard[..] else { panic!("{heard:?}") };
    let count = ExecutionEvent::LinesMissed { execution_id: missed.execution_id, count: 9 };
    assert_eq!((&missed.event, missed.sequence), (&count, last.sequence));
    assert!(last.event.is_terminal());
}
