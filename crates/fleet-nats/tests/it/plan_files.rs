//! Files that steps of a plan take from others.

use std::sync::Arc;

use execution_engine::*;
use execution_engine_fleet::step_id;
use test_support::soon;

use crate::plans::{backend, followed};
use crate::test_fleet::TestFleet;

/// Returns a plan whose steps take files of the first one: the third one a file that is not there, and the last one
/// two files for one place.
fn plan() -> PlanSpec {
    let prepare =
        "mkdir out; printf a > out/a.csv; printf b > out/b.csv; printf t > out/t; chmod +x out/t";
    let collect = || ExecutionOptions::default().collect("out/*");
    ExecutionPlan::builder()
        .step("prepare", ExecutionRequest::shell(prepare))
        .options(collect())
        .step("use", ExecutionRequest::shell("find . -type f | sort; cat in/out/*; test -x out/t"))
        .input(StepInput::files_below("in", "prepare", "out/*.csv"))
        .files_from("prepare", "out/t")
        .step("none", ExecutionRequest::shell("true"))
        .files_from("prepare", "*.csv")
        .step("other", ExecutionRequest::shell("mkdir out; printf other > out/t"))
        .options(collect())
        .step("both", ExecutionRequest::shell("true"))
        .files_from("prepare", "out/t")
        .files_from("other", "out/t")
        .build()
        .unwrap()
}

fn check(endings: &[Ending], used: &str) {
    assert_eq!(used, "./in/out/a.csv\n./in/out/b.csv\n./out/t\nab");
    let ran = Ending::Exited { code: 0 };
    let [prepare, used, none, other, both] = endings else { panic!("{endings:?}") };
    assert_eq!((prepare, used, other), (&ran, &ran, &ran));
    for (ending, expected) in [
        (
            none,
            "files of step 0 (\"prepare\"): none of the 3 that it has collected matches \"*.csv\"",
        ),
        (both, "files of step 3 (\"other\"): out/t is another file"),
    ] {
        let Ending::SpawnFailed { reason, os_error: None } = ending else { panic!("{ending:?}") };
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_steps_are_inputs_of_others_in_a_plan_of_the_fleet() {
    let fleet = TestFleet::start().await;
    let backend = backend(&fleet).await;
    let (_hands, _conductor) = (fleet.worker("hands").await, fleet.conductor("c").await);
    let id = backend.submit_plan(plan()).await.unwrap();
    let (_, plan) = followed(&backend, id).await;
    let endings: Vec<_> = plan.steps.iter().filter_map(|step| step.ending()).collect();
    let engine = fleet.engine().await;
    let used = soon("the result", engine.wait_for_completion(step_id(id, 1))).await.unwrap();
    check(&endings, &used.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_steps_are_inputs_of_others_in_a_plan_of_an_engine() {
    let fleet = TestFleet::start().await;
    let _hands = fleet.worker("hands").await;
    let backend: Arc<dyn Backend> = backend(&fleet).await;
    let engine = ExecutionEngine::builder().backend(backend).build().unwrap();
    let result = soon("the plan", engine.run_plan(plan())).await.unwrap();
    let endings: Vec<_> = result.results.iter().map(|step| step.ending.clone()).collect();
    check(&endings, &result.results[1].stdout);
}
