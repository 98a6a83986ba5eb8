//! Retries: as many attempts as configured, after the configured endings; each attempt is reported,
//! and a cancel ends the execution at once at every stage.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

fn at_once(attempts: u32) -> RetryPolicy {
    RetryPolicy::new(attempts).initial_delay(Duration::ZERO)
}

/// Returns a policy with a delay that no test waits for.
fn much_later(attempts: u32) -> RetryPolicy {
    RetryPolicy::new(attempts)
        .initial_delay(Duration::from_secs(3600))
        .max_delay(Duration::from_secs(3600))
}

fn retrying(retry: RetryPolicy) -> ExecutionOptions {
    ExecutionOptions::default().retry(retry)
}

/// Returns a line that acts by the number of the attempt, `$n`.
fn counting(dir: &TempDir, then: &str) -> ExecutionRequest {
    let file = dir.path().join("count");
    let file = file.display();
    shell(format!("echo x >> {file}; n=$(wc -l < {file}); {then}"))
}

fn attempts_made(dir: &TempDir) -> usize {
    fs::read_to_string(dir.path().join("count")).unwrap_or_default().lines().count()
}

fn endings(result: &ExecutionResult) -> Vec<Ending> {
    result.earlier_attempts.iter().map(|attempt| attempt.ending.clone()).collect()
}

fn has_retrying(events: &[ExecutionEvent]) -> bool {
    events.iter().any(|event| matches!(event, ExecutionEvent::Retrying { .. }))
}

fn watched(builder: EngineBuilder) -> (ExecutionEngine, Arc<Recorder>) {
    let recorder = Recorder::new();
    let engine = builder.event_handler(Arc::clone(&recorder) as Arc<dyn EventHandler>);
    (engine.stop_grace(Duration::from_millis(100)).build().unwrap(), recorder)
}

// ---------------------------------------------------------------------------------- how often

#[tokio::test]
async fn retries_until_success_and_reports_every_attempt() {
    let dir = TempDir::new().unwrap();
    let (engine, recorder) = watched(ExecutionEngine::builder());
    let request = counting(&dir, "echo attempt $n; [ $n = 3 ]");
    let result = run_with(&engine, request, retrying(at_once(5))).await;

    assert!(result.success, "{result:?}");
    assert_eq!(result.stdout, "attempt 3\n", "the output of the last attempt");
    assert_eq!((result.stdout_stats.seen_bytes, result.stdout_stats.kept_bytes), (10, 10));
    assert_eq!(endings(&result), [Ending::Exited { code: 1 }, Ending::Exited { code: 1 }]);
    let numbers: Vec<_> = result.earlier_attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2]);
    let [first, second] = &result.earlier_attempts[..] else { panic!("two") };
    assert!(first.started_at >= result.started_at && second.started_at >= first.started_at);
    let receipt = &first.containment;
    assert_eq!(receipt.proven, receipt.level == ContainmentLevel::Cgroup);
    assert!(first.usage.is_some());
    assert_eq!((first.stdout.as_str(), second.stdout.as_str()), ("attempt 1\n", "attempt 2\n"));
    assert!(result.duration >= first.duration + second.duration);

    let events = recorder.all_of(result.id).await;
    let told: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            ExecutionEvent::Started { .. } => Some("started".to_string()),
            ExecutionEvent::Stdout { line, .. } => Some(line.clone()),
            ExecutionEvent::Retrying { attempt, ending, .. } => {
                Some(format!("{attempt} ended with {ending}"))
            }
            ExecutionEvent::Completed { success, .. } => Some(format!("success {success}")),
            ExecutionEvent::StatusChanged { .. } => None,
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        "started",
        "attempt 1",
        "1 ended with exit code 1",
        "started",
        "attempt 2",
        "2 ended with exit code 1",
        "started",
        "attempt 3",
        "success true",
    ];
    assert_eq!(told, expected);
    let changes = events.iter().filter(|e| matches!(e, ExecutionEvent::StatusChanged { .. }));
    assert_eq!(changes.count(), 2, "pending, running, completed: {events:?}");
}

#[tokio::test]
async fn the_end_of_the_output_of_each_attempt_is_kept() {
    let dir = TempDir::new().unwrap();
    let limit = |config: &mut ExecutionConfig| config.max_output_size_bytes = 10_000;
    let request = counting(&dir, "echo $n; seq 1 5000 >&2; echo \u{20ac}$n >&2; exit $((n < 3))");
    let result = run_with(&engine_with(limit), request, retrying(at_once(5))).await;
    assert!(result.success, "{result:?}");
    for (number, attempt) in (1..).zip(&result.earlier_attempts) {
        assert_eq!(attempt.stdout, format!("{number}\n"));
        assert_eq!(attempt.stdout_stats, StreamStats { seen_bytes: 2, kept_bytes: 2 });
        let stderr = &attempt.stderr;
        assert!(stderr.ends_with(&format!("\n5000\n\u{20ac}{number}\n")), "{stderr}");
        let stats = attempt.stderr_stats;
        assert_eq!(stats.seen_bytes, result.stderr_stats.seen_bytes);
        assert_eq!((stats.kept_bytes, stderr.len()), (4096, 4096));
    }
    assert_eq!(result.earlier_attempts.len(), 2);
}

#[tokio::test]
async fn attempts_are_bounded() {
    for attempts in [1, 2, 4] {
        let dir = TempDir::new().unwrap();
        let result =
            run_with(&engine(), counting(&dir, "exit $n"), retrying(at_once(attempts))).await;
        assert_eq!(attempts_made(&dir), attempts as usize);
        assert_eq!(result.exit_code, attempts.cast_signed(), "that of the last one");
        assert_eq!(result.earlier_attempts.len(), attempts as usize - 1);
    }
}

#[tokio::test]
async fn of_very_many_attempts_the_first_and_the_last_are_kept() {
    let (engine, recorder) = watched(ExecutionEngine::builder());
    let result = run_with(&engine, exec("false"), retrying(at_once(400))).await;
    assert_eq!(result.attempts, 400);
    let kept: Vec<_> = result.earlier_attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(kept, (1..=10).chain(390..=399).collect::<Vec<_>>());
    let retrying = |event: &ExecutionEvent| match event {
        ExecutionEvent::Retrying { attempt, .. } => Some(*attempt),
        _ => None,
    };
    let heard: Vec<_> = recorder.all_of(result.id).await.iter().filter_map(retrying).collect();
    assert_eq!(heard, (1..400).collect::<Vec<_>>(), "a handler gets all");
    let mut records = engine.subscribe(result.id).await.unwrap();
    let mut replayed = Vec::new();
    while let Some(record) = soon("the replay", records.next()).await {
        replayed.extend(retrying(&record.event));
    }
    assert_eq!(replayed, (1..=10).chain(300..=399).collect::<Vec<_>>());
}

#[tokio::test]
async fn only_listed_endings_are_retried() {
    let cases = [
        ("exit 75", vec![RetryOn::ExitCode(75)], 2),
        ("exit 1", vec![RetryOn::ExitCode(75)], 1),
        ("exit 1", vec![RetryOn::Timeout, RetryOn::SpawnFailure, RetryOn::Signal], 1),
        ("kill -9 $$", vec![RetryOn::Signal], 2),
        ("kill -9 $$", vec![RetryOn::AnyExitCode], 1),
        ("exit 0", vec![RetryOn::AnyExitCode, RetryOn::ExitCode(0)], 1),
    ];
    for (line, on, expected) in cases {
        let dir = TempDir::new().unwrap();
        let retry = at_once(2).retry_on(on.clone());
        run_with(&engine(), counting(&dir, line), retrying(retry)).await;
        assert_eq!(attempts_made(&dir), expected, "{line} {on:?}");
    }
}

#[tokio::test]
async fn exceeded_limit_is_final() {
    let dir = TempDir::new().unwrap();
    let engine = engine_with(|config| {
        config.max_output_size_bytes = 100;
        config.oversized_output_strategy = OversizedOutputStrategy::FailExecution;
    });
    let result = run_with(&engine, counting(&dir, "yes"), retrying(at_once(3))).await;
    assert!(matches!(result.ending, Ending::OutputLimit { .. }), "{result:?}");
    assert_eq!(attempts_made(&dir), 1);
}

#[tokio::test]
async fn every_attempt_has_the_whole_timeout() {
    let dir = TempDir::new().unwrap();
    let timeout = Duration::from_millis(300);
    let request = counting(&dir, "exec sleep 60").timeout(timeout);
    let options = retrying(at_once(3)).stop_grace(Duration::from_millis(100));
    let result = run_with(&engine(), request, options).await;
    let timed_out = Ending::TimedOut { timeout_ms: 300 };
    assert_eq!(result.ending, timed_out);
    assert_eq!(endings(&result), [timed_out.clone(), timed_out]);
    assert!(result.earlier_attempts.iter().all(|attempt| attempt.duration >= timeout));
    assert!(result.duration >= 3 * timeout);
    assert_eq!(attempts_made(&dir), 3);
}

#[tokio::test]
async fn failed_spawn_is_retried() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("program");
    let write = |content: &str| {
        let new = dir.path().join("new");
        fs::write(&new, content).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&new, &program).unwrap();
    };
    write("no program at all");
    let (engine, recorder) = watched(ExecutionEngine::builder());
    let request = ExecutionRequest::program(program.to_str().unwrap());
    let retry = RetryPolicy::new(100).initial_delay(Duration::from_millis(20)).multiplier(1);
    let id = engine.execute_with(request, retrying(retry)).await.unwrap();
    recorder.when(id, has_retrying).await;
    write("#!/bin/sh\necho mended\n");
    let result = soon("the ending", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.stdout, "mended\n");
    assert!(matches!(result.earlier_attempts[0].ending, Ending::SpawnFailed { .. }));
    assert_eq!(result.earlier_attempts[0].usage, None);
}

// ------------------------------------------------------------------------- stopped at each stage

#[tokio::test]
async fn cancel_during_the_delay_ends_at_once() {
    let dir = TempDir::new().unwrap();
    let (engine, recorder) = watched(ExecutionEngine::builder());
    let request = counting(&dir, "echo attempt $n; exit 1");
    let id = engine.execute_with(request, retrying(much_later(3))).await.unwrap();
    recorder.when(id, has_retrying).await;
    assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Running));
    assert_eq!(engine.get_result(id).await, Ok(None));

    engine.cancel(id).await.unwrap();
    let result = soon("the ending", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
    assert_eq!(endings(&result), [Ending::Exited { code: 1 }]);
    assert_eq!(result.stdout, "attempt 1\n", "what there is is not thrown away");
    assert_eq!((result.usage, result.containment.stopped), (None, 0), "nothing ran by then");
    assert_eq!(attempts_made(&dir), 1);
    assert_eq!(engine.available_permits(), engine.config().max_concurrent_executions);
    let events = recorder.all_of(id).await;
    assert!(matches!(events.last(), Some(ExecutionEvent::Cancelled { .. })));
}

#[tokio::test]
async fn cancel_during_a_later_attempt_is_final() {
    let dir = TempDir::new().unwrap();
    let second = dir.path().join("second");
    let engine = engine();
    let then = format!("[ $n = 2 ] || exit 1; echo $$ > {}; exec sleep 60", second.display());
    let options = retrying(at_once(9)).stop_grace(Duration::from_millis(100));
    let id = engine.execute_with(counting(&dir, &then), options).await.unwrap();
    let pid = pids(&when_written(&second).await)[0];
    engine.cancel(id).await.unwrap();
    let result = soon("the ending", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
    assert!(!is_alive(pid));
    assert_eq!((attempts_made(&dir), result.earlier_attempts.len()), (2, 1));
}

#[tokio::test]
async fn dropped_engine_ends_a_retry_delay() {
    let (engine, recorder) = watched(ExecutionEngine::builder());
    let id = engine.execute_with(shell("exit 1"), retrying(much_later(3))).await.unwrap();
    recorder.when(id, has_retrying).await;
    let report = soon("the shutdown", engine.shutdown(Duration::ZERO)).await;
    assert_eq!(report.ended[0].ending, Some(Ending::EngineClosed));

    let (engine, recorder) = watched(ExecutionEngine::builder());
    let id = engine.execute_with(shell("exit 1"), retrying(much_later(3))).await.unwrap();
    recorder.when(id, has_retrying).await;
    drop(engine);
    let events = recorder.all_of(id).await;
    assert!(matches!(events.last(), Some(ExecutionEvent::Cancelled { .. })), "{events:?}");
}

#[tokio::test]
async fn delay_keeps_the_permit_and_refuses_signals() {
    let config = ExecutionConfig { max_concurrent_executions: 1, ..Default::default() };
    let (engine, recorder) = watched(ExecutionEngine::builder().config(config));
    let id = engine.execute_with(shell("exit 1"), retrying(much_later(3))).await.unwrap();
    recorder.when(id, has_retrying).await;
    assert_eq!((engine.available_permits(), engine.running_count().await), (0, 1));
    let refused = engine.execute(shell("true")).await;
    assert_eq!(refused, Err(ExecutionError::ConcurrencyLimitReached(1)));
    let error = soon("signal", engine.signal(id, Signal::Interrupt)).await.unwrap_err();
    assert_eq!(error.error_code(), "control_failed");
    assert!(error.to_string().contains("next attempt"), "{error}");
    engine.cancel(id).await.unwrap();
    soon("the ending", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(engine.available_permits(), 1);
}

#[tokio::test]
async fn signal_to_an_ended_attempt_is_not_already_ended() {
    // The background process keeps writing, so that the drain takes a while.
    let engine =
        ExecutionEngine::builder().drain_limit(Duration::from_millis(500)).build().unwrap();
    let line = shell("yes & sleep 0.1; exit 1");
    let id = engine.execute_with(line, retrying(much_later(2))).await.unwrap();
    let error = soon("a refusal", async {
        loop {
            if let Err(error) = engine.signal(id, Signal::Continue).await {
                return error;
            }
        }
    })
    .await;
    is_told_to_wait(&engine, id, error).await;
}

/// Returns a policy whose next attempt no test waits for.
async fn is_told_to_wait(engine: &ExecutionEngine, id: Uuid, error: ExecutionError) {
    assert_eq!(error.error_code(), "control_failed", "{error}");
    assert!(error.to_string().contains("next attempt"), "{error}");
    engine.cancel(id).await.unwrap();
    soon("the ending", engine.wait_for_completion(id)).await.unwrap();
}

#[tokio::test]
async fn signal_to_a_failed_spawn_is_refused_at_once() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("copy");
    fs::copy("/bin/true", &program).unwrap();
    let _writer = fs::OpenOptions::new().append(true).open(&program).unwrap();
    let engine = engine();
    let request = ExecutionRequest::program(program.to_str().unwrap());
    let id = engine.execute_with(request, retrying(much_later(2))).await.unwrap();
    let error = soon("signal", engine.signal(id, Signal::Interrupt)).await.unwrap_err();
    is_told_to_wait(&engine, id, error).await;
}

#[tokio::test]
async fn later_attempt_can_be_signalled_and_paused() {
    let dir = TempDir::new().unwrap();
    let second = dir.path().join("second");
    let engine = engine();
    let then = format!("[ $n = 2 ] || exit 1; echo $$ > {}; exec sleep 60", second.display());
    let id = engine.execute_with(counting(&dir, &then), retrying(at_once(2))).await.unwrap();
    when_written(&second).await;
    soon("pause", engine.pause(id)).await.unwrap();
    soon("resume", engine.resume(id)).await.unwrap();
    soon("signal", engine.signal(id, Signal::Kill)).await.unwrap();
    let result = soon("the ending", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.signal, Some(9));
}

#[tokio::test]
async fn attempt_leaves_nothing_for_the_next() {
    let dir = TempDir::new().unwrap();
    let pid = dir.path().join("pid");
    let pid = pid.display();
    // The second attempt fails if a process of the first one is still alive.
    let then = format!(
        "if [ $n = 1 ]; then sleep 60 & echo $! > {pid}; exit 1; fi; \
         state=$(grep State: /proc/$(cat {pid})/status 2>&1); \
         case $state in *Z*|*'No such'*) ;; *) echo \"$state\"; exit 2;; esac"
    );
    for leftovers in [Leftovers::Stop, Leftovers::Leave] {
        fs::remove_file(dir.path().join("count")).ok();
        let options = retrying(at_once(2)).leftovers(leftovers);
        let result = run_with(&engine(), counting(&dir, &then), options).await;
        assert!(result.success, "{leftovers:?}: {}", result.stdout);
        assert!(result.earlier_attempts[0].containment.stopped > 0);
    }
}

// ------------------------------------------------------------------------------ input and output

#[tokio::test]
async fn output_limit_applies_per_attempt() {
    for strategy in
        [OversizedOutputStrategy::TruncateWithWarning, OversizedOutputStrategy::StreamToFile]
    {
        let dir = TempDir::new().unwrap();
        let engine = engine_with(|config| {
            config.max_output_size_bytes = 1000;
            config.oversized_output_strategy = strategy;
        });
        let then = "[ $n = 2 ] || { yes first | head -c 5000; exit 1; }; echo second; echo err >&2";
        let result = run_with(&engine, counting(&dir, then), retrying(at_once(2))).await;
        assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("second\n", "err\n"));
        assert_eq!(&result.stdout_bytes()[..], b"second\n");
        assert_eq!(result.stdout_overflow_file, None);
        assert_eq!(result.stdout_stats, StreamStats { seen_bytes: 7, kept_bytes: 7 });
    }
}

#[tokio::test]
async fn subscription_has_all_attempts_in_one_sequence() {
    let dir = TempDir::new().unwrap();
    let (engine, recorder) = watched(ExecutionEngine::builder());
    // An unfinished line at the end of an attempt is a line of that attempt.
    let then = "seq 1 500; printf unfinished; [ $n = 3 ]";
    let request = counting(&dir, then);
    let id = engine.execute_with(request, retrying(at_once(3))).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    let of_one: Vec<String> =
        (1..=500).map(|n| n.to_string()).chain(["unfinished".to_string()]).collect();
    let mut lines = Vec::new();
    let mut last = 0;
    while let Some(record) = soon("a record", records.next()).await {
        assert!(record.sequence > last, "{record:?}");
        last = record.sequence;
        if let ExecutionEvent::Stdout { line, .. } = record.event {
            lines.push(line);
        }
    }
    assert_eq!(lines, [of_one.clone(), of_one.clone(), of_one.clone()].concat());
    let events = recorder.all_of(id).await;
    assert_eq!(lines_of(&events, OutputStream::Stdout), lines);

    // Afterwards the output of the last attempt is held, and the rest is counted.
    let mut late = engine.subscribe(id).await.unwrap();
    let (mut missed, mut lines) = (0, Vec::new());
    while let Some(record) = soon("a record", late.next()).await {
        match record.event {
            ExecutionEvent::OutputMissed { bytes, .. } => missed += bytes,
            ExecutionEvent::Stdout { line, .. } => lines.push(line),
            _ => {}
        }
    }
    assert_eq!(lines, of_one);
    let result = engine.get_result(id).await.unwrap().unwrap();
    assert_eq!(missed, 2 * result.stdout_stats.seen_bytes);
}

#[tokio::test]
async fn late_subscription_during_the_delay_gets_the_journal() {
    let dir = TempDir::new().unwrap();
    let (engine, recorder) = watched(ExecutionEngine::builder());
    let then = "echo attempt $n; [ $n = 2 ] || exit 1; while [ ! -e $0.go ]; do sleep 0.01; done";
    let go = dir.path().join("go");
    let then = then.replace("$0.go", go.to_str().unwrap());
    let id = engine.execute_with(counting(&dir, &then), retrying(at_once(2))).await.unwrap();
    recorder.when(id, |events| lines_of(events, OutputStream::Stdout).len() == 2).await;
    let mut midway = engine.subscribe(id).await.unwrap();
    fs::write(&go, "").unwrap();
    let mut lines = Vec::new();
    while let Some(record) = soon("a record", midway.next()).await {
        if let ExecutionEvent::Stdout { line, .. } = record.event {
            lines.push(line);
        }
    }
    assert_eq!(lines, ["attempt 1", "attempt 2"]);
}

#[tokio::test]
async fn logs_have_all_attempts() {
    let dir = TempDir::new().unwrap();
    let raw = dir.path().join("raw.log");
    let engine = engine_with(|config| config.log_dir = Some(dir.path().join("logs")));
    let request = counting(&dir, "echo attempt $n; [ $n = 2 ]").output_log(&raw);
    let result = run_with(&engine, request, retrying(at_once(3))).await;
    assert_eq!(fs::read_to_string(&raw).unwrap(), "attempt 1\nattempt 2\n");
    let log = engine.read_logs(result.id).await.unwrap();
    for words in ["attempt 1 of 3: exit code 1", "out | attempt 1", "out | attempt 2"] {
        assert_eq!(log.matches(words).count(), 1, "{words}:\n{log}");
    }
    assert_eq!(log.matches("# ended").count(), 1, "{log}");
}

#[tokio::test]
async fn every_attempt_reads_the_same_input() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("input");
    fs::write(&file, "from a file").unwrap();
    for (source, expected) in
        [(StdinSource::bytes("given"), "given"), (StdinSource::file(&file), "from a file")]
    {
        fs::remove_file(dir.path().join("count")).ok();
        let options = retrying(at_once(2)).stdin(source);
        let result = run_with(&engine(), counting(&dir, "cat; [ $n = 2 ]"), options).await;
        assert_eq!((result.success, result.stdout.as_str()), (true, expected));
    }
}

// ------------------------------------------------------------------------------------- settings

#[tokio::test]
async fn invalid_retry_settings_are_refused() {
    let cases = [
        ("attempts", retrying(RetryPolicy::new(0))),
        ("multiplier", retrying(RetryPolicy::new(2).multiplier(0))),
        ("retry_on names no failure", retrying(RetryPolicy::new(2).retry_on([]))),
        (
            "retry_on names no failure",
            retrying(RetryPolicy::new(2).retry_on([RetryOn::ExitCode(0)])),
        ),
        ("piped", retrying(RetryPolicy::new(2)).stdin(StdinSource::Piped)),
    ];
    let engine = engine();
    for (words, options) in cases {
        let error = engine.execute_with(shell("true"), options).await.unwrap_err();
        assert_eq!(error.error_code(), "invalid_option");
        assert!(
            error.to_string().contains("retry") && error.to_string().contains(words),
            "{error}"
        );
    }
    assert_eq!(engine.total_count().await, 0);
}

#[tokio::test]
async fn queued_execution_is_retried() {
    let dir = TempDir::new().unwrap();
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
        .admission(Admission::Queue { max_waiting: 5 })
        .build()
        .unwrap();
    let holder = engine.execute(shell("sleep 60")).await.unwrap();
    let request = counting(&dir, "[ $n = 2 ]");
    let id = engine.execute_with(request, retrying(at_once(2))).await.unwrap();
    engine.cancel(holder).await.unwrap();
    let result = soon("the ending", engine.wait_for_completion(id)).await.unwrap();
    assert!(result.success && result.waited > Duration::ZERO);
    assert!(result.earlier_attempts[0].started_at >= result.started_at);
}

#[tokio::test]
async fn plan_step_is_retried() {
    let dir = TempDir::new().unwrap();
    let plan = ExecutionPlan::builder()
        .step("flaky", counting(&dir, "echo $n; [ $n = 3 ]"))
        .retry(at_once(3))
        .step("after", shell("echo after $N"))
        .env_from("N", "flaky")
        .build()
        .unwrap();
    let result = soon("the plan", engine().run_plan(plan)).await.unwrap();
    assert_eq!(result.results[0].earlier_attempts.len(), 2);
    assert_eq!(result.results[1].stdout, "after 3\n");
}

#[test]
fn retry_of_a_step_keeps_its_other_options() {
    let policy = || RetryPolicy::new(3);
    let merged = ExecutionOptions::default().output(OutputMode::Merged);
    let plan = ExecutionPlan::builder()
        .step("with options", shell("true"))
        .retry(policy())
        .options(ExecutionOptions::default().priority(5))
        .step("with defaults", shell("true"))
        .retry(policy())
        .step("without", shell("true"))
        .defaults(merged.clone())
        .build()
        .unwrap();
    let expected = [
        Some(ExecutionOptions::default().priority(5).retry(policy())),
        Some(merged.retry(policy())),
        None,
    ];
    assert!(plan.options.steps.iter().map(|step| &step.options).eq(&expected), "{plan:?}");
}

#[tokio::test]
async fn cancelled_plan_ends_the_retry_delay_of_its_step() {
    let (engine, recorder) = watched(ExecutionEngine::builder());
    let plan = ExecutionPlan::serial([shell("exit 1"), shell("true")]);
    let (id, first) = (plan.id, plan.commands[0].id);
    let options = PlanOptions::default().defaults(retrying(much_later(2)));
    engine.execute_plan(PlanSpec::new(plan, options)).await.unwrap();
    recorder.when(first, has_retrying).await;
    engine.cancel_plan(id).await.unwrap();
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.results[0].ending, Ending::Cancelled);
    assert_eq!(endings(&result.results[0]), [Ending::Exited { code: 1 }]);
}

#[tokio::test]
async fn retry_round_trips_as_json() {
    let text = r#"{"retry": {"attempts": 4, "initial_delay_ms": 50, "jitter": "full",
        "retry_on": [{"type": "timeout"}, {"type": "exit_code", "code": 75}]}}"#;
    let options: ExecutionOptions = serde_json::from_str(text).unwrap();
    let expected = RetryPolicy::new(4)
        .initial_delay(Duration::from_millis(50))
        .jitter(Jitter::Full)
        .retry_on([RetryOn::Timeout, RetryOn::ExitCode(75)]);
    assert_eq!(options.retry, Some(expected));
    let again = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<ExecutionOptions>(&again).unwrap(), options);

    let result = run_with(&engine(), shell("exit 1"), retrying(at_once(2))).await;
    let text = serde_json::to_string(&result).unwrap();
    let read: ExecutionResult = serde_json::from_str(&text).unwrap();
    assert_eq!(endings(&read), endings(&result));
}
