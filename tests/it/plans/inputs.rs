//! Settings that steps share, and outputs that become inputs of other steps.

use super::*;

#[tokio::test]
async fn steps_inherit_and_override_environment_and_directory() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let say = "echo $SHARED $OWN $(basename $PWD)";
    let plan = ExecutionPlan::parallel([
        shell(say),
        shell(say).env("SHARED", "mine").env("OWN", "own"),
        shell(say).working_dir("sub"),
        shell(say).working_dir("/"),
    ]);
    let options = PlanOptions::default().env("SHARED", "ours").working_dir(dir.path());
    let result = run_plan(&engine(), PlanSpec::new(plan, options)).await;
    let root = dir.path().file_name().unwrap().to_str().unwrap();
    let said: Vec<_> = result.results.iter().map(|result| result.stdout.trim()).collect();
    let expected =
        [format!("ours {root}"), format!("mine own {root}"), "ours sub".into(), "ours /".into()];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn step_output_becomes_a_variable() {
    let plan = ExecutionPlan::builder()
        .step("version", shell("printf '\\n  1.2 $(echo evil) `id` \"q\"\\n\\n'"))
        .step("use", ExecutionRequest::exec("printenv", ["VERSION"]))
        .env_from("VERSION", "version")
        .step("quote", shell("echo \"<$VERSION>\""))
        .input(StepInput::env("VERSION", "version").trim(Trim::LineEndings))
        .build()
        .unwrap();
    let result = run_plan(&engine(), plan).await;
    assert_eq!(result.results[1].stdout, "1.2 $(echo evil) `id` \"q\"\n", "no shell reads it");
    assert_eq!(result.results[2].stdout, "<\n  1.2 $(echo evil) `id` \"q\">\n");
}

#[tokio::test]
async fn step_output_becomes_stdin_byte_for_byte() {
    let plan = ExecutionPlan::builder()
        .step("bytes", shell(r"printf 'b\377\000a\n\n'"))
        .step("as it is", shell("od -An -tx1"))
        .stdin_from("bytes")
        .step("trimmed", shell("od -An -tx1; echo $BYTES"))
        .input(StepInput::stdin("bytes").trim(Trim::LineEndings))
        .step("nothing", shell("true"))
        .step("empty", shell("wc -c"))
        .stdin_from("nothing")
        .build()
        .unwrap();
    let result = run_plan(&engine(), plan).await;
    assert_eq!(result.results[1].stdout, " 62 ff 00 61 0a 0a\n");
    assert_eq!(result.results[2].stdout, " 62 ff 00 61\n\n");
    assert_eq!(result.results[4].stdout.trim(), "0");
}

#[tokio::test]
async fn unusable_step_output_fails_the_receiving_step() {
    let cases = [
        ("is 4; raise max_bytes", "echo 12345", Some(4)),
        ("NUL", "printf 'a\\0b'", None),
        ("UTF-8", "printf '\\377'", None),
        ("raise max_output_size_bytes", "head -c 3000 /dev/zero | tr '\\0' x", None),
    ];
    let engine = engine_with(|config| config.max_output_size_bytes = 2000);
    for (words, source, max_bytes) in cases {
        let mut input = StepInput::env("X", "source");
        input.max_bytes = max_bytes;
        let plan = ExecutionPlan::builder()
            .step("source", shell(source))
            .step("sink", shell("echo ran"))
            .input(input)
            .step("after", shell("echo ran"))
            .after("sink")
            .build()
            .unwrap();
        let result = run_plan(&engine, plan).await;
        assert_eq!(result.status, ExecutionStatus::Failed);
        assert_eq!(result.results[1].status, ExecutionStatus::Failed);
        match not_run(&result.results[1]) {
            SkipReason::Input { from, reason } => {
                assert_eq!(from.name.as_deref(), Some("source"));
                assert!(reason.contains(words), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(because_of(not_run(&result.results[2])), 1);
        let stats = result.stats;
        assert_eq!((stats.completed, stats.failed, stats.not_run), (1, 0, 2));
    }
}

#[tokio::test]
async fn step_options_override_the_plan_defaults() {
    let engine = ExecutionEngine::builder().group("one", 1).build().unwrap();
    let dir = TempDir::new().unwrap();
    let plan = ExecutionPlan::parallel(counting(dir.path(), 10));
    let all_in_group = ExecutionOptions::default().group("one");
    let result =
        run_plan(&engine, PlanSpec::new(plan, PlanOptions::default().defaults(all_in_group))).await;
    assert_eq!(result.stats.completed, 10);
    assert_eq!(most_alive(dir.path()), 1, "the group of all");

    // Priority decides among the steps that may start.
    let witness = Witness::new();
    let plan = ExecutionPlan::parallel((0..3).map(|number| witness.step(number, "true")));
    let urgent = ExecutionOptions::default().priority(5);
    let options = PlanOptions::default()
        .max_concurrency(1)
        .step(StepOptions::default())
        .step(StepOptions::named("urgent").options(urgent));
    run_plan(&engine, PlanSpec::new(plan, options)).await;
    assert_eq!(witness.order(), [1, 0, 2]);
}

#[tokio::test]
async fn steps_of_a_full_group_block_no_other_steps() {
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 2, ..Default::default() })
        .group("one", 1)
        .build()
        .unwrap();
    let dir = TempDir::new().unwrap();
    let go = dir.path().join("go");
    let options = ExecutionOptions::default().group("one").priority(9);
    let waits = shell(format!("while [ ! -e {} ]; do sleep 0.01; done", go.display()));
    let mut plan = ExecutionPlan::parallel([waits]);
    let mut plan_options = PlanOptions::default();
    for _ in 0..5 {
        plan.commands.push(shell("true"));
    }
    for _ in 0..6 {
        plan_options = plan_options.step(StepOptions::default().options(options.clone()));
    }
    // Only this last step lets the first one end.
    plan.commands.push(shell(format!("touch {}", go.display())));
    let result = run_plan(&engine, PlanSpec::new(plan, plan_options)).await;
    assert_eq!(result.stats.completed, 7);
}
