//! A backend that refuses, cannot be reached, or loses its answers.

use std::sync::atomic::Ordering;

use execution_engine::prelude::*;
use test_support::*;

use super::machine::Machine;

#[tokio::test]
async fn a_backend_that_cannot_be_reached_ends_nothing() {
    let machine = Machine::new();
    let engine = machine.client();
    machine.next_failures.store(3, Ordering::SeqCst);
    machine.panics.store(2, Ordering::SeqCst);
    let result = soon("its end", engine.run(shell("echo hello"))).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.success), ("hello\n", true));
    assert_eq!(machine.next_failures.load(Ordering::SeqCst), 0);
    assert_eq!(machine.panics.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_lost_answer_is_told_and_asking_by_the_id_tells_the_rest() {
    let machine = Machine::new();
    let engine = machine.client();
    machine.lost_answers.store(2, Ordering::SeqCst);
    let request = shell("echo once");
    let id = request.id;
    let told = engine.execute(request.clone()).await.unwrap_err();
    assert!(matches!(told, ExecutionError::OutcomeUnknown { id: of, .. } if of == id), "{told:?}");
    assert!(!told.is_rejection() && told.is_retryable());
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.stdout, "once\n");

    // The same request again is the same execution.
    let other = machine.client();
    assert_eq!(other.execute(request).await, Ok(id));
    assert_eq!(other.wait_for_completion(id).await.unwrap().stdout, "once\n");
    assert_eq!(other.list_backend().await.unwrap().len(), 1);
    let taken = machine.client().execute(shell("echo other").id(id)).await;
    assert_eq!(taken, Err(ExecutionError::DuplicateId(id)));
}

#[tokio::test]
async fn a_refused_request_leaves_nothing_behind() {
    let machine = Machine::new();
    let engine = machine.client();
    machine.refusals.lock().unwrap().push(ExecutionError::QueueFull(100));
    let request = shell("echo hello");
    let id = request.id;
    assert_eq!(engine.execute(request.clone()).await, Err(ExecutionError::QueueFull(100)));
    assert_eq!(engine.get_status(id).await, Err(ExecutionError::NotFound(id)));
    assert_eq!(engine.total_count().await, 0);
    assert_eq!(engine.execute(request).await, Ok(id));
    assert!(soon("its end", engine.wait_for_completion(id)).await.unwrap().success);
}

#[tokio::test]
async fn steps_of_plans_wait_for_room_and_for_answers() {
    let machine = Machine::new();
    let engine = machine.client();
    machine.refusals.lock().unwrap().push(ExecutionError::QueueFull(1));
    machine.lost_answers.store(1, Ordering::SeqCst);
    let plan = ExecutionPlan::serial(["echo one", "echo two"].map(ExecutionRequest::shell));
    let result = soon("the plan", engine.run_plan(plan)).await.unwrap();
    assert_eq!(result.status, ExecutionStatus::Completed, "{result:?}");
    // One more for the refusal, and one more for the lost answer.
    assert_eq!(machine.submits.load(Ordering::SeqCst), 4);
    let stdout: Vec<_> = result.results.iter().map(|step| step.stdout.as_str()).collect();
    assert_eq!(stdout, ["one\n", "two\n"]);

    let taken = ExecutionError::DuplicateId(Uuid::nil());
    machine.refusals.lock().unwrap().push(taken.clone());
    let plan = ExecutionPlan::serial([shell("echo one")]);
    let result = soon("the plan", engine.run_plan(plan)).await.unwrap();
    let error = result.results[0].error.clone().unwrap();
    assert_eq!(error, format!("could not be started: {taken}"));
}

#[tokio::test]
async fn a_step_that_is_stopped_before_it_is_accepted_never_runs() {
    let machine = Machine::new();
    let engine = machine.client();
    let full = || ExecutionError::QueueFull(1);
    *machine.refusals.lock().unwrap() = (0..1000).map(|_| full()).collect();
    let id = engine.execute_plan(ExecutionPlan::serial([shell("echo never")])).await.unwrap();
    until("it was refused", || machine.submits.load(Ordering::SeqCst) > 1).await;
    engine.cancel_plan(id).await.unwrap();
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert!(matches!(result.results[0].ending, Ending::NotRun { .. }), "{result:?}");
    assert_eq!(machine.cancels.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_of_this_process_is_refused_with_field_and_reason() {
    let machine = Machine::new();
    let engine = machine.client();
    let options = ExecutionOptions::default;
    let none = ContentDigest { sha256: [0; 32], size: 0 };
    let cases = [
        (shell("ls"), options().stdin(StdinSource::Inherit), "stdin"),
        (shell("ls"), options().output(OutputMode::Inherit), "output"),
        (shell("ls"), options().output(OutputMode::InheritStderr), "output"),
        (shell("ls"), options().terminal(Terminal::Shared), "terminal"),
        (shell("ls"), options().max_attempts(0), "max_attempts"),
        (shell("ls"), options().collect("../x"), "collect"),
        (shell("ls"), options().collect("/etc/passwd"), "collect"),
        (shell("ls"), options().collect(""), "collect"),
        (shell("ls"), options().collect("out//x"), "collect"),
        (shell("ls"), options().collect("./out"), "collect"),
        (shell("ls"), options().input("a/../b", none), "inputs"),
        (shell("ls"), options().input("a/b", none).input("a/b", none), "inputs"),
        (shell("ls"), options().input("a/b/c", none).input("a/b", none), "inputs"),
        (shell("ls"), options().requires(Requires::default().pool(" ")), "requires"),
        (shell("ls").working_dir("src"), options(), "working_dir"),
    ];
    for (request, options, expected) in cases {
        let plan = ExecutionPlan::serial([request.clone()]);
        let mut plan_options = PlanOptions::default();
        plan_options.defaults = options.clone();
        let error = engine.execute_with(request, options).await.unwrap_err();
        let ExecutionError::Validation(ValidationError::InvalidOption { field, reason, .. }) =
            &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(*field, expected);
        assert!(!reason.is_empty() && error.is_rejection());
        let spec = PlanSpec { plan, options: plan_options };
        let in_plan = engine.execute_plan(spec).await.unwrap_err().to_string();
        assert!(in_plan.contains(expected), "{in_plan}");
    }
    assert_eq!(machine.submits.load(Ordering::SeqCst), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn descriptors_cannot_be_passed_elsewhere() {
    let engine = Machine::new().client();
    let file = std::fs::File::open("/dev/null").unwrap();
    let passed = PassedDescriptors::new().pass(3, file).unwrap();
    let started = engine.start_passing(shell("ls"), ExecutionOptions::default(), passed).await;
    assert!(started.unwrap_err().to_string().contains("passed"));
}

#[tokio::test]
async fn the_engine_without_a_backend_refuses_what_needs_one() {
    let engine = engine();
    let options = ExecutionOptions::default;
    let cases = [
        (options().requires(Requires::default()), "requires"),
        (options().max_attempts(2), "max_attempts"),
        (options().start_by(Duration::from_secs(60)), "start_by_ms"),
        (options().input("in", ContentDigest { sha256: [0; 32], size: 0 }), "inputs"),
        (options().collect("out/*"), "collect"),
    ];
    for (options, field) in cases {
        let text = engine.execute_with(shell("ls"), options).await.unwrap_err().to_string();
        assert!(text.contains(field) && text.contains("EngineBuilder::backend"), "{text}");
    }
    assert!(engine.run_with(shell("true"), options().max_attempts(1)).await.unwrap().success);
}

#[tokio::test]
async fn settings_that_would_decide_an_ending_here_are_refused() {
    let config = ExecutionConfig {
        oversized_output_strategy: OversizedOutputStrategy::FailExecution,
        ..Default::default()
    };
    let builder = ExecutionEngine::builder().config(config).backend(Machine::new());
    assert!(builder.build().unwrap_err().to_string().contains("oversized_output_strategy"));
    let script = testing::Script::new();
    let builder = ExecutionEngine::builder().scripted(script).backend(Machine::new());
    assert!(builder.build().unwrap_err().to_string().contains("backend"));
}

#[tokio::test]
async fn a_timeout_is_sent_along_and_too_long_a_one_is_refused() {
    let machine = Machine::played();
    let config =
        ExecutionConfig { default_timeout_ms: 77, max_timeout_ms: 1000, ..Default::default() };
    let engine = ExecutionEngine::builder().config(config).backend(machine.clone());
    let engine = engine.build().unwrap();
    let id = engine.execute(shell("make")).await.unwrap();
    assert_eq!(machine.request_of(id).timeout_ms, Some(77));
    let long = engine.execute(shell("make").timeout(Duration::from_secs(2))).await;
    let expected = ValidationError::TimeoutTooLarge { timeout_ms: 2000, max_ms: 1000 };
    assert_eq!(long, Err(expected.into()));
}
