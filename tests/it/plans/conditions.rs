//! Steps that may fail, that run after a failure, and that run only under conditions.

use super::*;

fn serial(lines: &[&str], steps: impl IntoIterator<Item = StepOptions>) -> PlanSpec {
    let plan = ExecutionPlan::serial(lines.iter().map(|line| shell(line.to_string())));
    let options = steps.into_iter().fold(PlanOptions::default(), PlanOptions::step);
    PlanSpec::new(plan, options)
}

fn step() -> StepOptions {
    StepOptions::default()
}

/// Returns the steps that ran, by name.
fn ran(result: &PlanExecutionResult) -> Vec<&str> {
    let steps = result.steps.iter().zip(&result.results);
    let ran = steps.filter(|(_, result)| result.attempts > 0);
    ran.filter_map(|(step, _)| step.name.as_deref()).collect()
}

#[tokio::test]
async fn allowed_failure_does_not_fail_the_plan() {
    let ends = ["exit 3", "kill -9 $$", "exec sleep 60"];
    let commands = ends
        .map(shell)
        .into_iter()
        .chain([ExecutionRequest::program("no-such-program"), shell("true")]);
    let mut commands: Vec<_> = commands.collect();
    commands[2].timeout_ms = Some(50);
    for strategy in [
        ExecutionStrategy::Serial { stop_on_error: true },
        ExecutionStrategy::DependencyGraph {
            dependencies: (1..5).map(|step| (step, vec![step - 1])).collect(),
        },
    ] {
        let plan = ExecutionPlan::new(strategy, commands.clone()).with_new_ids();
        let options =
            (0..4).fold(PlanOptions::default(), |options, _| options.step(step().allow_failure()));
        let result = run_plan(&engine(), PlanSpec::new(plan, options)).await;
        assert_eq!(
            (result.status, &result.ending),
            (ExecutionStatus::Completed, &PlanEnding::Completed)
        );
        let allowed: Vec<_> = result.steps.iter().map(|step| step.failure_allowed).collect();
        assert_eq!(allowed, [true, true, true, true, false]);
        assert_eq!(result.results[0].ending, Ending::Exited { code: 3 }, "its result is true");
        let stats = result.stats;
        assert_eq!((stats.total, stats.completed, stats.allowed_failures), (5, 1, 4));
        assert_eq!((stats.failed, stats.timeout), (0, 0));
    }
}

#[tokio::test]
async fn output_of_an_allowed_failure_is_passed_on() {
    let plan = graph(|plan| {
        plan.step("lint", shell("echo 3 warnings; exit 1"))
            .allow_failure()
            .step("report", shell("cat"))
            .stdin_from("lint")
    });
    let result = run_plan(&engine(), plan).await;
    assert_eq!(result.step("report").unwrap().stdout, "3 warnings\n");
    // An input that cannot be passed on is a failure that can be allowed, too.
    let plan = graph(|plan| {
        plan.step("long", shell("echo too long"))
            .step("takes", shell("cat"))
            .input(StepInput::stdin("long").max_bytes(3))
            .allow_failure()
            .step("after", shell("true"))
            .after("takes")
    });
    let result = run_plan(&engine(), plan).await;
    assert_eq!(ran(&result), ["long", "after"]);
    assert!(result.steps[1].failure_allowed && result.stats.allowed_failures == 1);
    assert_eq!(result.status, ExecutionStatus::Completed);
}

#[tokio::test]
async fn step_that_always_runs_does_so_under_every_policy() {
    for policy in [
        FailurePolicy::StopAtFirstError,
        FailurePolicy::CancelAtFirstError,
        FailurePolicy::FinishIndependent,
        FailurePolicy::Continue,
    ] {
        let plan = graph(|plan| {
            plan.step("fails", shell("exit 1"))
                .step("depends", shell("true"))
                .after("fails")
                .step("clean", shell("true"))
                .after("depends")
                .always()
                .failure_policy(policy)
        });
        let result = run_plan(&engine(), plan).await;
        assert!(result.step("clean").unwrap().success, "{policy:?}");
        assert_eq!(result.step("depends").unwrap().success, policy == FailurePolicy::Continue);
        let failed = PlanStep { index: 0, name: Some("fails".to_string()) };
        assert_eq!(result.ending, PlanEnding::Failed { step: failed }, "{policy:?}");
    }
}

#[tokio::test]
async fn first_failure_cancels_no_step_that_runs_because_of_it() {
    let dir = TempDir::new().unwrap();
    let up = dir.path().join("up");
    let plan = graph(|plan| {
        plan.step("runs", shell(format!("echo up > {}; exec sleep 60", up.display())))
            .step("fails", shell(format!("{}; exit 1", wait_for(&up))))
            .step("rollback", shell("echo back"))
            .only_if(StepCondition::failed("fails"))
            .step("clean", shell("echo clean"))
            .after_all(["runs", "rollback"])
            .always()
            .failure_policy(FailurePolicy::CancelAtFirstError)
    });
    let result = run_plan(&engine(), plan).await;
    assert_eq!(result.step("runs").unwrap().ending, Ending::Cancelled);
    assert_eq!(result.step("rollback").unwrap().stdout, "back\n");
    assert_eq!(result.step("clean").unwrap().stdout, "clean\n");
    assert!(matches!(result.ending, PlanEnding::Failed { step } if step.index == 1));
}

#[tokio::test]
async fn conditions_on_one_step_decide_alone() {
    let ran_after = async |end: &str| {
        let plan = graph(|plan| {
            plan.step("check", shell(end.to_string()))
                .step("on success", shell("true"))
                .only_if(StepCondition::succeeded("check"))
                .step("on failure", shell("true"))
                .only_if(StepCondition::failed("check"))
                .step("on 2 or 3", shell("true"))
                .only_if(StepCondition::exit_code("check", [2, 3]))
                .step("on 0", shell("true"))
                .only_if(StepCondition::exit_code("check", [0]))
                .step("otherwise", shell("true"))
                .only_if(StepCondition::skipped("on success"))
                .only_if(StepCondition::skipped("on 2 or 3"))
                .step("depends", shell("true"))
                .after("on failure")
        });
        let result = run_plan(&engine(), plan).await;
        let failed = end != "exit 0";
        assert_eq!(result.status == ExecutionStatus::Failed, failed, "{end}: {result:?}");
        (ran(&result).join(", "), result)
    };
    let (names, result) = ran_after("exit 0").await;
    assert_eq!(names, "check, on success, on 0");
    let condition = StepCondition::failed("check");
    let skipped = result.step("on failure").unwrap();
    assert_eq!(*not_run(skipped), SkipReason::Condition { condition });
    let why = "never ran: it runs only if step \"check\" failed";
    assert_eq!(skipped.error.as_deref(), Some(why));
    assert_eq!(skipped.status, ExecutionStatus::Cancelled);
    let step = PlanStep { index: 2, name: Some("on failure".to_string()) };
    let depends = not_run(result.step("depends").unwrap());
    assert_eq!(*depends, SkipReason::DependencySkipped { step });
    assert_eq!((result.stats.completed, result.stats.not_run), (3, 4));

    assert_eq!(ran_after("exit 2").await.0, "check, on failure, on 2 or 3, depends");
    assert_eq!(ran_after("exit 1").await.0, "check, on failure, otherwise, depends");
    assert_eq!(ran_after("kill -9 $$").await.0, "check, on failure, otherwise, depends");
}

#[tokio::test]
async fn condition_sees_a_failure_that_was_allowed() {
    let plan = graph(|plan| {
        plan.step("lint", shell("exit 1"))
            .allow_failure()
            .step("hint", shell("true"))
            .only_if(StepCondition::failed("lint"))
            .step("praise", shell("true"))
            .only_if(StepCondition::succeeded("lint"))
            .step("notify", shell("true"))
            .after("lint")
            .only_if(StepCondition::AnyFailed)
    });
    let result = run_plan(&engine(), plan).await;
    assert_eq!(ran(&result), ["lint", "hint"]);
    assert_eq!(result.status, ExecutionStatus::Completed);
}

#[tokio::test]
async fn branches_join_where_none_failed() {
    let join = |end: &'static str| {
        graph(|plan| {
            plan.step("check", shell("exit 0"))
                .step("new", shell(end))
                .only_if(StepCondition::succeeded("check"))
                .step("old", shell("true"))
                .only_if(StepCondition::failed("check"))
                .step("join", shell("true"))
                .after_all(["new", "old"])
                .only_if(StepCondition::NoneFailed)
                .step("alarm", shell("true"))
                .after("join")
                .only_if(StepCondition::AnyFailed)
        })
    };
    assert_eq!(ran(&run_plan(&engine(), join("exit 0")).await), ["check", "new", "join"]);
    let failed = run_plan(&engine(), join("exit 1")).await;
    assert_eq!(ran(&failed), ["check", "new", "alarm"], "of all steps before it");
}

#[tokio::test]
async fn serial_plan_goes_on_after_a_step_that_was_skipped() {
    let rollback = || step().only_if(StepCondition::failed(0));
    let plan = serial(&["true", "true", "true"], [step(), rollback(), step()]);
    let result = run_plan(&engine(), plan).await;
    assert_eq!(result.status, ExecutionStatus::Completed);
    assert_eq!((result.stats.completed, result.stats.not_run), (2, 1));
    // After a failure only those run that ask for it.
    let lines = ["exit 1", "true", "echo rolled back", "true", "true"];
    let always = step().always();
    let plan = serial(&lines, [step(), step(), rollback(), step(), always]);
    let result = run_plan(&engine(), plan).await;
    let has_run: Vec<_> = result.results.iter().map(|step| step.attempts > 0).collect();
    assert_eq!(has_run, [true, false, true, false, true]);
    assert_eq!(because_of(not_run(&result.results[3])), 0);
    assert_eq!(result.status, ExecutionStatus::Failed);
}

#[tokio::test]
async fn step_does_not_run_without_the_output_of_a_skipped_one() {
    let plan = graph(|plan| {
        plan.step("create", shell("exit 1"))
            .step("id", shell("echo 7"))
            .after("create")
            .step("delete", shell("echo $ID"))
            .env_from("ID", "id")
            .always()
    });
    let result = run_plan(&engine(), plan).await;
    assert_eq!(
        because_of(not_run(result.step("delete").unwrap())),
        0,
        "there is nothing to delete"
    );
    assert_eq!(result.stats.failed, 1);
}
