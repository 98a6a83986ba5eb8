//! A host may change its directory at any time; relative paths keep the meaning they had when given.
//!
//! The only test of this binary: the directory belongs to the whole process.

use std::env::set_current_dir;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use execution_engine::*;
use tempfile::tempdir;
use test_support::*;

#[tokio::test]
async fn relative_paths_are_fixed_when_they_are_given() {
    let dir = tempdir().unwrap();
    let home = dir.path().canonicalize().unwrap();
    let [old, new] = ["old", "new"].map(|name| home.join(name));
    fs::create_dir_all(old.join("below")).unwrap();
    fs::create_dir(&new).unwrap();
    let go = home.join("go");
    fs::write(old.join("input"), "given\n").unwrap();
    fs::write(new.join("input"), "another\n").unwrap();

    for (dir, name) in [(&old, "old"), (&new, "new")] {
        let program = format!("#!/bin/sh\necho {name}; pwd\n");
        fs::write(dir.join("program"), program).unwrap();
        fs::set_permissions(dir.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    set_current_dir(&old).unwrap();
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig {
            log_dir: Some("logs".into()),
            max_concurrent_executions: 1,
            ..ExecutionConfig::default()
        })
        .admission(Admission::Queue { max_waiting: 20 })
        .log_retention(LogRetention::WithRecord)
        .build()
        .unwrap();
    let raw = shell(format!("echo first; {}", wait_for(&go))).output_log("raw");
    let first = engine.execute(raw).await.unwrap();
    let reading = || ExecutionOptions::default().stdin(StdinSource::file("input"));
    let retry = RetryPolicy::new(2).initial_delay(Duration::from_millis(1));
    let fails = shell("cat; exit 1").working_dir(".").output_log("second");
    let second = engine.execute_with(fails, reading().retry(retry)).await.unwrap();
    let steps = [shell("exit 0"), shell("cat; pwd").working_dir("below").output_log("step")];
    let plan = ExecutionPlan::serial(steps);
    let plan = engine
        .execute_plan(PlanSpec::new(plan, PlanOptions::default().defaults(reading())))
        .await
        .unwrap();
    let programs = || {
        [
            ExecutionRequest::program("./program"),
            ExecutionRequest::script("program"),
            ExecutionRequest::script("program").interpreter("sh"),
        ]
    };
    let mut started = Vec::new();
    for program in programs() {
        started.push(engine.execute(program).await.unwrap());
    }
    let twice = RetryPolicy::new(2).initial_delay(Duration::from_millis(1));
    let of_program = format!("./program; {}; exit 1", wait_for(&go));
    let again = ExecutionOptions::default().retry(twice);
    let again = engine.execute_with(shell(of_program), again).await.unwrap();
    let steps = engine.execute_plan(ExecutionPlan::serial(programs())).await.unwrap();
    let shared = PlanOptions::default().working_dir("below");
    let sharing = ExecutionPlan::serial([shell("pwd"), shell("pwd").working_dir("..")]);
    let sharing = engine.execute_plan(PlanSpec::new(sharing, shared)).await.unwrap();

    set_current_dir(&new).unwrap();
    fs::write(go, "").unwrap();
    soon("the first", engine.wait_for_completion(first)).await.unwrap();
    let result = soon("the second", engine.wait_for_completion(second)).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.exit_code), ("given\n", 1), "{:?}", result.ending);
    assert_eq!(fs::read_to_string(old.join("raw")).unwrap(), "first\n");
    assert_eq!(fs::read_to_string(old.join("second")).unwrap(), "given\ngiven\n");
    let plan = soon("the plan", engine.wait_for_plan(plan)).await.unwrap();
    let below = format!("{}\n", old.join("below").display());
    assert_eq!(plan.results[1].stdout, format!("given\n{below}"), "{plan:?}");
    assert!(old.join("step").exists());
    let sharing = soon("the other", engine.wait_for_plan(sharing)).await.unwrap();
    let outputs = [below, format!("{}\n", old.display())];
    assert!(sharing.results.iter().map(|step| &step.stdout).eq(&outputs), "{sharing:?}");
    let of_the_old = format!("old\n{}\n", old.display());
    for id in started.into_iter().chain([again]) {
        let result = soon("a program", engine.wait_for_completion(id)).await.unwrap();
        assert_eq!(result.stdout, of_the_old, "{result:?}");
    }
    let steps = soon("its steps", engine.wait_for_plan(steps)).await.unwrap();
    for step in steps.results {
        assert_eq!(step.stdout, of_the_old, "{step:?}");
    }
    let log = old.join(format!("logs/{first}.log"));
    assert_eq!(engine.get_log_path(first).await, Ok(Some(log.clone())));
    assert!(engine.read_logs(first).await.unwrap().contains("out | first"));
    engine.remove_execution(first).await.unwrap();
    assert!(!log.exists(), "it goes with its record");
    // A new request uses the new directory.
    let third =
        engine.execute_with(shell("cat; pwd").output_log("third"), reading()).await.unwrap();
    let result = soon("the third", engine.wait_for_completion(third)).await.unwrap();
    assert_eq!(result.stdout, format!("another\n{}\n", new.display()));
    assert!(new.join("third").exists());
    let in_the_new: Vec<_> = fs::read_dir(&new).unwrap().collect();
    assert_eq!(in_the_new.len(), 3, "beside input and program: {in_the_new:?}");
    set_current_dir("/").unwrap();
}
