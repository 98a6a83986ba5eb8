//! Strategies: serial, parallel and graph.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test]
async fn serial_runs_one_at_a_time_in_order() {
    let (engine, witness) = (engine(), Witness::new());
    let plan = ExecutionPlan::serial((0..5).map(|number| witness.step(number, "true")));
    let ids: Vec<Uuid> = plan.commands.iter().map(|request| request.id).collect();
    let plan_id = plan.id;
    let result = run_plan(&engine, plan).await;

    assert_eq!(witness.order(), [0, 1, 2, 3, 4]);
    assert_eq!((result.plan_id, result.status), (plan_id, ExecutionStatus::Completed));
    assert_eq!(result.ending, PlanEnding::Completed);
    assert_eq!(result.results.iter().map(|result| result.id).collect::<Vec<_>>(), ids);
    for pair in result.results.windows(2) {
        assert!(pair[1].started_at >= pair[0].completed_at, "one at a time");
    }
    assert_eq!((result.stats.total, result.stats.completed), (5, 5));
    let alone: Duration = result.results.iter().map(|result| result.duration).sum();
    assert!(result.total_duration >= alone);
    // Its commands are executions like all others.
    for id in ids {
        assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Completed));
    }
    assert_eq!(engine.available_permits(), engine.config().max_concurrent_executions);
}

#[tokio::test]
async fn stop_on_error_decides_what_follows_a_failure() {
    for stop_on_error in [true, false] {
        let (engine, witness) = (engine(), Witness::new());
        let commands =
            vec![witness.step(0, "true"), witness.step(1, "exit 7"), witness.step(2, "true")];
        let plan = ExecutionPlan::new(ExecutionStrategy::Serial { stop_on_error }, commands);
        let result = run_plan(&engine, plan).await;
        assert_eq!(result.status, ExecutionStatus::Failed);
        assert_eq!(result.ending, PlanEnding::Failed { step: PlanStep { index: 1, name: None } });
        assert_eq!(result.results[1].exit_code, 7);
        if stop_on_error {
            assert_eq!(witness.order(), [0, 1]);
            assert_eq!(because_of(not_run(&result.results[2])), 1);
            let stats = result.stats;
            assert_eq!((stats.completed, stats.failed, stats.not_run), (1, 1, 1));
        } else {
            assert_eq!(witness.order(), [0, 1, 2]);
            assert_eq!((result.stats.completed, result.stats.failed), (2, 1));
        }
    }
}

#[tokio::test]
async fn parallel_runs_all_at_once() {
    // Each waits until all run.
    let dir = TempDir::new().unwrap();
    let line = |number: usize| {
        let dir = dir.path().display();
        shell(format!(
            "touch {dir}/{number}; while [ $(ls {dir} | wc -l) -lt 4 ]; do sleep 0.01; done"
        ))
    };
    let plan = ExecutionPlan::parallel((0..4).map(line));
    let result = run_plan(&engine(), plan).await;
    assert_eq!(result.status, ExecutionStatus::Completed);
}

#[tokio::test]
async fn parallel_continues_after_a_failure() {
    let plan = ExecutionPlan::parallel(["exit 1", "true", "exit 2"].map(shell));
    let result = run_plan(&engine(), plan).await;
    let codes: Vec<_> = result.results.iter().map(|result| result.exit_code).collect();
    assert_eq!(codes, [1, 0, 2]);
    assert_eq!((result.status, result.stats.failed), (ExecutionStatus::Failed, 2));
}

#[tokio::test]
async fn max_concurrency_is_exact_from_strategy_and_options() {
    let in_strategy = |commands| {
        let strategy = ExecutionStrategy::Parallel { max_concurrency: Some(2) };
        (ExecutionPlan::new(strategy, commands), PlanOptions::default())
    };
    let in_options = |commands: Vec<_>| {
        (ExecutionPlan::graph(commands, []), PlanOptions::default().max_concurrency(2))
    };
    let the_lower_of_both = |commands| {
        let strategy = ExecutionStrategy::Parallel { max_concurrency: Some(2) };
        (ExecutionPlan::new(strategy, commands), PlanOptions::default().max_concurrency(9))
    };
    for make in [&in_strategy as &dyn Fn(Vec<_>) -> _, &in_options, &the_lower_of_both] {
        let dir = TempDir::new().unwrap();
        let (plan, options) = make(counting(dir.path(), 30));
        assert_eq!(run_plan(&engine(), PlanSpec::new(plan, options)).await.stats.completed, 30);
        assert!(most_alive(dir.path()) <= 2);
    }
}

#[tokio::test]
async fn fan_of_a_thousand_keeps_the_engine_limit() {
    let dir = TempDir::new().unwrap();
    let engine = engine_with(|config| config.max_concurrent_executions = 8);
    // One before all, one after all, a thousand between.
    let mut commands = vec![shell("true")];
    commands.extend(counting(dir.path(), 1000));
    commands.push(shell("true"));
    let between = (1..=1000).map(|step| (step, vec![0]));
    let plan = ExecutionPlan::graph(commands, between.chain([(1001, (1..=1000).collect())]));
    let result = run_plan(&engine, plan).await;

    assert_eq!((result.status, result.stats.completed), (ExecutionStatus::Completed, 1002));
    assert!(most_alive(dir.path()) <= 8);
    let (first, last) = (&result.results[0], &result.results[1001]);
    let between = &result.results[1..1001];
    assert!(between.iter().all(|step| step.started_at >= first.completed_at));
    assert!(between.iter().all(|step| step.completed_at <= last.started_at));
    assert_eq!(engine.available_permits(), 8);
}

#[tokio::test]
async fn diamond_runs_in_dependency_order() {
    let witness = Witness::new();
    let commands: Vec<_> = (0..4).map(|number| witness.step(number, "true")).collect();
    let plan = ExecutionPlan::graph(commands, [(1, vec![0]), (2, vec![0]), (3, vec![1, 2])]);
    let result = run_plan(&engine(), plan).await;
    assert_eq!(result.status, ExecutionStatus::Completed);
    let order = witness.order();
    assert_eq!((order[0], order[3], order.len()), (0, 3, 4));
    let [top, left, right, bottom] = &result.results[..] else { panic!("four") };
    assert!(left.started_at >= top.completed_at && right.started_at >= top.completed_at);
    assert!(bottom.started_at >= left.completed_at && bottom.started_at >= right.completed_at);
}

#[tokio::test]
async fn chain_of_a_thousand_runs_in_dependency_order() {
    let witness = Witness::new();
    // The last command is the first in the chain.
    let commands = (0..1000).map(|number| witness.step(number, "true"));
    let plan = ExecutionPlan::graph(commands, (0..999).map(|step| (step, vec![step + 1])));
    let result = run_plan(&engine(), plan).await;
    assert_eq!(result.stats.completed, 1000);
    assert_eq!(witness.order(), (0..1000).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn failure_skips_dependents_only() {
    let witness = Witness::new();
    // 0 fails; 1 and 3 are below it, 3 below 2 as well; 2 and 4 are beside it.
    let commands = vec![
        witness.step(0, "exit 1"),
        witness.step(1, "true"),
        witness.step(2, "true"),
        witness.step(3, "true"),
        witness.step(4, "true"),
    ];
    let plan = ExecutionPlan::graph(commands, [(1, vec![0]), (3, vec![1, 2]), (4, vec![2])]);
    let result = run_plan(&engine(), plan).await;
    let mut order = witness.order();
    order.sort_unstable();
    assert_eq!(order, [0, 2, 4]);
    for below in [1, 3] {
        let step = &result.results[below];
        assert_eq!(because_of(not_run(step)), 0, "the one that failed is named");
        assert_eq!((step.status, step.success), (ExecutionStatus::Cancelled, false));
        assert_eq!(step.error.as_deref(), Some("never ran: it depends on step 0, which failed"));
        assert!(matches!(step.ending.error(), Some(ExecutionError::NotRun(_))));
    }
    let stats = result.stats;
    assert_eq!((stats.total, stats.completed, stats.failed, stats.not_run), (5, 2, 1, 2));
}

#[tokio::test]
async fn every_bad_ending_fails_the_step() {
    let engine = engine();
    let bad = [
        shell("exit 1"),
        shell("kill -9 $$"),
        shell("sleep 60").timeout(Duration::from_millis(50)),
        ExecutionRequest::program("no-such-program"),
    ];
    for request in bad {
        let plan = ExecutionPlan::serial([request, shell("true")]);
        let result = run_plan(&engine, plan).await;
        assert_eq!(result.status, ExecutionStatus::Failed);
        assert!(!result.results[0].success);
        assert_eq!(because_of(not_run(&result.results[1])), 0);
    }
}

#[tokio::test]
async fn results_have_the_names_of_the_steps() {
    let mut plan = ExecutionPlan::builder()
        .step("one", shell("echo first"))
        .step("two", shell("exit 7"))
        .step("three", shell("true"))
        .after("two")
        .build()
        .unwrap();
    plan.options.steps[0].name = None;
    let engine = engine();
    let result = run_plan(&engine, plan).await;
    let names: Vec<_> = result.steps.iter().map(|step| step.name.as_deref()).collect();
    assert_eq!(names, [None, Some("two"), Some("three")]);
    assert_eq!(result.step("two").unwrap().exit_code, 7);
    assert_eq!(result.step(0).unwrap().stdout, "first\n");
    assert_eq!(because_of(not_run(result.step("three").unwrap())), 1);
    assert!(result.step("one").is_none() && result.step(3).is_none());
    let later = engine.get_plan_result(result.plan_id).await.unwrap().unwrap();
    assert_eq!(later.steps, result.steps);
    // A plan whose options have fewer entries than there are commands has as many reports.
    let unnamed = run_plan(&engine, ExecutionPlan::parallel(["true", "true"].map(shell))).await;
    assert_eq!(unnamed.steps.len(), 2);
}

#[tokio::test]
async fn plan_from_a_file_runs_again_with_new_ids() {
    let text = serde_json::to_string(
        &ExecutionPlan::builder()
            .step("one", shell("echo 1"))
            .step("two", shell("cat; echo 2"))
            .stdin_from("one")
            .build()
            .unwrap(),
    )
    .unwrap();
    let read = || serde_json::from_str::<PlanSpec>(&text).unwrap();
    let engine = engine();
    let first = run_plan(&engine, read()).await;
    let refused = engine.run_plan(read()).await;
    assert!(matches!(refused, Err(ExecutionError::DuplicateId(_))), "{refused:?}");
    let second = run_plan(&engine, read().with_new_ids()).await;
    let third = run_plan(&engine, read().with_new_ids()).await;
    let mut ids = Vec::new();
    for result in [&first, &second, &third] {
        assert_eq!(result.step("two").unwrap().stdout, "1\n2\n");
        ids.push(result.plan_id);
        ids.extend(result.results.iter().map(|step| step.id));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 9, "all differ");
}

#[tokio::test]
async fn run_plan_has_its_result_also_if_the_plan_is_forgotten_at_once() {
    let engine = engine();
    let plan = ExecutionPlan::serial([shell("echo kept")]);
    let id = plan.id;
    let mut run = std::pin::pin!(engine.run_plan(plan));
    assert!((&mut run).now_or_never().is_none());
    plan_ended(&engine, id).await;
    engine.remove_plan(id).await.unwrap();
    assert_eq!(soon("the result", run).await.unwrap().results[0].stdout, "kept\n");
}

#[tokio::test]
async fn plan_goes_on_when_the_future_of_run_plan_is_dropped() {
    let (engine, dir) = (engine(), TempDir::new().unwrap());
    let (up, go) = (dir.path().join("up"), dir.path().join("go"));
    let line = format!("echo up > {}; {}", up.display(), wait_for(&go));
    let plan = ExecutionPlan::serial([shell(line), shell("echo after")]);
    let id = plan.id;
    tokio::select! {
        result = engine.run_plan(plan) => panic!("it waits: {result:?}"),
        _ = when_written(&up) => {}
    }
    fs::write(go, "").unwrap();
    assert_eq!(plan_ended(&engine, id).await.results[1].stdout, "after\n");
}
