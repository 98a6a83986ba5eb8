//! Engines on both ends: one sends its executions to the fleet, workers run them with another one.

use execution_engine::*;
use execution_engine_fleet::{Cluster as _, KeyKind, Lane, LogSubject, Seed, Signer};
use std::time::Duration;
use test_support::{pause, soon, until};
use uuid::Uuid;

use crate::test_fleet::TestFleet;

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_runs_on_a_worker_as_it_runs_here() {
    let fleet = TestFleet::start().await;
    let engine = fleet.engine().await;
    let _worker = fleet.worker("w1").await;
    let request = ExecutionRequest::shell("echo $WORD; echo err >&2; exit 3").env("WORD", "secret");
    let result = soon("the result", engine.run(request)).await.unwrap();
    assert_eq!((&*result.stdout, &*result.stderr), ("secret\n", "err\n"));
    assert_eq!(result.ending, Ending::Exited { code: 3 });
    let place = result.place.unwrap();
    assert_eq!((&*place.worker, place.attempt), ("w1", 1));
    let fence = "echo $EXECUTION_ENGINE_FENCE";
    let result = soon("the fence", engine.run(ExecutionRequest::shell(fence))).await.unwrap();
    assert_eq!(result.stdout, format!("{}\n", result.place.unwrap().fence));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_the_environment_are_on_no_server() {
    let fleet = TestFleet::start().await;
    let engine = fleet.engine().await;
    // No worker takes it, so it lies in the queue.
    let id = engine.execute(ExecutionRequest::shell("true").env("TOKEN", "hunter2")).await.unwrap();
    let cluster = fleet.cluster().await;
    let tickets = cluster.find_tickets("t", id).await.unwrap();
    let ticket = String::from_utf8_lossy(&tickets[0].1).into_owned();
    assert!(ticket.contains("true") && !ticket.contains("hunter2"), "{ticket}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_a_program_on_a_worker() {
    let fleet = TestFleet::start().await;
    let engine = fleet.engine().await;
    let worker = fleet.worker("w1").await;
    let execution = engine.start(ExecutionRequest::shell("echo up; exec sleep 600")).await.unwrap();
    let mut events = execution.events().await.unwrap();
    loop {
        let record = soon("the first line", events.next()).await.unwrap();
        if matches!(&record.event, ExecutionEvent::Stdout { line, .. } if line == "up") {
            break;
        }
    }
    soon("the cancel", execution.cancel()).await.unwrap();
    let result = soon("the result", execution.wait()).await.unwrap();
    assert_eq!((result.ending, &*result.stdout), (Ending::Cancelled, "up\n"));
    assert!(result.containment.proven);
    assert_eq!(worker.engine.running_count().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_in_the_queue_is_cancelled_without_a_start() {
    let fleet = TestFleet::start().await;
    let engine = fleet.engine().await;
    let execution = engine.start(ExecutionRequest::shell("echo no")).await.unwrap();
    soon("the cancel", execution.cancel()).await.unwrap();
    let result = soon("the result", execution.wait()).await.unwrap();
    assert_eq!((result.ending, result.place), (Ending::Cancelled, None));
    let worker = fleet.worker("w1").await;
    let cluster = fleet.cluster().await;
    soon("an empty queue", async {
        while !cluster.places("t").await.unwrap().is_empty() {
            pause(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(worker.engine.total_count().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn input_signals_and_pauses_reach_the_program() {
    let fleet = TestFleet::start().await;
    let engine = fleet.engine().await;
    let _worker = fleet.worker("w1").await;
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    // A signal interrupts `read`. The program ends behind the end of its input.
    let script = "trap 'echo usr1' USR1; echo up; until test \"$line\" = three; do read line && echo got $line; done; cat; echo end";
    let execution = engine.start_with(ExecutionRequest::shell(script), options).await.unwrap();
    let mut events = execution.events().await.unwrap();
    let mut line = async |wanted: &str| loop {
        let record = soon(wanted, events.next()).await.unwrap();
        if matches!(&record.event, ExecutionEvent::Stdout { line, .. } if line == wanted) {
            break;
        }
    };
    line("up").await;
    let stdin = execution.stdin();
    assert_eq!(stdin.write("one\ntwo\n").await.unwrap(), 8);
    line("got two").await;
    engine.pause(execution.id()).await.unwrap();
    engine.resume(execution.id()).await.unwrap();
    execution.signal(Signal::User1).await.unwrap();
    line("usr1").await;
    stdin.write("three\n").await.unwrap();
    stdin.close().await.unwrap();
    line("end").await;
    let subject = LogSubject { tenant: "t".into(), id: execution.id(), lane: Lane::Input };
    let written = fleet.cluster().await.read(&subject, 1, 0).await.unwrap();
    assert_eq!(written.records.len(), 3);
    let shown = format!("{:?}", written.records);
    assert!(!shown.contains("three"), "{shown}");
    let result = soon("the result", execution.wait()).await.unwrap();
    assert_eq!(result.stdout, "up\ngot one\ngot two\nusr1\ngot three\nend\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_follows_by_the_id_and_all_is_listed() {
    let fleet = TestFleet::start().await;
    let _worker = fleet.worker("w1").await;
    let request = ExecutionRequest::shell("seq 1000").tag("numbers");
    let id = request.id;
    fleet.engine().await.execute(request).await.unwrap();
    let other = fleet.engine().await;
    let result = soon("the result", other.wait_for_completion(id)).await.unwrap();
    let numbers: String = (1..=1000).map(|number| format!("{number}\n")).collect();
    assert_eq!(result.stdout, numbers);
    let listed = other.list_backend().await.unwrap();
    assert_eq!((listed[0].id, listed[0].status), (id, ExecutionStatus::Completed));
    assert_eq!(
        (&*listed[0].command, &listed[0].metadata.tags[..]),
        ("seq 1000", &["numbers".to_owned()][..])
    );
    let error = other.get_status(Uuid::from_u128(7)).await.unwrap_err();
    assert!(matches!(error, ExecutionError::NotFound(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_worker_gives_its_work_to_another_one() {
    let fleet = TestFleet::start().await;
    let engine = fleet.engine().await;
    let first = fleet.worker("w1").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    // The first start waits for ever, the second one ends.
    let script = format!(
        "echo start; if test -s {0}; then exit 0; fi; echo x > {0}; exec sleep 600",
        file.path().display()
    );
    let options = ExecutionOptions::default().max_attempts(2);
    let execution = engine.start_with(ExecutionRequest::shell(script), options).await.unwrap();
    until("the first start", || std::fs::metadata(file.path()).unwrap().len() > 0).await;
    let _second = fleet.worker("w2").await;
    first.worker.evict();
    soon("the end of the first worker", first.run).await.unwrap();
    let result = soon("the result", execution.wait()).await.unwrap();
    assert_eq!((result.ending, &*result.stdout), (Ending::Exited { code: 0 }, "start\n"));
    let place = result.place.unwrap();
    assert_eq!((&*place.worker, place.attempt), ("w2", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_runs_on_workers() {
    let fleet = TestFleet::start().await;
    let engine = fleet.engine().await;
    let _workers = [fleet.worker("w1").await, fleet.worker("w2").await];
    let plan = ExecutionPlan::builder()
        .step("one", ExecutionRequest::shell("echo 1"))
        .step("two", ExecutionRequest::shell("echo 2"))
        .build()
        .unwrap();
    let result = soon("the plan", engine.run_plan(plan)).await.unwrap();
    assert_eq!(result.step("two").unwrap().stdout, "2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_elsewhere_is_refused_with_its_field() {
    let fleet = TestFleet::start().await;
    let engine = fleet.engine().await;
    let relative = ExecutionRequest::shell("true").working_dir("here");
    let options = ExecutionOptions::default().requires(Requires::default().pool("gpu"));
    let errors = [
        engine.execute(relative).await.unwrap_err().to_string(),
        engine
            .execute_with(ExecutionRequest::shell("true"), options)
            .await
            .unwrap_err()
            .to_string(),
    ];
    assert!(errors[0].contains("working_dir"), "{errors:?}");
    assert!(errors[1].contains("gpu"), "{errors:?}");
    let missing = ExecutionRequest::exec("no-such-program-here", ["x"]);
    let _worker = fleet.worker("w1").await;
    let result = soon("the result", engine.run(missing)).await.unwrap();
    assert!(
        matches!(&result.ending, Ending::SpawnFailed { reason, .. } if reason.contains("no-such-program-here")),
        "{:?}",
        result.ending
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_certificate_of_the_pool_runs_nothing() {
    let fleet = TestFleet::start_with(Some(Seed::new(KeyKind::Pool))).await;
    let engine = fleet.engine().await;
    let forger = fleet.worker_with("forger", Signer::unsigned()).await;
    let execution = engine.start(ExecutionRequest::shell("echo ran")).await.unwrap();
    let cluster = fleet.cluster().await;
    let subject = LogSubject { tenant: "t".into(), id: execution.id(), lane: Lane::Decisions };
    soon("the claim of the forger", async {
        while cluster.newest(&subject).await.unwrap() == 0 {
            pause(Duration::from_millis(20)).await;
        }
    })
    .await;
    forger.worker.drain();
    let _worker = fleet.worker("w1").await;
    let result = soon("the result", execution.wait()).await.unwrap();
    assert_eq!((&*result.stdout, &*result.place.unwrap().worker), ("ran\n", "w1"));
    assert_eq!(forger.engine.total_count().await, 0);
}
