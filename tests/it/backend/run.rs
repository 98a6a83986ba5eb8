//! Programs that really run on the other machine.

use execution_engine::prelude::*;
use test_support::*;

use super::machine::Machine;

#[tokio::test]
async fn output_comes_live_and_in_order_and_the_result_is_that_of_the_place() {
    let machine = Machine::new();
    let recorder = Recorder::new();
    let engine = machine.client().with_event_handler(recorder.clone());
    let request = shell("echo one; echo two >&2; read line; echo $line; exit 3").tag("here");
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let execution = engine.start_with(request, options).await.unwrap();
    let id = execution.id();
    // Live: the program waits for what is written only after this.
    let heard = |events: &[ExecutionEvent]| {
        !lines_of(events, OutputStream::Stdout).is_empty()
            && !lines_of(events, OutputStream::Stderr).is_empty()
    };
    recorder.when(id, heard).await;
    assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Running));
    assert_eq!(execution.stdin().write("three\n").await, Ok(6));
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("one\nthree\n", "two\n"));
    assert_eq!((result.ending.clone(), result.attempts), (Ending::Exited { code: 3 }, 1));
    let there = machine.engine().get_result(id).await.unwrap().unwrap();
    assert_eq!((&result.usage, &result.containment), (&there.usage, &there.containment));
    assert_eq!(result.place, Some(Place::new("there", 1, 1)));
    let summary = engine.get_summary(id).await.unwrap();
    assert_eq!(summary.metadata.tags, ["here"]);
    assert_eq!(summary.pid, machine.engine().get_summary(id).await.unwrap().pid);
    let events = recorder.all_of(id).await;
    assert!(matches!(events[0], ExecutionEvent::Started { .. }), "{events:?}");
    assert!(matches!(events.last(), Some(ExecutionEvent::Completed { exit_code: 3, .. })));
    assert_eq!(lines_of(&events, OutputStream::Stdout), ["one", "three"]);
    // What is asked for the second time is replayed.
    let replayed = engine.subscribe(id).await.unwrap();
    assert_eq!(futures_lite::StreamExt::count(replayed).await, events.len());
}

#[tokio::test]
async fn long_output_is_whole_and_what_is_kept_of_it_is_limited_here() {
    let machine = Machine::new();
    let config = ExecutionConfig { max_output_size_bytes: 100_000, ..Default::default() };
    let builder = ExecutionEngine::builder().config(config).backend(machine.clone());
    let engine = builder.keep_head_and_tail().build().unwrap();
    let id = engine.execute(shell("seq 1 100000")).await.unwrap();
    let mut chunks = engine.subscribe_chunks(id).await.unwrap();
    let mut seen = 0;
    while let Some(record) = soon("more output", chunks.next()).await {
        match record.content {
            ChunkContent::Output { bytes, .. } => seen += bytes.len(),
            ChunkContent::Event(ExecutionEvent::OutputMissed { bytes, .. }) => {
                seen += usize::try_from(bytes).unwrap();
            }
            _ => {}
        }
    }
    let result = engine.wait_for_completion(id).await.unwrap();
    assert_eq!(seen, 588_895);
    assert_eq!((result.stdout_stats.seen_bytes, result.truncated), (588_895, true));
    assert!(result.stdout.starts_with("1\n2\n") && result.stdout.ends_with("\n100000\n"));
}

#[tokio::test]
async fn a_prompt_is_told_while_its_line_is_unfinished() {
    let machine = Machine::new();
    let engine = machine.client();
    let options = ExecutionOptions::default()
        .stdin(StdinSource::Piped)
        .partial_lines_after(Duration::from_millis(20));
    let request = shell("printf 'name? '; read name; echo hello $name");
    let execution = engine.start_with(request, options).await.unwrap();
    let mut events = execution.events().await.unwrap();
    let mut lines = Vec::new();
    while let Some(record) = soon("more", events.next()).await {
        if let ExecutionEvent::Stdout { line, .. } = record.event {
            if record.partial && lines.is_empty() {
                engine.write_stdin(execution.id(), "you\n").await.unwrap();
                // It may have ended with its line.
                let closed = engine.close_stdin(execution.id()).await;
                let is_over = matches!(closed, Err(ExecutionError::AlreadyEnded { .. }));
                assert!(closed.is_ok() || is_over, "{closed:?}");
            }
            lines.push((line, record.partial));
        }
    }
    assert_eq!(lines, [("name? ".to_string(), true), ("hello you".to_string(), false)]);
    let closed = engine.write_stdin(execution.id(), "more").await;
    assert!(matches!(closed, Err(ExecutionError::AlreadyEnded { .. })), "{closed:?}");
}

#[tokio::test]
async fn signals_pauses_and_cancels_reach_the_program() {
    let machine = Machine::new();
    let recorder = Recorder::new();
    let engine = machine.client().with_event_handler(recorder.clone());
    let ready = |events: &[ExecutionEvent]| !lines_of(events, OutputStream::Stdout).is_empty();

    let id = engine.execute(shell("trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done"));
    let id = id.await.unwrap();
    recorder.when(id, ready).await;
    engine.pause(id).await.unwrap();
    engine.resume(id).await.unwrap();
    assert!(engine.signal(id, Signal::User1).await.unwrap() > 0);
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.exit_code, 7, "{result:?}");

    let stubborn = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
    let options = ExecutionOptions::default().stop_grace(Duration::from_secs(3600));
    let execution = engine.start_with(stubborn, options).await.unwrap();
    recorder.when(execution.id(), ready).await;
    execution.cancel().await.unwrap();
    engine.cancel_within(execution.id(), Duration::ZERO).await.unwrap();
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
    let late = execution.cancel().await;
    let status = ExecutionStatus::Cancelled;
    assert_eq!(late, Err(ExecutionError::AlreadyEnded { id: execution.id(), status }));

    let mut wanted = Vec::new();
    for _ in 0..2 {
        wanted.push(engine.execute(exec("sleep").arg("300")).await.unwrap());
    }
    let mut cancelled = engine.cancel_all().await.executions;
    cancelled.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(cancelled, wanted);
    for id in cancelled {
        let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
        assert_eq!(result.ending, Ending::Cancelled);
    }
}

#[tokio::test]
async fn of_a_cancel_and_an_end_the_place_says_which_was_first() {
    let machine = Machine::new();
    let engine = machine.client();
    let mut race = Race::new(Duration::from_millis(5));
    while race.continues(400) {
        let id = engine.execute(shell("exit 5")).await.unwrap();
        pause(race.delay()).await;
        let cancelled = engine.cancel(id).await;
        let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
        let there = machine.engine().wait_for_completion(id).await.unwrap();
        assert_eq!(result.ending, there.ending);
        match cancelled {
            Ok(()) => {
                assert_eq!(result.ending, Ending::Cancelled);
                race.was_early();
            }
            Err(ExecutionError::AlreadyEnded { .. }) => {
                assert_eq!(result.ending, Ending::Exited { code: 5 });
                race.was_late();
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_plan_passes_output_from_step_to_step_and_stops_at_a_failure() {
    let machine = Machine::new();
    let engine = machine.client();
    let plan = ExecutionPlan::builder()
        .step("version", shell("echo 1.2"))
        .step("build", shell("echo building $VERSION"))
        .env_from("VERSION", "version")
        .step("test", shell("exit 3"))
        .after("build")
        .step("deploy", shell("echo never"))
        .after("test")
        .build()
        .unwrap();
    let result = soon("the plan", engine.run_plan(plan)).await.unwrap();
    assert_eq!(result.step("build").unwrap().stdout, "building 1.2\n");
    assert_eq!(result.step("test").unwrap().exit_code, 3);
    assert!(matches!(result.step("deploy").unwrap().ending, Ending::NotRun { .. }));
    assert!(result.step("build").unwrap().place.is_some());
}

#[tokio::test]
async fn a_plan_that_is_cancelled_cancels_its_steps_there() {
    let machine = Machine::new();
    let engine = machine.client();
    let plan = ExecutionPlan::builder()
        .step("long", exec("sleep").arg("300"))
        .step("after", shell("echo never"))
        .after("long")
        .build()
        .unwrap();
    let id = engine.execute_plan(plan).await.unwrap();
    until("the step runs", || !at_once(machine.engine().list_executions()).is_empty()).await;
    engine.cancel_plan(id).await.unwrap();
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.ending, PlanEnding::Cancelled);
    assert_eq!(result.step("long").unwrap().ending, Ending::Cancelled);
}

#[tokio::test]
async fn a_program_that_fails_is_tried_again_there() {
    let machine = Machine::new();
    let engine = machine.client();
    let dir = tempfile::tempdir().unwrap();
    let line = format!("echo try; mkdir {}/made && exit 9; exit 0", text(dir.path()));
    let retry = RetryPolicy::new(2).initial_delay(Duration::ZERO);
    let options = ExecutionOptions::default().retry(retry);
    let result = soon("its end", engine.run_with(shell(line), options)).await.unwrap();
    assert_eq!((result.attempts, result.earlier_attempts.len()), (2, 1));
    assert_eq!(result.earlier_attempts[0].ending, Ending::Exited { code: 9 });
    assert!(result.earlier_attempts[0].usage.is_some(), "the place knows it");
    assert_eq!(result.stdout, "try\n", "the output of the last attempt");
    assert_eq!(result.place.unwrap().attempt, 2);
}

#[tokio::test]
async fn logs_and_the_sink_of_this_engine_get_the_output() {
    let machine = Machine::new();
    let dir = tempfile::tempdir().unwrap();
    let config = ExecutionConfig { log_dir: Some(dir.path().into()), ..Default::default() };
    let builder = ExecutionEngine::builder().config(config).backend(machine);
    let engine = builder.build().unwrap();
    let id = engine.execute(shell("echo logged")).await.unwrap();
    soon("its end", engine.wait_for_completion(id)).await.unwrap();
    let log = engine.read_logs(id).await.unwrap();
    assert!(log.contains("logged") && log.contains("exit code 0"), "{log}");
}

#[test]
fn the_blocking_engine_waits_for_the_backend() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let machine = runtime.block_on(async { Machine::new() });
    let engine = blocking::ExecutionEngine::from(machine.client());
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let execution = engine.start_with(exec("cat"), options).unwrap();
    let stdin = execution.stdin();
    assert_eq!(stdin.write("hello\n"), Ok(6));
    stdin.close().unwrap();
    assert_eq!(execution.wait().unwrap().stdout, "hello\n");
    let other = blocking::ExecutionEngine::from(machine.client());
    assert_eq!(other.get_result(execution.id()).unwrap().unwrap().stdout, "hello\n");
    assert_eq!(other.list_backend().unwrap()[0].id, execution.id());
    let late = other.cancel(execution.id());
    assert!(matches!(late, Err(ExecutionError::AlreadyEnded { .. })), "{late:?}");
}
