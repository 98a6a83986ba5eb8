//! Plans that are stopped by a cancel, a deadline or the end of their engine.

use super::*;

#[tokio::test]
async fn cancel_while_the_first_step_waits() {
    let engine = busy_engine(&Recorder::new());
    let holder = engine.execute(shell("sleep 60")).await.unwrap();
    let plan = ExecutionPlan::serial(["true", "true"].map(shell));
    let (id, first) = (plan.id, plan.commands[0].id);
    engine.execute_plan(plan).await.unwrap();
    has_status(&engine, id, first, ExecutionStatus::Pending).await;
    engine.cancel_plan(id).await.unwrap();
    let result = plan_ended(&engine, id).await;
    assert_eq!(
        (result.status, &result.ending),
        (ExecutionStatus::Cancelled, &PlanEnding::Cancelled)
    );
    let reason = SkipReason::PlanCancelled;
    assert_eq!(endings(&result), [never(reason.clone()), never(reason)], "wherever it waited");
    assert_eq!((result.results[0].attempts, result.results[0].usage), (0, None));
    assert_eq!((result.stats.cancelled, result.stats.not_run), (0, 2));
    assert_eq!(engine.get_status(holder).await, Ok(ExecutionStatus::Running), "not of the plan");
    engine.cancel(holder).await.unwrap();
}

#[tokio::test]
async fn cancel_before_anything_has_started() {
    let engine = engine();
    let plan = ExecutionPlan::parallel((0..50).map(|_| shell("sleep 60")));
    let id = plan.id;
    engine.execute_plan(plan).await.unwrap();
    engine.cancel_plan(id).await.unwrap();
    let result = plan_ended(&engine, id).await;
    assert_eq!(result.status, ExecutionStatus::Cancelled);
    for ending in endings(&result) {
        assert!(matches!(ending, Ending::Cancelled | Ending::NotRun { .. }), "{ending:?}");
    }
}

#[tokio::test]
async fn cancel_stops_running_steps_and_starts_no_more() {
    let engine = engine();
    let dir = TempDir::new().unwrap();
    let pid = dir.path().join("pid");
    let plan = ExecutionPlan::serial([
        shell("echo done"),
        shell(format!("echo $$ > {}; sleep 60", pid.display())),
        shell(format!("touch {}/never", dir.path().display())),
    ]);
    let id = plan.id;
    engine.execute_plan(plan).await.unwrap();
    let pid = pids(&when_written(&pid).await)[0];
    engine.cancel_plan(id).await.unwrap();
    let result = plan_ended(&engine, id).await;
    assert!(!is_alive(pid));
    assert!(!dir.path().join("never").exists());
    let expected =
        [Ending::Exited { code: 0 }, Ending::Cancelled, never(SkipReason::PlanCancelled)];
    assert_eq!(endings(&result), expected);
    let stats = result.stats;
    assert_eq!((stats.completed, stats.cancelled, stats.not_run), (1, 1, 1));
    let again = engine.cancel_plan(id).await;
    let status = ExecutionStatus::Cancelled;
    assert_eq!(again, Err(ExecutionError::AlreadyEnded { id, status }));
}

#[tokio::test]
async fn cancel_after_the_end_keeps_the_plan_ending() {
    let engine = engine();
    let id = engine.execute_plan(ExecutionPlan::serial([shell("true")])).await.unwrap();
    let result = plan_ended(&engine, id).await;
    let status = ExecutionStatus::Completed;
    let refused = engine.cancel_plan(id).await;
    assert_eq!(refused, Err(ExecutionError::AlreadyEnded { id, status }));
    assert_eq!(engine.get_plan_result(id).await, Ok(Some(result)));
    let unknown = Uuid::new_v4();
    let refused = engine.cancel_plan(unknown).await;
    assert_eq!(refused, Err(ExecutionError::PlanNotFound(unknown)));
}

#[tokio::test]
async fn cancel_after_a_failure_stops_running_steps() {
    let engine = engine();
    let plan = ExecutionPlan::parallel(["sleep 60", "exit 1"].map(shell));
    let (id, failing) = (plan.id, plan.commands[1].id);
    let options = PlanOptions::default().failure_policy(FailurePolicy::StopAtFirstError);
    engine.execute_plan(PlanSpec::new(plan, options)).await.unwrap();
    has_status(&engine, id, failing, ExecutionStatus::Failed).await;
    // The plan has reported the failure, so that it comes before the cancel.
    engine.cancel_plan(id).await.unwrap();
    let result = plan_ended(&engine, id).await;
    assert_eq!(result.results[0].ending, Ending::Cancelled);
    assert_eq!(result.ending, PlanEnding::Failed { step: PlanStep { index: 1, name: None } });
}

#[tokio::test]
async fn cancelled_step_fails_the_plan() {
    let engine = engine();
    let plan = ExecutionPlan::serial(["sleep 60", "true"].map(shell));
    let (id, first) = (plan.id, plan.commands[0].id);
    engine.execute_plan(plan).await.unwrap();
    has_status(&engine, id, first, ExecutionStatus::Running).await;
    engine.cancel(first).await.unwrap();
    let result = plan_ended(&engine, id).await;
    let failed = PlanStep { index: 0, name: None };
    assert_eq!(result.ending, PlanEnding::Failed { step: failed.clone() });
    let stopped = never(SkipReason::PlanStopped { step: failed });
    assert_eq!(endings(&result), [Ending::Cancelled, stopped]);
}

fn deadline(ms: u64) -> PlanOptions {
    PlanOptions::default().deadline(Duration::from_millis(ms))
}

#[tokio::test]
async fn deadline_stops_running_and_pending_steps() {
    let engine = engine();
    let plan = ExecutionPlan::serial(["echo done", "sleep 60", "true"].map(shell));
    let id = engine.execute_plan(PlanSpec::new(plan, deadline(3000))).await.unwrap();
    let result = plan_ended(&engine, id).await;
    assert_eq!(result.status, ExecutionStatus::Timeout);
    assert_eq!(result.ending, PlanEnding::DeadlineReached { deadline_ms: 3000 });
    let late = Ending::PlanDeadline { deadline_ms: 3000 };
    let expected = [Ending::Exited { code: 0 }, late, never(SkipReason::PlanDeadline)];
    assert_eq!(endings(&result), expected);
    assert_eq!(result.results[1].status, ExecutionStatus::Timeout);
    assert_eq!(
        result.results[1].error.as_deref(),
        Some("stopped by the deadline of its plan (3000 ms)")
    );
    let stats = result.stats;
    assert_eq!((stats.completed, stats.timeout, stats.not_run), (1, 1, 1));
    assert!(result.total_duration >= Duration::from_millis(3000));
}

#[tokio::test]
async fn deadline_counts_while_the_plan_waits() {
    let engine = busy_engine(&Recorder::new());
    let holder = engine.execute(shell("sleep 60")).await.unwrap();
    let plan = ExecutionPlan::parallel(["true", "true"].map(shell));
    let id = engine.execute_plan(PlanSpec::new(plan, deadline(200))).await.unwrap();
    let result = plan_ended(&engine, id).await;
    assert_eq!(result.status, ExecutionStatus::Timeout);
    let reason = SkipReason::PlanDeadline;
    assert_eq!(endings(&result), [never(reason.clone()), never(reason)], "none of them ran");
    assert_eq!(result.stats.not_run, 2);
    assert_eq!(engine.waiting_count().await, 0);
    engine.cancel(holder).await.unwrap();
}

#[tokio::test]
async fn deadline_ends_a_retry_delay() {
    let engine = engine();
    let retry = RetryPolicy::new(9).initial_delay(Duration::from_secs(3600)).jitter(Jitter::None);
    let options = deadline(3000)
        .defaults(ExecutionOptions::default().retry(retry.max_delay(Duration::from_secs(3600))));
    let plan = ExecutionPlan::serial(["exit 1", "true"].map(shell));
    let id = engine.execute_plan(PlanSpec::new(plan, options)).await.unwrap();
    let result = plan_ended(&engine, id).await;
    let late = Ending::PlanDeadline { deadline_ms: 3000 };
    assert_eq!(endings(&result), [late, never(SkipReason::PlanDeadline)]);
    assert_eq!(result.results[0].earlier_attempts.len(), 1);
    assert_eq!(result.status, ExecutionStatus::Timeout);
}

#[tokio::test]
async fn step_that_ignores_the_deadline_is_killed() {
    let engine = engine();
    let dir = TempDir::new().unwrap();
    let pid = dir.path().join("pid");
    let line = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.05; done", pid.display());
    let stubborn = ExecutionOptions::default().stop_grace(Duration::from_millis(100));
    let options = deadline(3000).defaults(stubborn);
    let id = engine
        .execute_plan(PlanSpec::new(ExecutionPlan::serial([shell(line)]), options))
        .await
        .unwrap();
    let pid = pids(&when_written(&pid).await)[0];
    let result = plan_ended(&engine, id).await;
    assert_eq!(endings(&result), [Ending::PlanDeadline { deadline_ms: 3000 }]);
    assert_eq!(result.results[0].containment.signal, Some(Signal::Kill));
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn first_cause_decides_the_plan_ending() {
    let engine = engine();
    let dir = TempDir::new().unwrap();
    // It handles the cancel and continues.
    let (up, term) = (dir.path().join("up"), dir.path().join("term"));
    let line = format!(
        "trap 'echo got it > {}' TERM; echo up > {}; while :; do sleep 0.05; done",
        term.display(),
        up.display()
    );
    let patient = ExecutionOptions::default().stop_grace(Duration::from_secs(6));
    let plan = ExecutionPlan::serial([shell(line)]);
    let id = plan.id;
    engine.execute_plan(PlanSpec::new(plan, deadline(5000).defaults(patient))).await.unwrap();
    when_written(&up).await;
    engine.cancel_plan(id).await.unwrap();
    when_written(&term).await;
    // The deadline passes while the step is being stopped.
    let result = plan_ended(&engine, id).await;
    assert_eq!(result.ending, PlanEnding::Cancelled);
    assert_eq!(endings(&result), [Ending::Cancelled]);
}

#[tokio::test]
async fn cancel_and_deadline_race_gives_one_ending() {
    let engine = ExecutionEngine::builder().stop_grace(Duration::ZERO).build().unwrap();
    let mut race = Race::new(Duration::from_millis(10));
    while race.continues(150) {
        let plan = ExecutionPlan::serial([shell("sleep 60")]);
        let begun = std::time::Instant::now();
        let id = engine.execute_plan(PlanSpec::new(plan, deadline(10))).await.unwrap();
        while begun.elapsed() < race.delay() {
            std::thread::yield_now();
        }
        let _late = engine.cancel_plan(id).await;
        let result = plan_ended(&engine, id).await;
        let of_step = &result.results[0].ending;
        match result.ending {
            PlanEnding::Cancelled => {
                race.was_early();
                let never = Ending::NotRun { reason: SkipReason::PlanCancelled };
                assert!([Ending::Cancelled, never].contains(of_step), "{of_step:?}");
            }
            PlanEnding::DeadlineReached { deadline_ms } => {
                race.was_late();
                let never = Ending::NotRun { reason: SkipReason::PlanDeadline };
                assert!(
                    [Ending::PlanDeadline { deadline_ms }, never].contains(of_step),
                    "{of_step:?}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn plan_done_in_time_completes() {
    let engine = engine();
    let plan = ExecutionPlan::serial([shell("true")]);
    let id = engine.execute_plan(PlanSpec::new(plan, deadline(u64::MAX))).await.unwrap();
    let result = plan_ended(&engine, id).await;
    assert_eq!(result.status, ExecutionStatus::Completed, "{result:?}");
}

#[tokio::test]
async fn shutdown_ends_plans_and_refuses_more() {
    let engine = engine();
    let plan = ExecutionPlan::serial(["sleep 60", "true"].map(shell));
    let (id, first) = (plan.id, plan.commands[0].id);
    engine.execute_plan(plan).await.unwrap();
    has_status(&engine, id, first, ExecutionStatus::Running).await;
    soon("the shutdown", engine.shutdown(Duration::ZERO)).await;
    let result = engine.get_plan_result(id).await.unwrap().expect("it has ended by then");
    assert_eq!(result.ending, PlanEnding::EngineClosed);
    assert_eq!(endings(&result), [Ending::EngineClosed, never(SkipReason::EngineClosed)]);
    let refused = engine.execute_plan(ExecutionPlan::serial([shell("true")])).await;
    assert_eq!(refused, Err(ExecutionError::ShuttingDown));
}

#[tokio::test]
async fn dropped_engine_ends_plans() {
    let recorder = Recorder::new();
    let engine = busy_engine(&recorder);
    let dir = TempDir::new().unwrap();
    let pid = dir.path().join("pid");
    let plan = ExecutionPlan::serial([
        shell(format!("echo $$ > {}; sleep 60", pid.display())),
        shell(format!("touch {}/never", dir.path().display())),
    ]);
    let id = plan.id;
    engine.execute_plan(plan).await.unwrap();
    let pid = pids(&when_written(&pid).await)[0];
    drop(engine);
    let events = recorder.all_of(id).await;
    let status = ExecutionStatus::Cancelled;
    let last = events.last();
    assert!(
        matches!(last, Some(ExecutionEvent::PlanEnded { status: is, .. }) if *is == status),
        "{events:?}"
    );
    assert!(!is_alive(pid));
    assert!(!dir.path().join("never").exists());
}

#[tokio::test]
async fn plan_outlives_the_runtime_that_started_it() {
    let engine = engine();
    let (accepted, id) = tokio::sync::oneshot::channel();
    let theirs = engine.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let plan = ExecutionPlan::serial(["sleep 0.1; echo one", "echo two"].map(shell));
        accepted.send(runtime.block_on(theirs.execute_plan(plan)).unwrap()).unwrap();
        // That runtime ends here.
    });
    let result = plan_ended(&engine, soon("the id", id).await.unwrap()).await;
    assert_eq!(result.stats.completed, 2);
}

#[tokio::test]
async fn plan_leaves_no_process_and_no_permit() {
    let engine = engine_with(|config| config.max_concurrent_executions = 4);
    let dir = TempDir::new().unwrap();
    let pids_file = dir.path().join("pids");
    let line = format!("sleep 60 & echo $! >> {}; exit 1", pids_file.display());
    let plan = ExecutionPlan::parallel((0..8).map(|_| shell(&line)));
    let id = engine.execute_plan(plan).await.unwrap();
    let result = plan_ended(&engine, id).await;
    assert_eq!(result.stats.failed, 8);
    let left: Vec<_> = pids(&fs::read_to_string(&pids_file).unwrap());
    assert_eq!(left.len(), 8);
    assert!(left.iter().all(|pid| !is_alive(*pid)), "{left:?}");
    assert_eq!(engine.available_permits(), 4);
}
