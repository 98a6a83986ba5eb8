//! The test double: nothing is started, and everything else is the real engine.

use execution_engine::testing::{Script, ScriptedProgram};
use execution_engine::*;
use test_support::*;

fn scripted(script: &Script) -> ExecutionEngine {
    ExecutionEngine::builder()
        .stop_grace(Duration::from_millis(100))
        .scripted(script.clone())
        .build()
        .unwrap()
}

fn always(program: ScriptedProgram) -> ExecutionEngine {
    scripted(&Script::new().otherwise(program))
}

/// A program that exists nowhere.
fn absent() -> ExecutionRequest {
    ExecutionRequest::exec("no-such-program", ["x"]).working_dir("/no/such/directory")
}

#[tokio::test]
async fn output_events_and_exit_are_as_of_a_real_program() {
    let program = ScriptedProgram::new()
        .stdout("one\n")
        .after(Duration::from_millis(20))
        .stderr("two\n")
        .stdout("no end of line")
        .exit_code(3);
    let engine = always(program);
    let execution = engine.start(absent()).await.unwrap();
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("one\nno end of line", "two\n"));
    assert_eq!((result.exit_code, result.status), (3, ExecutionStatus::Failed));
    assert!(result.duration >= Duration::from_millis(20));
    assert!(result.containment.proven && result.containment.survivors.is_empty());
    let mut events = execution.events().await.unwrap();
    // Two pipes have no common order.
    let mut lines = [Vec::new(), Vec::new()];
    let mut last = None;
    while let Some(record) = soon("a record", events.next()).await {
        match &record.event {
            ExecutionEvent::Stdout { line, .. } => lines[0].push(line.clone()),
            ExecutionEvent::Stderr { line, .. } => lines[1].push(line.clone()),
            _ => {}
        }
        last = Some(record.event);
    }
    assert_eq!(lines, [vec!["one", "no end of line"], vec!["two"]]);
    assert!(matches!(last, Some(ExecutionEvent::Completed { exit_code: 3, .. })), "{last:?}");
}

#[tokio::test]
async fn large_output_is_complete() {
    let much = "some line\n".repeat(300_000);
    let engine = always(ScriptedProgram::new().stdout(much.clone()));
    let result = run(&engine, absent()).await;
    assert!(result.success && result.stdout == much, "{:?}", result.stdout_stats);
}

#[tokio::test]
async fn input_is_copied_until_its_end() {
    let engine = always(ScriptedProgram::new().copy_stdin().stderr("read\n"));
    let options = ExecutionOptions::default().stdin(StdinSource::bytes("2 3 5\n"));
    let result = run_with(&engine, absent(), options).await;
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("2 3 5\n", "read\n"));
    let options = ExecutionOptions::default().stdin(StdinSource::Piped).output(OutputMode::Merged);
    let execution = engine.start_with(absent(), options).await.unwrap();
    execution.stdin().write("hello\n").await.unwrap();
    execution.stdin().close().await.unwrap();
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("hello\nread\n", ""));
}

#[tokio::test]
async fn cancel_timeout_and_signals_end_it_as_its_script_says() {
    let engine = always(ScriptedProgram::new().runs_until_stopped());
    let execution = engine.start(absent()).await.unwrap();
    execution.cancel().await.unwrap();
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
    assert_eq!(result.containment.signal, Some(Signal::Terminate), "the first signal was enough");

    let result = run(&engine, absent().timeout(Duration::from_millis(30))).await;
    assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 30 });

    let execution = engine.start(absent()).await.unwrap();
    assert_eq!(execution.signal(Signal::Interrupt).await, Ok(1));
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.error.as_deref(), Some("killed by SIGINT"));

    let stubborn = ScriptedProgram::new()
        .runs_until_stopped()
        .ignores(Signal::Terminate)
        .exits_on(Signal::Hangup, 7);
    let engine = always(stubborn);
    let execution = engine.start(absent()).await.unwrap();
    execution.cancel().await.unwrap();
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.containment.signal, Some(Signal::Kill), "the first signal is ignored");
    let execution = engine.start(absent()).await.unwrap();
    execution.signal(Signal::Hangup).await.unwrap();
    assert_eq!(soon("its end", execution.wait()).await.unwrap().exit_code, 7);
}

#[tokio::test]
async fn a_rule_may_ask_for_the_requests_so_far() {
    let script = Script::new();
    let asked = script.clone();
    let script = script
        .on(move |_| asked.requests().len() == 2, ScriptedProgram::new().stdout("second\n"))
        .once(|_| true, ScriptedProgram::new().stdout("first\n"));
    let engine = scripted(&script);
    assert_eq!(run(&engine, absent()).await.stdout, "first\n");
    assert_eq!(run(&engine, absent()).await.stdout, "second\n");
    let third = run(&engine, absent()).await;
    assert!(matches!(third.ending, Ending::SpawnFailed { .. }), "{third:?}");
}

#[tokio::test]
async fn a_signal_that_is_ignored_by_default_does_not_end_it() {
    let engine = always(ScriptedProgram::new().runs_until_stopped());
    let execution = engine.start(absent()).await.unwrap();
    for number in [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGTSTP, libc::SIGCONT] {
        assert_eq!(execution.signal(Signal::Other(number)).await, Ok(1));
    }
    execution.signal(Signal::User1).await.unwrap();
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.error.as_deref(), Some("killed by SIGUSR1"));
}

#[tokio::test]
async fn the_end_of_the_engine_ends_it() {
    let engine = always(ScriptedProgram::new().runs_until_stopped());
    let execution = engine.start(absent()).await.unwrap();
    drop(engine);
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.ending, Ending::EngineClosed);
}

#[tokio::test]
async fn rules_count_in_order_and_each_attempt_is_a_start() {
    let script = Script::new()
        .once(|request| request.env.contains_key("FLAKY"), ScriptedProgram::new().exit_code(75))
        .on_program("git", ScriptedProgram::new().stdout("main\n"))
        .on_program("make", ScriptedProgram::new().fails_to_start("not today"));
    let engine = scripted(&script);
    let git = || ExecutionRequest::exec("/usr/bin/git", ["branch"]);
    let options = ExecutionOptions::default().retry(RetryPolicy::new(3));
    let result = run_with(&engine, git().env("FLAKY", "secret"), options).await;
    assert_eq!((result.attempts, result.stdout.as_str()), (2, "main\n"));
    let result = run(&engine, ExecutionRequest::program("make")).await;
    assert!(matches!(&result.ending, Ending::SpawnFailed { reason, .. } if reason == "not today"));
    let result = run(&engine, shell("echo hello")).await;
    let error = result.error.unwrap();
    assert!(error.contains("no scripted program for `echo hello`"), "{error}");
    let asked: Vec<_> = script.requests().iter().map(|it| it.command.to_string()).collect();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(asked[..2], ["/usr/bin/git branch"; 2]);
    assert!(!format!("{script:?} {:?}", script.requests()).contains("secret"));
    // The checks are the real ones.
    let refused = engine.execute(ExecutionRequest::program("")).await;
    assert_eq!(refused.unwrap_err().error_code(), "empty_field");
}

#[tokio::test]
async fn plans_and_the_queue_run_scripted_programs() {
    let script = Script::new()
        .on_program("test", ScriptedProgram::new().exit_code(1))
        .otherwise(ScriptedProgram::new().after(Duration::from_millis(5)).stdout("ok\n"));
    let config = ExecutionConfig { max_concurrent_executions: 1, ..Default::default() };
    let queue = Admission::Queue { max_waiting: 100 };
    let builder = ExecutionEngine::builder().config(config).admission(queue);
    let engine = builder.scripted(script.clone()).build().unwrap();
    let plan = ExecutionPlan::builder()
        .step("build", ExecutionRequest::program("build"))
        .step("test", ExecutionRequest::program("test"))
        .after("build")
        .step("pack", ExecutionRequest::program("pack"))
        .after("test")
        .build()
        .unwrap();
    let result = soon("the plan", engine.run_plan(plan)).await.unwrap();
    assert_eq!(result.step("build").unwrap().stdout, "ok\n");
    assert_eq!(result.step("test").unwrap().exit_code, 1);
    assert_eq!(script.requests().len(), 2, "the third step never ran");
    let queued: Vec<_> = (0..10).map(|_| at_once(engine.execute(absent())).unwrap()).collect();
    for id in queued {
        assert!(ended(&engine, id).await.success);
    }
}
