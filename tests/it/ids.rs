//! Ids: executions, plans and steps share one id space, and no two of them have one id.

use std::sync::Barrier;

use execution_engine::*;
use test_support::*;

/// Races an execution against a plan, for as many rounds as it takes until each has won, and some
/// more. Either has a growing head start in every other round.
fn race(engine: &ExecutionEngine, plan_with: impl Fn(Uuid) -> ExecutionPlan + Sync) {
    const ROUNDS: u32 = 200;
    let start = Barrier::new(2);
    let wait = |micros: u32| {
        let until = std::time::Instant::now() + Duration::from_micros(micros.into());
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
    };
    let (mut executions, mut plans) = (0, 0);
    for round in 0..ROUNDS {
        let id = Uuid::new_v4();
        let (execution, plan) = std::thread::scope(|scope| {
            let execution = scope.spawn(|| {
                start.wait();
                wait((round % 2) * round * 5);
                at_once(engine.execute(shell("true").id(id)))
            });
            let plan = plan_with(id);
            start.wait();
            wait(((round + 1) % 2) * round * 5);
            let plan = at_once(engine.execute_plan(plan));
            (execution.join().unwrap(), plan)
        });
        match (execution, plan) {
            (Ok(_), Err(ExecutionError::DuplicateId(taken))) if taken == id => executions += 1,
            (Err(ExecutionError::DuplicateId(taken)), Ok(_)) if taken == id => plans += 1,
            both => panic!("round {round}: {both:?}"),
        }
    }
    assert!(executions > 0 && plans > 0, "executions won {executions} times, plans {plans}");
}

fn roomy() -> ExecutionEngine {
    engine_with(|config| config.max_concurrent_executions = 10_000)
}

#[test]
fn an_execution_and_a_plan_never_get_the_same_id() {
    race(&roomy(), |id| ExecutionPlan { id, ..ExecutionPlan::serial([shell("true")]) });
}

#[test]
fn an_execution_and_a_step_never_get_the_same_id() {
    // The step that is raced for has not started when the plan is accepted.
    race(&roomy(), |id| ExecutionPlan::serial([shell("sleep 0.01"), shell("true").id(id)]));
}

#[tokio::test]
async fn waiting_step_reserves_its_id_until_it_is_skipped() {
    let engine = engine();
    let [first, second] = [shell("sleep 60"), shell("echo never")];
    let (running, waiting) = (first.id, second.id);
    let mut records = engine.subscribe_all().await;
    let plan = engine.execute_plan(ExecutionPlan::serial([first, second])).await.unwrap();
    until_started(&mut records, running).await;
    let taken = engine.execute(shell("true").id(waiting)).await;
    assert_eq!(taken, Err(ExecutionError::DuplicateId(waiting)));
    let other = ExecutionPlan::serial([shell("true").id(waiting)]);
    assert_eq!(engine.execute_plan(other).await, Err(ExecutionError::DuplicateId(waiting)));
    let not_started = engine.get_status(waiting).await;
    assert_eq!(not_started, Err(ExecutionError::NotFound(waiting)));

    engine.cancel_plan(plan).await.unwrap();
    soon("the end of the plan", engine.wait_for_plan(plan)).await.unwrap();
    let result = engine.run(shell("echo mine").id(waiting)).await.unwrap();
    assert_eq!(result.stdout, "mine\n");
}

async fn until_started(records: &mut Subscription, id: Uuid) {
    loop {
        let record = soon("the start", records.next()).await.unwrap();
        if matches!(record.event, ExecutionEvent::Started { execution_id, .. } if execution_id == id)
        {
            return;
        }
    }
}

#[tokio::test]
async fn id_of_a_step_that_failed_to_start_is_free_again() {
    let engine = engine();
    let request = ExecutionRequest::exec("/no/such/program", ["x"]);
    let id = request.id;
    let plan = engine.execute_plan(ExecutionPlan::serial([request])).await.unwrap();
    let result = soon("the end of the plan", engine.wait_for_plan(plan)).await.unwrap();
    assert!(!result.results[0].success);
    assert_eq!(engine.execute(shell("true").id(id)).await, Ok(id));
}
