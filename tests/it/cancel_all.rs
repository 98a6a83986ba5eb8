//! Cancelling all that is queued or running, on an engine that stays open.

use execution_engine::*;
use test_support::*;

/// Returns an engine with three permits and a queue, which kills at once.
fn small_engine() -> ExecutionEngine {
    ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 3, ..Default::default() })
        .admission(Admission::Queue { max_waiting: 100 })
        .stop_grace(Duration::ZERO)
        .build()
        .unwrap()
}

fn sleeps() -> ExecutionRequest {
    ExecutionRequest::exec("sleep", ["300"])
}

fn sleeping_plan() -> PlanSpec {
    let step = StepOptions::default();
    let options = PlanOptions::default().step(step.clone()).step(step.clone()).step(step.always());
    PlanSpec::new(ExecutionPlan::serial([sleeps(), sleeps(), shell("echo cleaned")]), options)
}

fn sorted(mut ids: Vec<Uuid>) -> Vec<Uuid> {
    ids.sort();
    ids
}

/// Checks that a plan was cancelled and has cleaned up.
async fn check_cancelled_plan(engine: &ExecutionEngine, id: Uuid) {
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.ending, PlanEnding::Cancelled);
    assert_eq!(result.results[2].stdout, "cleaned\n", "{result:?}");
    assert!(result.results[..2].iter().all(|step| !step.success), "{result:?}");
}

#[tokio::test]
async fn all_that_was_accepted_is_cancelled_and_the_engine_stays_open() {
    let engine = small_engine();
    let ended = engine.run(shell("true")).await.unwrap().id;
    let mut executions = Vec::new();
    let mut plans = Vec::new();
    for _ in 0..3 {
        for _ in 0..2 {
            executions.push(engine.execute(sleeps()).await.unwrap());
        }
        plans.push(engine.execute_plan(sleeping_plan()).await.unwrap());
    }
    let report = engine.cancel_all().await;
    assert_eq!(sorted(report.executions), sorted(executions.clone()));
    assert_eq!(sorted(report.plans), sorted(plans.clone()));
    // A cleanup runs behind nothing but what is being stopped.
    assert_eq!(soon("a cleanup", engine.run(shell("echo open"))).await.unwrap().stdout, "open\n");
    for id in executions {
        let result = soon("an execution", engine.wait_for_completion(id)).await.unwrap();
        assert_eq!(result.ending, Ending::Cancelled);
    }
    for id in plans {
        check_cancelled_plan(&engine, id).await;
    }
    assert_eq!(engine.get_status(ended).await, Ok(ExecutionStatus::Completed));
    assert_eq!((engine.available_permits(), engine.waiting_count().await), (3, 0));
    let nothing = engine.cancel_all().await;
    assert_eq!((nothing.executions, nothing.plans), (vec![], vec![]));
}

#[tokio::test]
async fn second_call_stops_what_always_runs() {
    let engine = small_engine();
    let plan = ExecutionPlan::builder().step("cleanup", sleeps()).always().build().unwrap();
    let (id, step) = (plan.plan.id, plan.plan.commands[0].id);
    let recorder = Recorder::new();
    let engine = engine.with_event_handler(Arc::clone(&recorder) as Arc<dyn EventHandler>);
    engine.execute_plan(plan).await.unwrap();
    recorder.when(step, |events| !events.is_empty()).await;
    let first = engine.cancel_all().await;
    assert_eq!((first.executions, first.plans), (vec![], vec![]));
    assert_eq!(engine.get_plan_status(id).await, Ok(ExecutionStatus::Running));
    assert_eq!(engine.cancel_all().await.plans, [id]);
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.results[0].ending, Ending::Cancelled);
}

/// What a submitter that races with a `cancel_all` got.
struct Late {
    execution: Uuid,
    plan: Uuid,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_meanwhile_is_cancelled_as_a_whole_or_not_touched() {
    let engine = small_engine();
    let mut race = Race::new(Duration::from_micros(50));
    while race.continues(60) {
        let before = engine.execute(sleeps()).await.unwrap();
        let (theirs, delay) = (engine.clone(), race.delay());
        let begun = std::time::Instant::now();
        let late = tokio::spawn(async move {
            while begun.elapsed() < delay {
                std::thread::yield_now();
            }
            let plan = theirs.execute_plan(sleeping_plan()).await.unwrap();
            Late { execution: theirs.execute(sleeps()).await.unwrap(), plan }
        });
        while begun.elapsed() < Duration::from_micros(50) {
            std::thread::yield_now();
        }
        let report = engine.cancel_all().await;
        let after = engine.execute(sleeps()).await.unwrap();
        let Late { execution, plan } = late.await.unwrap();

        assert!(report.executions.contains(&before) && !report.executions.contains(&after));
        let has_execution = report.executions.contains(&execution);
        let has_plan = report.plans.contains(&plan);
        assert!(has_plan || !has_execution, "the plan was accepted first");
        if has_plan {
            race.was_early();
            check_cancelled_plan(&engine, plan).await;
        } else {
            race.was_late();
            assert_eq!(engine.get_plan_status(plan).await, Ok(ExecutionStatus::Running));
        }
        let ending = |id| {
            let engine = engine.clone();
            async move { soon("an execution", engine.wait_for_completion(id)).await.unwrap().ending }
        };
        assert_eq!(ending(before).await, Ending::Cancelled);
        if has_execution {
            assert_eq!(ending(execution).await, Ending::Cancelled);
        } else {
            assert!(!engine.get_status(execution).await.unwrap().is_terminal());
        }
        assert!(!engine.get_status(after).await.unwrap().is_terminal());
        let rest = engine.cancel_all().await;
        assert!(rest.executions.contains(&after));
        assert_eq!(ending(after).await, Ending::Cancelled);
        soon("the plan", engine.wait_for_plan(plan)).await.unwrap();
    }
}
