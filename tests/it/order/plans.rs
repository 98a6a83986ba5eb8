//! The ending of a plan is what happened to its steps.

use super::moment::{Reader, check_runs};
use super::*;

fn succeeded(result: &PlanExecutionResult) -> bool {
    result.results.iter().all(|step| step.success)
}

async fn plan_ended(engine: &ExecutionEngine, id: Uuid) -> PlanExecutionResult {
    soon("the end of the plan", engine.wait_for_plan(id)).await.unwrap()
}

/// Races a cancel against the last step, and checks that either the cancel has stopped something or
/// it was refused.
async fn cancel_against_the_end(plan: impl Fn() -> PlanSpec, own: ExecutionStatus) {
    let engine = ExecutionEngine::builder().stop_grace(Duration::ZERO).build().unwrap();
    let mut race = Race::new(Duration::from_millis(2));
    while race.continues(200) {
        let id = engine.execute_plan(plan()).await.unwrap();
        spin(race.delay());
        let cancelled = engine.cancel_plan(id).await;
        let result = plan_ended(&engine, id).await;
        match cancelled {
            Ok(()) => {
                race.was_early();
                assert_eq!(result.ending, PlanEnding::Cancelled);
                let by_it = |ending: &Ending| {
                    let never = Ending::NotRun { reason: SkipReason::PlanCancelled };
                    *ending == Ending::Cancelled || *ending == never
                };
                assert!(result.results.iter().any(|step| by_it(&step.ending)), "{result:?}");
            }
            Err(refused) => {
                race.was_late();
                assert_eq!(refused, ExecutionError::AlreadyEnded { id, status: own });
                assert_eq!(result.status, own, "{result:?}");
            }
        }
        assert_eq!(succeeded(&result), result.status == ExecutionStatus::Completed);
    }
}

#[tokio::test]
async fn cancel_as_the_last_step_ends_stops_a_step_or_is_refused() {
    let one = || ExecutionPlan::serial([shell("exit 0")]).into();
    cancel_against_the_end(one, ExecutionStatus::Completed).await;
    let three = || ExecutionPlan::parallel(["exit 0"; 3].map(shell)).into();
    cancel_against_the_end(three, ExecutionStatus::Completed).await;
}

#[tokio::test]
async fn cancel_as_a_failing_plan_ends_stops_a_step_or_is_refused() {
    let plan = || {
        let plan = ExecutionPlan::serial(["exit 1", "exit 0"].map(shell));
        let options = PlanOptions::default().failure_policy(FailurePolicy::Continue);
        PlanSpec::new(plan, options)
    };
    cancel_against_the_end(plan, ExecutionStatus::Failed).await;
}

#[tokio::test]
async fn deadline_as_the_last_step_ends_stops_it_or_is_nothing() {
    let engine = ExecutionEngine::builder().stop_grace(Duration::ZERO).build().unwrap();
    let mut race = Race::new(Duration::from_millis(15));
    while race.continues(200) {
        let options = PlanOptions::default().deadline(race.delay().max(Duration::from_millis(1)));
        let plan = ExecutionPlan::serial([shell("sleep 0.01")]);
        let id = engine.execute_plan(PlanSpec::new(plan, options)).await.unwrap();
        let result = plan_ended(&engine, id).await;
        match result.ending {
            PlanEnding::DeadlineReached { .. } => race.was_early(),
            _ => race.was_late(),
        }
        assert_eq!(succeeded(&result), result.ending == PlanEnding::Completed, "{result:?}");
    }
}

#[tokio::test]
async fn shutdown_as_the_last_step_ends_stops_it_or_is_nothing() {
    let mut race = Race::new(Duration::from_millis(2));
    while race.continues(50) {
        let engine = ExecutionEngine::builder().stop_grace(Duration::ZERO).build().unwrap();
        let plan = ExecutionPlan::serial([shell("exit 0")]);
        let id = engine.execute_plan(plan).await.unwrap();
        spin(race.delay());
        soon("the shutdown", engine.shutdown(Duration::ZERO)).await;
        let result = engine.get_plan_result(id).await.unwrap().expect("it has ended by then");
        match result.ending {
            PlanEnding::EngineClosed => race.was_early(),
            _ => race.was_late(),
        }
        assert_eq!(succeeded(&result), result.ending == PlanEnding::Completed, "{result:?}");
    }
}

#[tokio::test]
async fn steps_of_a_cancelled_plan_leave_the_queue_at_once() {
    let engine = queueing(1, 1).build().unwrap();
    let holder = engine.execute(shell("sleep 60")).await.unwrap();
    for round in 0..20 {
        let plan = ExecutionPlan::parallel(["true"; 5].map(shell));
        let first = plan.commands[0].id;
        let id = engine.execute_plan(plan).await.unwrap();
        until("the first step waits", || at_once(engine.waiting_count()) > 0).await;
        at_once(engine.cancel_plan(id)).unwrap();
        assert_eq!(at_once(engine.waiting_count()), 0, "round {round}");
        let result = plan_ended(&engine, id).await;
        assert_eq!(result.stats.not_run, 5, "{result:?}");
        let again = engine.cancel_plan(id).await;
        assert!(matches!(again, Err(ExecutionError::AlreadyEnded { .. })), "{again:?}");
        let waited = engine.get_result(first).await.unwrap().expect("it was in the queue");
        assert_eq!(waited.ending, Ending::NotRun { reason: SkipReason::PlanCancelled });
    }
    engine.cancel(holder).await.unwrap();
}

#[tokio::test]
async fn second_cancel_of_a_plan_is_refused_while_its_steps_are_stopped() {
    let engine = engine();
    let dir = TempDir::new().unwrap();
    let (up, go) = (dir.path().join("up"), dir.path().join("go"));
    let line = format!("trap '' TERM; echo up > {}; {}", up.display(), wait_for(&go));
    let patient = ExecutionOptions::default().stop_grace(PATIENCE);
    let plan = ExecutionPlan::serial([shell(line)]);
    let options = PlanOptions::default().defaults(patient);
    let id = engine.execute_plan(PlanSpec::new(plan, options)).await.unwrap();
    when_written(&up).await;
    engine.cancel_plan(id).await.unwrap();
    let status = ExecutionStatus::Cancelled;
    let again = engine.cancel_plan(id).await;
    assert_eq!(again, Err(ExecutionError::AlreadyEnded { id, status }));
    assert_eq!(engine.get_plan_status(id).await, Ok(ExecutionStatus::Running));
    std::fs::write(go, "").unwrap();
    assert_eq!(plan_ended(&engine, id).await.ending, PlanEnding::Cancelled);
}

#[tokio::test]
async fn permits_and_results_are_there_when_the_end_of_a_plan_is_seen() {
    let engine = limited_to(2).build().unwrap();
    for round in 0..200 {
        let plan = ExecutionPlan::parallel(["true"; 2].map(shell));
        let (id, steps) = (plan.id, [plan.commands[0].id, plan.commands[1].id]);
        at_once(engine.execute_plan(plan)).unwrap();
        look_until(|| at_once(engine.get_plan_status(id)).unwrap().is_terminal().then_some(()));
        assert_eq!(engine.available_permits(), 2, "round {round}");
        for step in steps {
            assert!(at_once(engine.get_result(step)).unwrap().is_some(), "round {round}");
        }
        at_once(engine.remove_plan(id)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn id_of_a_plan_used_again_has_its_events_after_those_before() {
    const RUNS: usize = 200;
    let engine = engine();
    let id = Uuid::new_v4();
    let reader = Reader::new(&engine, id).await;
    for run in 1..=RUNS {
        let plan = ExecutionPlan { id, ..ExecutionPlan::serial([shell("true")]) };
        at_once(engine.execute_plan(plan)).unwrap();
        reader.has_begun(run);
        look_until(|| at_once(engine.get_plan_status(id)).unwrap().is_terminal().then_some(()));
        at_once(engine.remove_plan(id)).unwrap();
    }
    drop(engine);
    check_runs(&reader.all().await, RUNS);
}
