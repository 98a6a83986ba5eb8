//! Invalid plans are refused with an error that names the step and the rule, and nothing is started.

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

/// Executes an invalid plan whose steps would leave a mark, and returns the error.
async fn refused(change: impl FnOnce(&mut ExecutionPlan), options: PlanOptions) -> PlanError {
    let dir = TempDir::new().unwrap();
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(Arc::clone(&recorder) as Arc<dyn EventHandler>);
    let mark = shell(format!("touch {}/started", dir.path().display()));
    let mut plan = ExecutionPlan::graph((0..4).map(|_| mark.clone().id(Uuid::new_v4())), []);
    change(&mut plan);
    let (id, first) = (plan.id, plan.commands.first().map(|request| request.id));

    let error = engine.execute_plan(PlanSpec::new(plan, options)).await.unwrap_err();

    assert_eq!(engine.list_plans().await, [], "{error}");
    assert_eq!((engine.total_count().await, engine.running_count().await), (0, 0), "{error}");
    let status = engine.get_plan_status(id).await;
    assert_eq!(status, Err(ExecutionError::PlanNotFound(id)));
    // Events of the refused plan would have come before this one.
    let witness = engine.run(shell("true")).await.unwrap().id;
    recorder.all_of(witness).await;
    assert!(recorder.of(id).is_empty());
    assert!(first.is_none_or(|first| recorder.of(first).is_empty()));
    assert!(!dir.path().join("started").exists());
    match error {
        ExecutionError::Validation(ValidationError::Plan(error)) => error,
        other => panic!("refused for another reason: {other:?}"),
    }
}

fn depends(pairs: &[(usize, &[usize])]) -> impl FnOnce(&mut ExecutionPlan) + use<> {
    let dependencies = pairs.iter().map(|(step, on)| (*step, on.to_vec())).collect();
    |plan| plan.strategy = ExecutionStrategy::DependencyGraph { dependencies }
}

fn names<const N: usize>(names: [&str; N]) -> PlanOptions {
    let options = PlanOptions::default();
    names.into_iter().fold(options, |options, name| options.step(StepOptions::named(name)))
}

#[track_caller]
fn says(error: &PlanError, code: &str, words: &[&str]) {
    let message = error.to_string();
    assert_eq!(error.error_code(), code, "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

fn nothing(_: &mut ExecutionPlan) {}

#[tokio::test]
async fn plan_without_commands_is_refused() {
    let error = refused(|plan| plan.commands.clear(), PlanOptions::default()).await;
    says(&error, "plan_empty", &["no commands"]);
}

#[tokio::test]
async fn dependency_cycle_is_shown_as_a_path() {
    let circle = depends(&[(0, &[1]), (1, &[2]), (2, &[0])]);
    let error = refused(circle, names(["fetch", "build", "test"])).await;
    let path =
        "step 0 (\"fetch\") -> step 1 (\"build\") -> step 2 (\"test\") -> step 0 (\"fetch\")";
    says(&error, "plan_cycle", &[path]);
    // A dependency that the options add counts as well.
    let options = PlanOptions::default()
        .step(StepOptions::named("first").input(StepInput::stdin(1)))
        .step(StepOptions::named("second").after("first"));
    let error = refused(nothing, options).await;
    says(&error, "plan_cycle", &["step 0 (\"first\") -> step 1 (\"second\")"]);
    // And one against the order of a serial plan.
    let serial = |plan: &mut ExecutionPlan| {
        plan.strategy = ExecutionStrategy::Serial { stop_on_error: true };
    };
    let options = PlanOptions::default().step(StepOptions::default().after(1));
    let error = refused(serial, options).await;
    says(&error, "plan_cycle", &["step 0 -> step 1 -> step 0"]);
}

#[tokio::test]
async fn long_cycle_is_shortened_in_the_middle() {
    let long = |plan: &mut ExecutionPlan| {
        plan.commands = (0..500).map(|_| shell("true")).collect();
        let next = (0..500).map(|step| (step, vec![(step + 1) % 500])).collect();
        plan.strategy = ExecutionStrategy::DependencyGraph { dependencies: next };
    };
    let error = refused(long, PlanOptions::default()).await;
    says(&error, "plan_cycle", &["step 0 -> step 1 ->", "-> 488 more -> step 0"]);
    assert!(matches!(error, PlanError::Cycle { path } if path.len() == 500));
}

#[tokio::test]
async fn self_dependency_is_refused() {
    let error = refused(depends(&[(2, &[0, 2])]), names(["a", "b", "c"])).await;
    says(&error, "plan_self_dependency", &["step 2 (\"c\")", "itself"]);
}

#[tokio::test]
async fn unknown_steps_are_refused() {
    let error = refused(depends(&[(1, &[4])]), PlanOptions::default()).await;
    says(&error, "plan_unknown_step", &["step 1", "step 4", "there are 4, counted from 0"]);
    let error = refused(depends(&[(9, &[0])]), PlanOptions::default()).await;
    says(&error, "plan_unknown_step", &["step 9", "4 commands"]);
    let options = names(["fetch"]).step(StepOptions::named("build").after("fetsch"));
    let error = refused(nothing, options).await;
    says(&error, "plan_unknown_step", &["\"build\"", "\"fetsch\"", "\"fetch\", \"build\""]);
    let options = PlanOptions::default().step(StepOptions::default().input(StepInput::stdin("x")));
    let error = refused(nothing, options).await;
    says(&error, "plan_unknown_step", &["step 0", "\"x\"", "no step has a name"]);
}

#[tokio::test]
async fn duplicate_ids_are_refused() {
    let twice = |plan: &mut ExecutionPlan| plan.commands[3].id = plan.commands[1].id;
    let error = refused(twice, names(["a", "b"])).await;
    says(&error, "plan_duplicate_id", &["step 1 (\"b\")", "step 3"]);
    let of_plan = |plan: &mut ExecutionPlan| plan.commands[2].id = plan.id;
    let error = refused(of_plan, PlanOptions::default()).await;
    says(&error, "plan_duplicate_id", &["step 2", "id of the plan"]);
}

#[tokio::test]
async fn ids_known_to_the_engine_are_refused() {
    let engine = engine();
    let known = engine.run(shell("true")).await.unwrap().id;
    let plan = ExecutionPlan::serial([shell("true"), shell("true").id(known)]);
    assert_eq!(engine.execute_plan(plan).await, Err(ExecutionError::DuplicateId(known)));
    let plan = ExecutionPlan::serial([shell("true")]);
    let (id, mut again) = (plan.id, ExecutionPlan::serial([shell("true")]));
    engine.execute_plan(plan).await.unwrap();
    again.id = id;
    assert_eq!(engine.execute_plan(again).await, Err(ExecutionError::DuplicateId(id)));
    assert_eq!(engine.execute(shell("true").id(id)).await, Err(ExecutionError::DuplicateId(id)));
    let plan = ExecutionPlan::serial([shell("true").id(id)]);
    assert_eq!(engine.execute_plan(plan).await, Err(ExecutionError::DuplicateId(id)));
    soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(engine.list_plans().await.len(), 1);
}

#[tokio::test]
async fn invalid_step_names_are_refused() {
    for (name, words) in [
        (" ", "blank"),
        ("a ", "white space"),
        ("a\nb", "control character"),
        (&"x".repeat(201), "longer"),
    ] {
        let error = refused(nothing, names(["good", name])).await;
        says(&error, "plan_bad_name", &["step 1", words]);
    }
    let error = refused(nothing, names(["a", "b", "a"])).await;
    says(&error, "plan_duplicate_name", &["0 and 2", "\"a\""]);
    let error = refused(nothing, names(["a", "b", "c", "d", "e"])).await;
    says(&error, "plan_too_many_steps", &["5 steps", "4 commands"]);
}

#[tokio::test]
async fn invalid_plan_options_are_refused() {
    let parallel = |plan: &mut ExecutionPlan| {
        plan.strategy = ExecutionStrategy::Parallel { max_concurrency: Some(0) };
    };
    let error = refused(parallel, PlanOptions::default()).await;
    says(&error, "plan_invalid_option", &["max_concurrency", "at least 1"]);
    let cases = [
        ("max_concurrency", PlanOptions::default().max_concurrency(0)),
        ("deadline_ms", PlanOptions::default().deadline(Duration::ZERO)),
        ("env", PlanOptions::default().env("A=B", "x")),
        ("env", PlanOptions::default().env("A", "hidden\0value")),
        ("working_dir", PlanOptions::default().working_dir("")),
    ];
    for (field, options) in cases {
        let error = refused(nothing, options).await;
        says(&error, "plan_invalid_option", &[field]);
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
}

#[tokio::test]
async fn invalid_step_inputs_are_refused() {
    let bad = |input| PlanOptions::default().step(StepOptions::default()).step(input);
    let name = StepOptions::named("use").input(StepInput::env("A=B", 0));
    let error = refused(nothing, bad(name)).await;
    says(&error, "plan_invalid_input", &["\"use\"", "step 0", "A="]);
    let twice = StepInput::stdin(0);
    let options = bad(StepOptions::default().input(twice.clone()).input(twice));
    let error = refused(nothing, options).await;
    says(&error, "plan_invalid_input", &["step 1", "same place"]);
    let unread = ExecutionOptions::default().output(OutputMode::Inherit);
    let options = PlanOptions::default()
        .step(StepOptions::default().options(unread))
        .step(StepOptions::default().input(StepInput::stdin(0)));
    let error = refused(nothing, options).await;
    says(&error, "plan_invalid_input", &["step 1", "step 0", "is not read"]);
    let files = || StepInput::files(0, "out/*");
    let error = refused(nothing, bad(StepOptions::default().input(files()))).await;
    says(&error, "plan_invalid_input", &["step 1", "step 0", "it collects no files"]);
    let collecting = |input| {
        let collect = ExecutionOptions::default().collect("out/*");
        let first = StepOptions::named("first").options(collect);
        PlanOptions::default().step(first).step(StepOptions::default().input(input))
    };
    let cases = [
        (StepInput::files(0, "../x"), "is not below the working directory"),
        (StepInput::files_below("/in", 0, "x"), "is not below the working directory"),
        (files().trim(Trim::Nothing), "leave trim"),
        (files().max_bytes(3), "leave trim"),
    ];
    for (input, expected) in cases {
        let error = refused(nothing, collecting(input)).await;
        says(&error, "plan_invalid_input", &["step 1", "\"first\"", expected]);
    }
    let twice = collecting(files());
    let again = twice.steps[1].clone().input(files());
    let options = PlanOptions::default().step(twice.steps[0].clone()).step(again);
    let error = refused(nothing, options).await;
    says(&error, "plan_invalid_input", &["same place"]);
    // Nothing is collected without a backend.
    let error = refused(nothing, collecting(files())).await;
    says(&error, "invalid_option", &["\"first\"", "collect", "EngineBuilder::backend"]);
}

#[tokio::test]
async fn invalid_conditions_are_refused() {
    let only_if = |condition| {
        PlanOptions::default()
            .step(StepOptions::named("first"))
            .step(StepOptions::named("second").only_if(condition))
    };
    let no_codes = StepCondition::exit_code("first", []);
    let error = refused(nothing, only_if(no_codes)).await;
    says(&error, "plan_invalid_condition", &["step 1 (\"second\")", "exit_code has no codes"]);
    for condition in [StepCondition::AnyFailed, StepCondition::NoneFailed] {
        let error = refused(nothing, only_if(condition)).await;
        says(&error, "plan_invalid_condition", &["\"second\"", "waits for no step"]);
    }
    let error = refused(nothing, only_if(StepCondition::failed("frist"))).await;
    says(&error, "plan_unknown_step", &["\"second\"", "\"frist\"", "\"first\""]);
    let error = refused(nothing, only_if(StepCondition::failed("second"))).await;
    says(&error, "plan_self_dependency", &["\"second\""]);
}

#[tokio::test]
async fn invalid_request_is_named_by_its_step() {
    let blank = |plan: &mut ExecutionPlan| plan.commands[2] = shell(" ");
    let error = refused(blank, names(["a", "b", "c"])).await;
    says(&error, "empty_field", &["step 2 (\"c\")", "command is empty"]);
    let zero = |plan: &mut ExecutionPlan| plan.commands[0].timeout_ms = Some(0);
    let error = refused(zero, PlanOptions::default()).await;
    says(&error, "timeout_zero", &["step 0", "timeout_ms"]);
    let group = ExecutionOptions::default().group("nowhere");
    let options = PlanOptions::default().step(StepOptions::named("x").options(group));
    let error = refused(nothing, options).await;
    says(&error, "invalid_option", &["step 0 (\"x\")", "\"nowhere\""]);
}

#[test]
fn plan_builder_reports_mistakes_at_build() {
    let code = |builder: PlanBuilder| builder.build().unwrap_err().error_code();
    let builder = ExecutionPlan::builder;
    assert_eq!(code(builder()), "plan_empty");
    assert_eq!(code(builder().after("x").step("x", shell("true"))), "plan_no_step_yet");
    assert_eq!(code(builder().always().step("x", shell("true"))), "plan_no_step_yet");
    assert_eq!(code(builder().step("x", shell("true")).after("y")), "plan_unknown_step");
    let any_failed = builder().step("x", shell("true")).only_if(StepCondition::AnyFailed);
    assert_eq!(code(any_failed), "plan_invalid_condition");
    assert_eq!(code(builder().step("x", shell("true")).after("x")), "plan_self_dependency");
    let twice = builder().step("x", shell("true")).step("x", shell("true"));
    assert_eq!(code(twice), "plan_duplicate_name");
}
