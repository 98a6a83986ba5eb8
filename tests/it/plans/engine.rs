//! Plans beside executions: permits, queue, retention and waiters.

use super::*;

#[tokio::test]
async fn plan_waits_for_permits() {
    for admission in [Admission::Reject, Admission::Queue { max_waiting: 1 }] {
        let engine = ExecutionEngine::builder()
            .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
            .admission(admission)
            .build()
            .unwrap();
        let holder = engine.execute(shell("sleep 60")).await.unwrap();
        let plan = ExecutionPlan::parallel(["echo a", "echo b", "echo c"].map(shell));
        let (id, first) = (plan.id, plan.commands[0].id);
        engine.execute_plan(plan).await.unwrap();
        has_status(&engine, id, first, ExecutionStatus::Pending).await;
        assert_eq!(engine.get_status(first).await, Ok(ExecutionStatus::Pending));
        assert_eq!(engine.get_plan_result(id).await, Ok(None));
        engine.cancel(holder).await.unwrap();
        let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
        assert_eq!(result.stats.completed, 3);
        assert!(result.results[0].waited > Duration::ZERO);
    }
}

#[tokio::test]
async fn long_plan_delays_no_other_execution() {
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 2, ..Default::default() })
        .admission(Admission::Queue { max_waiting: 1 })
        .build()
        .unwrap();
    let mut holders = Vec::new();
    for _ in 0..2 {
        holders.push(engine.execute(shell("sleep 60")).await.unwrap());
    }
    let plan = ExecutionPlan::parallel((0..50).map(|_| shell("true")));
    let id = engine.execute_plan(plan).await.unwrap();
    // As many wait in the queue as could run.
    steps_have_status(&engine, id, |_| true, (ExecutionStatus::Pending, 2)).await;
    assert_eq!(engine.waiting_count().await, 2);
    // It is behind those two and before the other 48, which do not count against `max_waiting`.
    let other = engine.execute(shell("echo other")).await.unwrap();
    assert_eq!(engine.queue_position(other).await, Ok(Some(3)));
    assert_eq!((engine.waiting_count().await, engine.total_count().await), (3, 5));
    for holder in holders {
        engine.cancel(holder).await.unwrap();
    }
    assert!(soon("the other", engine.wait_for_completion(other)).await.unwrap().success);
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.stats.completed, 50);
}

#[tokio::test]
async fn plans_and_executions_share_the_limit() {
    let dir = TempDir::new().unwrap();
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 3, ..Default::default() })
        .admission(Admission::Queue { max_waiting: 100 })
        .build()
        .unwrap();
    let mut plans = Vec::new();
    let mut executions = Vec::new();
    for _ in 0..3 {
        let plan = ExecutionPlan::parallel(counting(dir.path(), 20));
        plans.push(engine.execute_plan(plan).await.unwrap());
        for request in counting(dir.path(), 5) {
            executions.push(engine.execute(request).await.unwrap());
        }
    }
    for id in plans {
        let result = soon("a plan", engine.wait_for_plan(id)).await.unwrap();
        assert_eq!(result.stats.completed, 20);
    }
    for id in executions {
        assert!(soon("an execution", engine.wait_for_completion(id)).await.unwrap().success);
    }
    assert!(most_alive(dir.path()) <= 3);
    assert_eq!((engine.available_permits(), engine.waiting_count().await), (3, 0));
}

#[tokio::test]
async fn plan_results_survive_the_eviction_of_executions() {
    let engine = engine_with(|config| config.max_in_memory_executions = 1);
    let plan = ExecutionPlan::parallel((0..20).map(|number| shell(format!("echo {number}"))));
    let result = run_plan(&engine, plan).await;
    for (number, result) in result.results.iter().enumerate() {
        assert_eq!(result.stdout, format!("{number}\n"));
    }
    assert!(engine.total_count().await <= 1);
}

#[tokio::test]
async fn plans_are_listed_and_evicted_like_executions() {
    let engine = engine_with(|config| config.max_in_memory_executions = 5);
    let mut ids = Vec::new();
    for number in 0..4 {
        let mut plan = ExecutionPlan::parallel(["true", "exit 1"].map(shell));
        plan.description = Some(format!("plan {number}"));
        ids.push(run_plan(&engine, plan).await.plan_id);
    }
    let listed = engine.list_plans().await;
    let named: Vec<_> = listed.iter().filter_map(|plan| plan.description.as_deref()).collect();
    assert_eq!(named, ["plan 2", "plan 3"], "two plans of two steps fit, three do not");
    assert_eq!((listed[1].total, listed[1].ended), (2, 2));
    assert_eq!(listed[1].status, ExecutionStatus::Failed);
    let gone = engine.get_plan_result(ids[0]).await;
    assert_eq!(gone, Err(ExecutionError::PlanNotFound(ids[0])));

    engine.remove_plan(ids[3]).await.unwrap();
    assert_eq!(engine.remove_plan(ids[3]).await, Err(ExecutionError::PlanNotFound(ids[3])));
    assert_eq!(engine.list_plans().await.len(), 1);

    let running = engine.execute_plan(ExecutionPlan::serial([shell("sleep 60")])).await.unwrap();
    assert_eq!(engine.remove_plan(running).await, Err(ExecutionError::StillRunning(running)));
    engine.cancel_plan(running).await.unwrap();
    soon("the plan", engine.wait_for_plan(running)).await.unwrap();
}

#[tokio::test]
async fn all_waiters_of_a_plan_get_equal_results() {
    let engine = engine();
    let plan = ExecutionPlan::serial([shell("sleep 0.2; echo done")]);
    let id = engine.execute_plan(plan).await.unwrap();
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let engine = engine.clone();
        waiters.spawn(async move { engine.wait_for_plan(id).await.unwrap() });
    }
    let first = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    for other in soon("the others", waiters.join_all()).await {
        assert_eq!(other, first);
    }
    assert_eq!(engine.get_plan_result(id).await, Ok(Some(first)));
}
