//! Plans that are stopped, by a cancel, a deadline, or the end of their engine, at each stage; and
//! what they tell while they run.

use std::fs;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

fn busy_engine(recorder: &Arc<Recorder>) -> ExecutionEngine {
    ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
        .event_handler(Arc::clone(recorder) as Arc<dyn EventHandler>)
        .stop_grace(Duration::from_millis(100))
        .build()
        .unwrap()
}

async fn ended(engine: &ExecutionEngine, id: Uuid) -> PlanExecutionResult {
    soon("the plan", engine.wait_for_plan(id)).await.unwrap()
}

async fn has_status(engine: &ExecutionEngine, id: Uuid, status: ExecutionStatus) {
    soon("the status", async {
        while engine.get_status(id).await != Ok(status) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn never(reason: SkipReason) -> Ending {
    Ending::NotRun { reason }
}

fn endings(result: &PlanExecutionResult) -> Vec<Ending> {
    result.results.iter().map(|result| result.ending.clone()).collect()
}

// ----------------------------------------------------------------------------------------- cancel

#[tokio::test]
async fn cancelled_while_its_first_step_waits() {
    let engine = busy_engine(&Recorder::new());
    let holder = engine.execute(shell("sleep 60")).await.unwrap();
    let plan = ExecutionPlan::serial(["true", "true"].map(shell));
    let (id, first) = (plan.id, plan.commands[0].id);
    engine.execute_plan(plan).await.unwrap();
    has_status(&engine, first, ExecutionStatus::Pending).await;
    engine.cancel_plan(id).await.unwrap();
    let result = ended(&engine, id).await;
    assert_eq!(
        (result.status, &result.ending),
        (ExecutionStatus::Cancelled, &PlanEnding::Cancelled)
    );
    assert_eq!(endings(&result), [Ending::Cancelled, never(SkipReason::PlanCancelled)]);
    assert_eq!(result.results[0].usage, None, "it never ran");
    assert_eq!((result.stats.cancelled, result.stats.not_run), (1, 1));
    assert_eq!(engine.get_status(holder).await, Ok(ExecutionStatus::Running), "not of the plan");
    engine.cancel(holder).await.unwrap();
}

#[tokio::test]
async fn cancelled_before_anything_could_start() {
    let engine = engine();
    let plan = ExecutionPlan::parallel((0..50).map(|_| shell("sleep 60")));
    let id = plan.id;
    engine.execute_plan(plan).await.unwrap();
    engine.cancel_plan(id).await.unwrap();
    let result = ended(&engine, id).await;
    assert_eq!(result.status, ExecutionStatus::Cancelled);
    for ending in endings(&result) {
        assert!(matches!(ending, Ending::Cancelled | Ending::NotRun { .. }), "{ending:?}");
    }
}

#[tokio::test]
async fn cancelled_in_the_middle_it_stops_what_runs_and_starts_nothing_more() {
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
    let pid = pids(&told(&pid).await)[0];
    engine.cancel_plan(id).await.unwrap();
    let result = ended(&engine, id).await;
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
async fn cancelled_after_its_end_it_keeps_its_ending() {
    let engine = engine();
    let id = engine.execute_plan(ExecutionPlan::serial([shell("true")])).await.unwrap();
    let result = ended(&engine, id).await;
    let status = ExecutionStatus::Completed;
    let refused = engine.cancel_plan(id).await;
    assert_eq!(refused, Err(ExecutionError::AlreadyEnded { id, status }));
    assert_eq!(engine.get_plan_result(id).await, Ok(Some(result)));
    let unknown = Uuid::new_v4();
    let refused = engine.cancel_plan(unknown).await;
    assert_eq!(refused, Err(ExecutionError::PlanNotFound(unknown)));
}

#[tokio::test]
async fn cancelled_after_a_failure_it_stops_what_runs_and_has_failed() {
    let engine = engine();
    let plan = ExecutionPlan::parallel(["sleep 60", "exit 1"].map(shell));
    let (id, failing) = (plan.id, plan.commands[1].id);
    let options = PlanOptions::default().failure_policy(FailurePolicy::StopAtFirstError);
    engine.execute_plan_with(plan, options).await.unwrap();
    has_status(&engine, failing, ExecutionStatus::Failed).await;
    // The runner may not know of the failure yet, and then the cancel comes first.
    engine.cancel_plan(id).await.unwrap();
    let result = ended(&engine, id).await;
    assert_eq!(result.results[0].ending, Ending::Cancelled);
    assert!(matches!(result.ending, PlanEnding::Failed { .. } | PlanEnding::Cancelled));
}

#[tokio::test]
async fn a_step_that_is_cancelled_alone_is_a_failure_of_the_plan() {
    let engine = engine();
    let plan = ExecutionPlan::serial(["sleep 60", "true"].map(shell));
    let (id, first) = (plan.id, plan.commands[0].id);
    engine.execute_plan(plan).await.unwrap();
    has_status(&engine, first, ExecutionStatus::Running).await;
    engine.cancel(first).await.unwrap();
    let result = ended(&engine, id).await;
    let failed = PlanStep { index: 0, name: None };
    assert_eq!(result.ending, PlanEnding::Failed { step: failed.clone() });
    let stopped = never(SkipReason::PlanStopped { step: failed });
    assert_eq!(endings(&result), [Ending::Cancelled, stopped]);
}

// --------------------------------------------------------------------------------------- deadline

fn deadline(ms: u64) -> PlanOptions {
    PlanOptions::default().deadline(Duration::from_millis(ms))
}

#[tokio::test]
async fn the_deadline_stops_what_runs_and_what_has_not_started() {
    let engine = engine();
    let plan = ExecutionPlan::serial(["echo done", "sleep 60", "true"].map(shell));
    let id = engine.execute_plan_with(plan, deadline(3000)).await.unwrap();
    let result = ended(&engine, id).await;
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
async fn the_deadline_counts_while_a_plan_waits_for_the_engine() {
    let engine = busy_engine(&Recorder::new());
    let holder = engine.execute(shell("sleep 60")).await.unwrap();
    let plan = ExecutionPlan::parallel(["true", "true"].map(shell));
    let id = engine.execute_plan_with(plan, deadline(200)).await.unwrap();
    let result = ended(&engine, id).await;
    assert_eq!(result.status, ExecutionStatus::Timeout);
    let late = Ending::PlanDeadline { deadline_ms: 200 };
    assert_eq!(result.results[0].ending, late);
    assert!(result.results.iter().all(|step| step.usage.is_none()), "none of them ran");
    assert_eq!(engine.waiting_count().await, 0);
    engine.cancel(holder).await.unwrap();
}

#[tokio::test]
async fn the_deadline_ends_the_pause_before_another_attempt() {
    let engine = engine();
    let retry = RetryPolicy::new(9).initial_delay(Duration::from_secs(3600)).jitter(Jitter::None);
    let options = deadline(3000)
        .defaults(ExecutionOptions::default().retry(retry.max_delay(Duration::from_secs(3600))));
    let plan = ExecutionPlan::serial(["exit 1", "true"].map(shell));
    let id = engine.execute_plan_with(plan, options).await.unwrap();
    let result = ended(&engine, id).await;
    let late = Ending::PlanDeadline { deadline_ms: 3000 };
    assert_eq!(endings(&result), [late, never(SkipReason::PlanDeadline)]);
    assert_eq!(result.results[0].earlier_attempts.len(), 1);
    assert_eq!(result.status, ExecutionStatus::Timeout);
}

#[tokio::test]
async fn a_step_that_ignores_the_deadline_is_killed() {
    let engine = engine();
    let dir = TempDir::new().unwrap();
    let pid = dir.path().join("pid");
    let line = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.05; done", pid.display());
    let stubborn = ExecutionOptions::default().stop_grace(Duration::from_millis(100));
    let options = deadline(3000).defaults(stubborn);
    let id = engine.execute_plan_with(ExecutionPlan::serial([shell(line)]), options).await.unwrap();
    let pid = pids(&told(&pid).await)[0];
    let result = ended(&engine, id).await;
    assert_eq!(endings(&result), [Ending::PlanDeadline { deadline_ms: 3000 }]);
    assert_eq!(result.results[0].containment.signal, Some(Signal::Kill));
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn the_first_cause_is_the_ending_of_the_plan() {
    let engine = engine();
    let dir = TempDir::new().unwrap();
    // It takes note of the cancel, and takes its time.
    let (up, term) = (dir.path().join("up"), dir.path().join("term"));
    let line = format!(
        "trap 'echo got it > {}' TERM; echo up > {}; while :; do sleep 0.05; done",
        term.display(),
        up.display()
    );
    let patient = ExecutionOptions::default().stop_grace(Duration::from_secs(6));
    let plan = ExecutionPlan::serial([shell(line)]);
    let id = plan.id;
    engine.execute_plan_with(plan, deadline(5000).defaults(patient)).await.unwrap();
    told(&up).await;
    engine.cancel_plan(id).await.unwrap();
    told(&term).await;
    // The deadline passes while the step is being stopped.
    let result = ended(&engine, id).await;
    assert_eq!(result.ending, PlanEnding::Cancelled);
    assert_eq!(endings(&result), [Ending::Cancelled]);
}

#[tokio::test]
async fn a_cancel_that_meets_the_deadline_gives_one_account() {
    let engine = ExecutionEngine::builder().stop_grace(Duration::ZERO).build().unwrap();
    let mut cancelled = 0;
    for round in 0..150 {
        let plan = ExecutionPlan::serial([shell("sleep 60")]);
        let begun = std::time::Instant::now();
        let id = engine.execute_plan_with(plan, deadline(10)).await.unwrap();
        while begun.elapsed() < Duration::from_micros(9_500 + 20 * round) {
            std::thread::yield_now();
        }
        let _late = engine.cancel_plan(id).await;
        let result = ended(&engine, id).await;
        let of_step = &result.results[0].ending;
        match &result.ending {
            PlanEnding::Cancelled => {
                cancelled += 1;
                let never = Ending::NotRun { reason: SkipReason::PlanCancelled };
                assert!([Ending::Cancelled, never].contains(of_step), "{of_step:?}");
            }
            PlanEnding::DeadlineReached { deadline_ms } => {
                let deadline_ms = *deadline_ms;
                let never = Ending::NotRun { reason: SkipReason::PlanDeadline };
                assert!(
                    [Ending::PlanDeadline { deadline_ms }, never].contains(of_step),
                    "{of_step:?}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    eprintln!("{cancelled} of 150 cancels won");
}

#[tokio::test]
async fn a_plan_that_is_done_in_time_knows_no_deadline() {
    let engine = engine();
    let plan = ExecutionPlan::serial([shell("true")]);
    let id = engine.execute_plan_with(plan, deadline(u64::MAX)).await.unwrap();
    let result = ended(&engine, id).await;
    assert_eq!(result.status, ExecutionStatus::Completed, "{result:?}");
}

// ---------------------------------------------------------------------------- the end of the engine

#[tokio::test]
async fn shutdown_ends_plans_and_accepts_no_more() {
    let engine = engine();
    let plan = ExecutionPlan::serial(["sleep 60", "true"].map(shell));
    let (id, first) = (plan.id, plan.commands[0].id);
    engine.execute_plan(plan).await.unwrap();
    has_status(&engine, first, ExecutionStatus::Running).await;
    soon("the shutdown", engine.shutdown(Duration::ZERO)).await;
    let result = engine.get_plan_result(id).await.unwrap().expect("it has ended by then");
    assert_eq!(result.ending, PlanEnding::EngineClosed);
    assert_eq!(endings(&result), [Ending::EngineClosed, never(SkipReason::EngineClosed)]);
    let refused = engine.execute_plan(ExecutionPlan::serial([shell("true")])).await;
    assert_eq!(refused, Err(ExecutionError::ShuttingDown));
}

#[tokio::test]
async fn dropping_the_engine_ends_plans() {
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
    let pid = pids(&told(&pid).await)[0];
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
async fn a_waiter_and_its_plan_may_live_on_different_runtimes() {
    let engine = engine();
    let (accepted, id) = tokio::sync::oneshot::channel();
    let theirs = engine.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let plan = ExecutionPlan::serial(["sleep 0.1; echo one", "echo two"].map(shell));
        accepted.send(runtime.block_on(theirs.execute_plan(plan)).unwrap()).unwrap();
        // Here that runtime ends.
    });
    let result = ended(&engine, soon("the id", id).await.unwrap()).await;
    assert_eq!(result.stats.completed, 2);
}

// ---------------------------------------------------------------------------------- what they tell

#[tokio::test]
async fn progress_tells_each_step_in_order_and_counts_to_the_end() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(Arc::clone(&recorder) as Arc<dyn EventHandler>);
    let PlanSpec { plan, options, .. } = ExecutionPlan::builder()
        .step("good", shell("echo good"))
        .step("bad", shell("exit 1"))
        .after("good")
        .step("never", shell("true"))
        .after("bad")
        .build()
        .unwrap();
    let (id, first) = (plan.id, plan.commands[0].id);
    engine.execute_plan_with(plan, options).await.unwrap();
    let events = recorder.all_of(id).await;
    let mut told = Vec::new();
    for event in &events {
        if let ExecutionEvent::Progress {
            completed, total, step, status, current_command, ..
        } = event
        {
            assert_eq!(*total, 3);
            told.push((step.index, *status, *completed, current_command.as_str()));
        }
    }
    use ExecutionStatus::{Cancelled, Completed, Failed, Running};
    let expected = [
        (0, Running, 0, "echo good"),
        (0, Completed, 1, "echo good"),
        (1, Running, 1, "exit 1"),
        (1, Failed, 3, "exit 1"),
        (2, Cancelled, 3, "true"),
    ];
    assert_eq!(told, expected);
    assert_eq!(events.len(), expected.len() + 1, "and the end of the plan: {events:?}");
    // The executions tell of themselves as always.
    let own = recorder.all_of(first).await;
    assert_eq!(lines_of(&own, OutputStream::Stdout), ["good"]);
}

/// All records of a plan.
async fn all_records(mut records: PlanSubscription) -> Vec<EventRecord> {
    soon("the last record", async {
        let mut all = Vec::new();
        while let Some(record) = records.next().await {
            all.push(record);
        }
        all
    })
    .await
}

/// Checks that these are the records of a plan of two steps that say "one" and "two", in order.
fn tell_all(records: &[EventRecord], plan: Uuid, steps: &[Uuid]) {
    let (last, _) = records.split_last().unwrap();
    assert!(matches!(last.event, ExecutionEvent::PlanEnded { plan_id, .. } if plan_id == plan));
    for (id, line) in steps.iter().zip(["one", "two"]) {
        let own: Vec<_> = records.iter().filter(|record| record.execution_id == *id).collect();
        assert!(matches!(own[0].event, ExecutionEvent::Started { .. }), "{own:?}");
        assert!(own.last().unwrap().event.is_terminal());
        assert!(own.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
        let events: Vec<_> = own.iter().map(|record| record.event.clone()).collect();
        assert_eq!(lines_of(&events, OutputStream::Stdout), [line]);
        let first = records.iter().position(|record| record.execution_id == *id).unwrap();
        let says_started = |record: &EventRecord| matches!(&record.event, ExecutionEvent::Progress { execution_id, .. } if execution_id == id);
        assert!(records.iter().position(says_started).unwrap() < first);
    }
}

#[tokio::test]
async fn a_subscription_tells_of_the_plan_and_of_its_executions_early_and_late() {
    let engine = engine();
    let dir = TempDir::new().unwrap();
    let go = dir.path().join("go");
    let plan = ExecutionPlan::serial([
        shell(format!("echo one; while [ ! -e {} ]; do sleep 0.01; done", go.display())),
        shell("echo two"),
    ]);
    let (id, steps) = (plan.id, [plan.commands[0].id, plan.commands[1].id]);
    engine.execute_plan(plan).await.unwrap();
    let early = engine.subscribe_plan(id).await.unwrap();
    has_status(&engine, steps[0], ExecutionStatus::Running).await;
    let midway = engine.subscribe_plan(id).await.unwrap();
    fs::write(go, "").unwrap();
    let (early, midway) = tokio::join!(all_records(early), all_records(midway));
    let late = all_records(engine.subscribe_plan(id).await.unwrap()).await;
    for records in [early, midway, late] {
        tell_all(&records, id, &steps);
    }
    let unknown = Uuid::new_v4();
    let refused = engine.subscribe_plan(unknown).await;
    assert_eq!(refused.err(), Some(ExecutionError::PlanNotFound(unknown)));
}

#[tokio::test]
async fn a_subscription_that_nobody_reads_holds_nothing_up() {
    let engine = engine();
    let plan = ExecutionPlan::parallel((0..20).map(|_| shell("yes | head -c 20000")));
    let id = engine.execute_plan(plan).await.unwrap();
    let idle = engine.subscribe_plan(id).await.unwrap();
    assert_eq!(ended(&engine, id).await.stats.completed, 20);
    let records = all_records(idle).await;
    let ends = records.iter().filter(|record| record.event.is_terminal()).count();
    assert_eq!(ends, 21, "each of its executions, and the plan");
}

#[tokio::test]
async fn who_watches_all_executions_is_told_of_plans_too() {
    let engine = engine();
    let mut all = engine.subscribe_all().await;
    let id = engine.execute_plan(ExecutionPlan::serial([shell("echo one")])).await.unwrap();
    let mut progress = Vec::new();
    soon("the end of the plan", async {
        while let Some(record) = all.next().await {
            match record.event {
                ExecutionEvent::Progress { plan_id, completed, .. } => {
                    assert_eq!(plan_id, id);
                    progress.push(completed);
                }
                ExecutionEvent::PlanEnded { .. } => break,
                ExecutionEvent::ExecutionsMissed { .. } => panic!("{record:?}"),
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(progress, [0, 1]);
}

#[tokio::test]
async fn an_event_of_a_plan_travels_as_json() {
    let event = ExecutionEvent::Progress {
        plan_id: Uuid::new_v4(),
        completed: 1,
        total: 2,
        step: PlanStep { index: 0, name: Some("build".to_string()) },
        execution_id: Uuid::new_v4(),
        status: ExecutionStatus::Completed,
        current_command: "make".to_string(),
    };
    let text = serde_json::to_string(&event).unwrap();
    assert!(text.contains(r#""type":"progress""#), "{text}");
    assert_eq!(serde_json::from_str::<ExecutionEvent>(&text).unwrap(), event);
}

// ------------------------------------------------------------------------------- nothing is left

#[tokio::test]
async fn a_plan_leaves_no_process_and_no_permit() {
    let engine = engine_with(|config| config.max_concurrent_executions = 4);
    let dir = TempDir::new().unwrap();
    let pids_file = dir.path().join("pids");
    let line = format!("sleep 60 & echo $! >> {}; exit 1", pids_file.display());
    let plan = ExecutionPlan::parallel((0..8).map(|_| shell(&line)));
    let id = engine.execute_plan(plan).await.unwrap();
    let result = ended(&engine, id).await;
    assert_eq!(result.stats.failed, 8);
    let left: Vec<_> = pids(&fs::read_to_string(&pids_file).unwrap());
    assert_eq!(left.len(), 8);
    assert!(left.iter().all(|pid| !is_alive(*pid)), "{left:?}");
    assert_eq!(engine.available_permits(), 4);
}
