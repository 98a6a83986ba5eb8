//! Failure policies.

use super::*;

/// Returns a plan with a step that fails while two others run, and one more that can start only when
/// one of the three has ended.
fn failing_beside_running(witness: &Witness) -> ExecutionPlan {
    let (dir, order) = (witness.dir.path().display(), witness.file());
    let order = order.display();
    let running = |number| {
        shell(format!("echo {number} >> {order}; while [ ! -e {dir}/go ]; do sleep 0.01; done"))
    };
    let fails = shell(format!(
        "while [ ! -e {order} ] || [ $(wc -l < {order}) -lt 2 ]; do sleep 0.01; done; exit 1"
    ));
    ExecutionPlan::parallel([running(0), running(1), fails, witness.step(3, "true")])
}

#[tokio::test]
async fn stop_at_first_error_lets_running_steps_finish() {
    let (engine, witness) = (engine(), Witness::new());
    let plan = failing_beside_running(&witness);
    let (id, failing) = (plan.id, plan.commands[2].id);
    let options = policy(FailurePolicy::StopAtFirstError).max_concurrency(3);
    engine.execute_plan(PlanSpec::new(plan, options)).await.unwrap();
    let mut records = engine.subscribe_plan(id).await.unwrap();
    // The execution fails a moment before the plan learns of it.
    let is_known = |event| match event {
        ExecutionEvent::Progress { execution_id, status, .. } => {
            execution_id == failing && status == ExecutionStatus::Failed
        }
        _ => false,
    };
    soon("the plan knows of the failure", async {
        while !is_known(records.next().await.expect("it goes on").event) {}
    })
    .await;
    assert_eq!(engine.get_plan_status(id).await, Ok(ExecutionStatus::Running));
    fs::write(witness.dir.path().join("go"), "").unwrap();
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.stats.completed, 2, "what ran could finish");
    assert_eq!((result.stats.failed, result.stats.not_run), (1, 1));
    assert_eq!(because_of(not_run(&result.results[3])), 2);
}

#[tokio::test]
async fn cancel_at_first_error_stops_running_steps() {
    let (engine, witness) = (engine(), Witness::new());
    let plan = failing_beside_running(&witness);
    let options = policy(FailurePolicy::CancelAtFirstError).max_concurrency(3);
    let result = run_plan(&engine, PlanSpec::new(plan, options)).await;
    assert_eq!(result.results[0].ending, Ending::Cancelled);
    assert_eq!(result.results[1].ending, Ending::Cancelled);
    assert_eq!(result.results[2].exit_code, 1);
    assert_eq!(because_of(not_run(&result.results[3])), 2);
    let failed = PlanStep { index: 2, name: None };
    assert_eq!(result.ending, PlanEnding::Failed { step: failed }, "the first cause");
}

#[tokio::test]
async fn continue_runs_dependents_of_a_failure_in_order() {
    let witness = Witness::new();
    let commands = vec![
        witness.step(0, "sleep 0.1; exit 1"),
        witness.step(1, "true"),
        witness.step(2, "true"),
    ];
    let plan = ExecutionPlan::graph(commands, [(1, vec![0]), (2, vec![1])]);
    let result = run_plan(&engine(), PlanSpec::new(plan, policy(FailurePolicy::Continue))).await;
    assert_eq!(witness.order(), [0, 1, 2]);
    assert_eq!((result.status, result.stats.completed), (ExecutionStatus::Failed, 2));
}

#[tokio::test]
async fn policy_of_the_options_overrides_the_strategy() {
    let serial = || ExecutionPlan::serial(["exit 1", "true"].map(shell));
    let result =
        run_plan(&engine(), PlanSpec::new(serial(), policy(FailurePolicy::Continue))).await;
    assert_eq!(result.stats.completed, 1);
    let parallel = ExecutionPlan::new(
        ExecutionStrategy::Parallel { max_concurrency: Some(1) },
        ["exit 1", "true"].map(shell).into(),
    );
    let result =
        run_plan(&engine(), PlanSpec::new(parallel, policy(FailurePolicy::StopAtFirstError))).await;
    assert_eq!((result.stats.completed, result.stats.not_run), (0, 1));
}
