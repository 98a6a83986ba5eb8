//! A caller that sees an ending finds all of it: the permit is free, the result is there, the last event is
//! out, and the id may be used again.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::*;

/// Way to see that an execution has ended.
type Observer = fn(&ExecutionEngine, &Execution) -> bool;

const OBSERVERS: [(&str, Observer); 5] = [
    ("get_status", |engine, execution| {
        at_once(engine.get_status(execution.id())).unwrap().is_terminal()
    }),
    ("get_result", |engine, execution| {
        at_once(engine.get_result(execution.id())).unwrap().is_some()
    }),
    ("list_executions", |engine, _| {
        at_once(engine.list_executions()).iter().all(|one| one.ending.is_some())
    }),
    ("Execution::status", |_, execution| at_once(execution.status()).unwrap().is_terminal()),
    ("Execution::wait", |_, execution| {
        let mut nobody = Context::from_waker(Waker::noop());
        Box::pin(execution.wait()).as_mut().poll(&mut nobody).is_ready()
    }),
];

#[tokio::test]
async fn permit_is_free_when_an_ending_is_seen() {
    for (name, has_ended) in OBSERVERS {
        let engine = limited_to(1).build().unwrap();
        for round in 0..300 {
            let execution = at_once(engine.start(shell("true"))).unwrap();
            look_until(|| has_ended(&engine, &execution).then_some(()));
            let found = (engine.available_permits(), at_once(engine.running_count()));
            assert_eq!(found, (1, 0), "{name}, round {round}");
            let result = at_once(engine.get_result(execution.id())).unwrap();
            assert!(result.is_some(), "{name}, round {round}");
            at_once(engine.remove_execution(execution.id())).unwrap();
        }
    }
}

#[tokio::test]
async fn permit_and_result_are_there_when_the_last_event_is_seen() {
    let engine = limited_to(1).build().unwrap();
    for round in 0..300 {
        let execution = at_once(engine.start(shell("true"))).unwrap();
        let mut events = at_once(execution.events()).unwrap();
        // On a thread of its own, because the budget of a task of tokio would end.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut nobody = Context::from_waker(Waker::noop());
                look_until(|| match Box::pin(events.next()).as_mut().poll(&mut nobody) {
                    Poll::Ready(Some(record)) => record.event.is_terminal().then_some(()),
                    _ => None,
                });
                assert_eq!(engine.available_permits(), 1, "round {round}");
            });
        });
        assert!(at_once(execution.status()).unwrap().is_terminal(), "round {round}");
        assert!(at_once(engine.get_result(execution.id())).unwrap().is_some(), "round {round}");
        at_once(engine.remove_execution(execution.id())).unwrap();
    }
}

#[tokio::test]
async fn permit_is_free_when_a_refusal_is_seen() {
    let dir = TempDir::new().unwrap();
    let engine = limited_to(1).build().unwrap();
    let mut seen = 0;
    for round in 0..300 {
        // Its directories are created after the admission, and then its name is too long for a file.
        let log = dir.path().join("a/".repeat(50)).join("x".repeat(300));
        let request = shell("true").output_log(log);
        let id = request.id;
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let observer = scope.spawn(|| {
                let status = || at_once(engine.get_status(id)).ok();
                let appeared = look_until(|| {
                    let over = is_over.load(Ordering::SeqCst);
                    status().is_some().then_some(true).or(over.then_some(false))
                });
                look_until(|| status().is_none().then_some(()));
                assert_eq!(engine.available_permits(), 1, "round {round}");
                appeared
            });
            let refused = at_once(engine.execute(request));
            assert!(matches!(refused, Err(ExecutionError::Log { .. })), "{refused:?}");
            assert_eq!(engine.available_permits(), 1, "round {round}");
            is_over.store(true, Ordering::SeqCst);
            seen += u32::from(observer.join().unwrap());
        });
    }
    assert!(seen > 0, "no refusal was observed");
}

#[tokio::test]
async fn next_in_the_queue_starts_after_the_last_event() {
    const COUNT: usize = 200;
    let engine = queueing(1, COUNT).build().unwrap();
    let mut records = engine.subscribe_all().await;
    for _ in 0..COUNT {
        engine.execute(shell("true")).await.unwrap();
    }
    let mut active = None;
    let mut ended = 0;
    soon("the end of all", async {
        while ended < COUNT {
            let record = records.next().await.unwrap();
            match (&record.event, active) {
                (ExecutionEvent::Started { execution_id, .. }, None) => {
                    active = Some(*execution_id);
                }
                (event, Some(id)) if event.execution_id() == id => {
                    if event.is_terminal() {
                        (active, ended) = (None, ended + 1);
                    }
                }
                _ => panic!("beside {active:?}: {record:?}"),
            }
        }
    })
    .await;
}

/// Checks that the records of an id are whole runs, one after the other.
pub(super) fn check_runs(records: &[EventRecord], runs: usize) {
    let mut left = records;
    for run in 0..runs {
        let end = left.iter().position(|record| record.event.is_terminal());
        let end = end.unwrap_or_else(|| panic!("run {run} has no end: {left:?}"));
        let (own, rest) = left.split_at(end + 1);
        assert!(own.windows(2).all(|two| two[0].sequence < two[1].sequence), "{run}: {own:?}");
        assert_eq!(own[0].sequence, 1, "run {run}: {own:?}");
        left = rest;
    }
    assert_eq!(left, []);
}

/// Reads all records of one id in the background, and counts those that begin an execution or a plan.
pub(super) struct Reader {
    begun: Arc<AtomicUsize>,
    records: tokio::task::JoinHandle<Vec<EventRecord>>,
}

impl Reader {
    pub(super) async fn new(engine: &ExecutionEngine, id: Uuid) -> Self {
        let mut records = engine.subscribe_all().await;
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let read = async move {
            let mut all = Vec::new();
            while let Some(record) = records.next().await {
                let is_missed = matches!(record.event, ExecutionEvent::ExecutionsMissed { .. });
                assert!(!is_missed, "nothing is missed");
                if record.execution_id == id {
                    count.fetch_add(usize::from(record.sequence == 1), Ordering::SeqCst);
                    all.push(record);
                }
            }
            all
        };
        Self { begun, records: tokio::spawn(read) }
    }

    /// Returns the records, once the engine has ended.
    pub(super) async fn all(self) -> Vec<EventRecord> {
        soon("all records", self.records).await.unwrap()
    }

    /// Waits until this many have begun. From then on the reader holds their journals.
    pub(super) fn has_begun(&self, count: usize) {
        look_until(|| (self.begun.load(Ordering::SeqCst) >= count).then_some(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn id_used_again_has_its_events_after_those_before() {
    const RUNS: usize = 500;
    let engine = engine();
    let id = Uuid::new_v4();
    let reader = Reader::new(&engine, id).await;
    for run in 1..=RUNS {
        at_once(engine.execute(shell("true").id(id))).unwrap();
        reader.has_begun(run);
        look_until(|| at_once(engine.get_status(id)).unwrap().is_terminal().then_some(()));
        at_once(engine.remove_execution(id)).unwrap();
    }
    drop(engine);
    check_runs(&reader.all().await, RUNS);
}
