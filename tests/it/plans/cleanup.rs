//! Steps that always run, after a cancel, a deadline and at the end of the engine.

use super::*;

/// Returns a plan with a step that runs until it is stopped, one after it, and a cleanup that waits
/// for both and then for a file.
fn with_cleanup(dir: &Path) -> PlanSpec {
    let up = |name: &str| format!("echo $$ > {}", dir.join(name).display());
    let cleanup = format!("{}; {}; echo cleaned", up("cleanup"), wait_for(&dir.join("go")));
    graph(|plan| {
        plan.step("work", shell(format!("{}; exec sleep 60", up("work"))))
            .step("more", shell("true"))
            .after("work")
            .step("rollback", shell("true"))
            .only_if(StepCondition::failed("work"))
            .step("clean", shell(cleanup))
            .after("more")
            .always()
    })
}

#[tokio::test]
async fn cancelled_plan_still_cleans_up() {
    let (engine, dir) = (engine(), TempDir::new().unwrap());
    let id = engine.execute_plan(with_cleanup(dir.path())).await.unwrap();
    when_written(&dir.path().join("work")).await;
    engine.cancel_plan(id).await.unwrap();
    when_written(&dir.path().join("cleanup")).await;
    assert_eq!(engine.get_plan_status(id).await, Ok(ExecutionStatus::Running));
    fs::write(dir.path().join("go"), "").unwrap();
    let result = plan_ended(&engine, id).await;
    assert_eq!(result.ending, PlanEnding::Cancelled);
    let cancelled = never(SkipReason::PlanCancelled);
    let expected = [Ending::Cancelled, cancelled.clone(), cancelled, Ending::Exited { code: 0 }];
    assert_eq!(endings(&result), expected);
    assert_eq!(result.step("clean").unwrap().stdout, "cleaned\n");
    let stats = result.stats;
    assert_eq!((stats.completed, stats.cancelled, stats.not_run), (1, 1, 2));
}

/// Starts a plan, cancels it once this file is written, and returns its result.
async fn cancelled_once(
    written: &Path,
    engine: &ExecutionEngine,
    plan: PlanSpec,
) -> PlanExecutionResult {
    let id = engine.execute_plan(plan).await.unwrap();
    when_written(written).await;
    engine.cancel_plan(id).await.unwrap();
    plan_ended(engine, id).await
}

#[tokio::test]
async fn cleanup_starts_at_the_cancel_if_it_waits_for_nothing_that_runs() {
    let dir = TempDir::new().unwrap();
    let engine = ExecutionEngine::builder().group("one", 1).build().unwrap();
    let in_group = || ExecutionOptions::default().group("one");
    let [up, cleaned] = ["up", "cleaned"].map(|name| dir.path().join(name));
    let work = format!("trap '' TERM; echo up > {}; {}", up.display(), wait_for(&cleaned));
    let plan = graph(|plan| {
        plan.step("work", shell(work))
            .options(in_group().stop_grace(PATIENT))
            .step("more", shell("true"))
            .options(in_group())
            .step("clean", shell(format!("touch {}", cleaned.display())))
            .after("more")
            .always()
    });
    let result = cancelled_once(&up, &engine, plan).await;
    assert!(result.step("clean").unwrap().success);
}

#[tokio::test]
async fn cleanup_waits_until_what_comes_before_it_has_been_stopped() {
    let (engine, dir) = (engine(), TempDir::new().unwrap());
    let [up, stopped] = ["up", "stopped"].map(|name| dir.path().join(name));
    let on_term = format!("trap 'sleep 0.3; echo > {}; exit 1' TERM", stopped.display());
    let work = format!("{on_term}; echo up > {}; while :; do sleep 0.01; done", up.display());
    let plan = graph(|plan| {
        plan.step("work", shell(work))
            .step("more", shell("true"))
            .after("work")
            .step("clean", shell(format!("test -e {}", stopped.display())))
            .after("more")
            .always()
    });
    let result = cancelled_once(&up, &engine, plan).await;
    assert!(result.step("clean").unwrap().success);
}

#[tokio::test]
async fn second_cancel_stops_the_cleanup() {
    let (engine, dir) = (engine(), TempDir::new().unwrap());
    let id = engine.execute_plan(with_cleanup(dir.path())).await.unwrap();
    when_written(&dir.path().join("work")).await;
    engine.cancel_plan(id).await.unwrap();
    let pid = pids(&when_written(&dir.path().join("cleanup")).await)[0];
    engine.cancel_plan(id).await.unwrap();
    let result = plan_ended(&engine, id).await;
    assert_eq!(result.step("clean").unwrap().ending, Ending::Cancelled);
    assert_eq!(result.ending, PlanEnding::Cancelled);
    assert!(!is_alive(pid));
    let status = ExecutionStatus::Cancelled;
    assert_eq!(engine.cancel_plan(id).await, Err(ExecutionError::AlreadyEnded { id, status }));
}

#[tokio::test]
async fn first_cancel_never_stops_a_cleanup() {
    let (engine, dir) = (engine(), TempDir::new().unwrap());
    let cleanup = dir.path().join("cleanup");
    let line = format!("echo up > {}; {}", cleanup.display(), wait_for(&dir.path().join("go")));
    let plan = graph(|plan| plan.step("clean", shell(line)).always());
    let id = engine.execute_plan(plan).await.unwrap();
    when_written(&cleanup).await;
    let nothing_left = engine.cancel_plan(id).await;
    assert!(matches!(nothing_left, Err(ExecutionError::AlreadyEnded { .. })), "{nothing_left:?}");
    fs::write(dir.path().join("go"), "").unwrap();
    assert_eq!(plan_ended(&engine, id).await.ending, PlanEnding::Completed);
}

#[tokio::test]
async fn cleanup_is_bounded_by_its_timeout() {
    let plan = graph(|plan| {
        plan.step("clean", shell("exec sleep 60").timeout(Duration::from_millis(300)))
            .always()
            .deadline(Duration::from_millis(100))
    });
    let result = run_plan(&engine(), plan).await;
    assert_eq!(endings(&result), [Ending::TimedOut { timeout_ms: 300 }], "not by the deadline");
    assert!(matches!(result.ending, PlanEnding::Failed { .. }), "{:?}", result.ending);
}

#[tokio::test]
async fn deadline_leaves_the_cleanup_and_so_does_one_cancel() {
    let (engine, dir) = (engine(), TempDir::new().unwrap());
    let mut plan = with_cleanup(dir.path());
    plan.options.deadline_ms = Some(2000);
    let id = engine.execute_plan(plan).await.unwrap();
    when_written(&dir.path().join("cleanup")).await;
    let nothing_left = engine.cancel_plan(id).await;
    let status = ExecutionStatus::Timeout;
    assert_eq!(nothing_left, Err(ExecutionError::AlreadyEnded { id, status }));
    fs::write(dir.path().join("go"), "").unwrap();
    let result = plan_ended(&engine, id).await;
    assert_eq!(result.ending, PlanEnding::DeadlineReached { deadline_ms: 2000 });
    assert_eq!(result.step("clean").unwrap().stdout, "cleaned\n");
    assert_eq!(result.step("rollback").unwrap().ending, never(SkipReason::PlanDeadline));
}

#[tokio::test]
async fn shutdown_stops_a_cleanup_and_starts_none() {
    for is_cancelled in [true, false] {
        let (engine, dir) = (engine(), TempDir::new().unwrap());
        let id = engine.execute_plan(with_cleanup(dir.path())).await.unwrap();
        when_written(&dir.path().join("work")).await;
        if is_cancelled {
            engine.cancel_plan(id).await.unwrap();
            when_written(&dir.path().join("cleanup")).await;
        }
        soon("the shutdown", engine.shutdown(Duration::ZERO)).await;
        let result = engine.get_plan_result(id).await.unwrap().expect("it has ended by then");
        let cleanup = &result.step("clean").unwrap().ending;
        if is_cancelled {
            assert_eq!(result.ending, PlanEnding::Cancelled, "the first cause");
            assert_eq!(*cleanup, Ending::EngineClosed);
        } else {
            assert_eq!(result.ending, PlanEnding::EngineClosed);
            assert_eq!(*cleanup, never(SkipReason::EngineClosed));
        }
    }
}

#[tokio::test]
async fn cancels_that_race_with_each_other_and_with_steps_leave_one_ending() {
    let engine = ExecutionEngine::builder().stop_grace(Duration::ZERO).build().unwrap();
    let mut race = Race::new(Duration::from_millis(30));
    while race.continues(60) {
        let plan = graph(|plan| {
            plan.step("work", shell("exec sleep 0.01"))
                .step("more", shell("exec sleep 0.01"))
                .after("work")
                .step("clean", shell("true"))
                .after("more")
                .always()
        });
        let id = engine.execute_plan(plan).await.unwrap();
        pause(race.delay()).await;
        let [one, two] = [engine.clone(), engine.clone()]
            .map(|engine| tokio::spawn(async move { engine.cancel_plan(id).await.is_ok() }));
        let stopped = [one.await.unwrap(), two.await.unwrap()];
        let result = plan_ended(&engine, id).await;
        let is_cancelled = result.ending == PlanEnding::Cancelled;
        assert_eq!(is_cancelled, stopped.contains(&true), "{result:?}");
        if is_cancelled {
            race.was_early();
        } else {
            race.was_late();
        }
        let cleanup = &result.step("clean").unwrap().ending;
        let was_stopped = matches!(cleanup, Ending::Cancelled | Ending::NotRun { .. });
        assert!(was_stopped || cleanup.is_success(), "{result:?}");
        assert!(!was_stopped || is_cancelled, "{result:?}");
    }
}
