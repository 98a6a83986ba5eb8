//! Every way an execution can end: result, status, error and events tell the same story, once, and
//! the same story in JSON.

use std::fs;
use std::future::Future as _;
use std::path::Path;
use std::task::{Context, Waker};

use execution_engine::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::*;

const SIGTERM: i32 = 15;
const ENOENT: i32 = 2;
const ENOEXEC: i32 = 8;

/// An engine and what its handler was told.
struct Observed {
    engine: ExecutionEngine,
    recorder: Arc<Recorder>,
}

impl Observed {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut ExecutionConfig)) -> Self {
        let recorder = Recorder::new();
        let handler = Arc::clone(&recorder) as Arc<dyn EventHandler>;
        Self { engine: engine_with(change).with_event_handler(handler), recorder }
    }

    async fn start(&self, request: ExecutionRequest) -> Uuid {
        self.engine.execute(request).await.unwrap()
    }

    async fn ended(&self, id: Uuid) -> ExecutionResult {
        soon("the ending", self.engine.wait_for_completion(id)).await.unwrap()
    }

    /// Waits until the program has written its first line, so that it surely does something.
    async fn is_busy(&self, id: Uuid) {
        self.recorder.when(id, |events| !lines_of(events, OutputStream::Stdout).is_empty()).await;
    }

    /// Runs to the end and checks that everything tells this story.
    async fn tells(&self, request: ExecutionRequest, story: &Story) -> ExecutionResult {
        let id = self.start(request).await;
        self.agrees(id, story).await
    }

    /// Waits for the end and checks that everything tells this story.
    async fn agrees(&self, id: Uuid, story: &Story) -> ExecutionResult {
        let result = self.ended(id).await;
        assert_eq!(result.id, id);
        assert_eq!(result.status, story.status);
        assert_eq!(result.success, story.status == ExecutionStatus::Completed);
        assert_eq!(result.exit_code, story.exit_code);
        assert_eq!(result.signal, story.signal);
        assert_eq!(result.error.as_deref(), story.message);
        assert_eq!(result.clone().into_result().err(), story.error);
        assert_eq!(result.ending.error(), story.error);
        assert_eq!(result.usage.is_some(), story.started);
        assert!(result.completed_at >= result.started_at);
        assert!(result.containment.survivors.is_empty());

        assert_eq!(self.engine.get_status(id).await, Ok(story.status));
        assert_eq!(self.engine.get_result(id).await, Ok(Some(result.clone())));
        let all = self.engine.list_executions().await;
        let summary = all.iter().find(|summary| summary.id == id).unwrap();
        assert_eq!((summary.status, summary.duration), (result.status, result.duration));
        assert_eq!(summary.ending.as_ref(), Some(&result.ending));

        let events = self.recorder.all_of(id).await;
        check_order(&events, story.started, story.status);
        assert_eq!(events.last(), Some(&(story.event)(&result)));
        result
    }
}

/// What is to be told of one ending.
struct Story {
    started: bool,
    status: ExecutionStatus,
    exit_code: i32,
    signal: Option<i32>,
    message: Option<&'static str>,
    error: Option<ExecutionError>,
    event: fn(&ExecutionResult) -> ExecutionEvent,
}

fn completed(result: &ExecutionResult) -> ExecutionEvent {
    ExecutionEvent::Completed {
        execution_id: result.id,
        success: result.success,
        exit_code: result.exit_code,
        duration: result.duration,
    }
}

fn failed(result: &ExecutionResult) -> ExecutionEvent {
    let error = result.error.clone().unwrap();
    ExecutionEvent::Failed { execution_id: result.id, error, duration: result.duration }
}

fn cancelled(result: &ExecutionResult) -> ExecutionEvent {
    ExecutionEvent::Cancelled { execution_id: result.id, duration: result.duration }
}

/// The story of a program that ran until it was cancelled.
fn cancelled_story() -> Story {
    Story {
        started: true,
        status: ExecutionStatus::Cancelled,
        exit_code: -1,
        signal: Some(SIGTERM),
        message: Some("cancelled"),
        error: Some(ExecutionError::Cancelled),
        event: cancelled,
    }
}

/// Started first, if at all; one terminal event, last; and each change of status goes on from the
/// one before, from pending to the ending.
fn check_order(events: &[ExecutionEvent], started: bool, end: ExecutionStatus) {
    let is_start = |event: &&ExecutionEvent| matches!(event, ExecutionEvent::Started { .. });
    assert_eq!(events.iter().filter(is_start).count(), usize::from(started), "{events:?}");
    assert_eq!(is_start(&&events[0]), started, "{events:?}");
    assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1, "{events:?}");
    assert!(events.last().is_some_and(ExecutionEvent::is_terminal), "{events:?}");

    let mut statuses = vec![ExecutionStatus::Pending];
    for event in events {
        if let ExecutionEvent::StatusChanged { from, to, .. } = event {
            assert_eq!(statuses.last(), Some(from), "{events:?}");
            statuses.push(*to);
        }
    }
    let expected = if started {
        vec![ExecutionStatus::Pending, ExecutionStatus::Running, end]
    } else {
        vec![ExecutionStatus::Pending, end]
    };
    assert_eq!(statuses, expected, "{events:?}");
}

// ------------------------------------------------------------------------------------ by themselves

#[tokio::test]
async fn exit_code_0_is_a_success() {
    let story = Story {
        started: true,
        status: ExecutionStatus::Completed,
        exit_code: 0,
        signal: None,
        message: None,
        error: None,
        event: completed,
    };
    let result = Observed::new().tells(shell("echo done"), &story).await;
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    assert_eq!(result.clone().into_result(), Ok(result));
}

#[tokio::test]
async fn another_exit_code_is_a_failure_that_names_it() {
    for code in [1, 7, 127, 255] {
        let story = Story {
            started: true,
            status: ExecutionStatus::Failed,
            exit_code: code,
            signal: None,
            message: None,
            error: Some(ExecutionError::ExitCode(code)),
            event: completed,
        };
        let result = Observed::new().tells(shell(format!("exit {code}")), &story).await;
        assert_eq!(result.ending, Ending::Exited { code });
    }
}

#[tokio::test]
async fn a_signal_is_a_failure_that_names_the_signal() {
    let signals = [
        ("KILL", 9, "killed by SIGKILL"),
        ("TERM", 15, "killed by SIGTERM"),
        ("PIPE", 13, "killed by SIGPIPE"),
    ];
    for (name, signal, message) in signals {
        let story = Story {
            started: true,
            status: ExecutionStatus::Failed,
            exit_code: -1,
            signal: Some(signal),
            message: Some(message),
            error: Some(ExecutionError::Signaled(signal)),
            event: completed,
        };
        let result = Observed::new().tells(shell(format!("kill -{name} $$")), &story).await;
        assert_eq!(result.ending, Ending::Signaled { signal, core_dumped: false });
    }
}

#[tokio::test]
async fn a_crash_is_a_failure_that_names_the_signal() {
    let observed = Observed::new();
    let id = observed.start(shell("ulimit -c 0; kill -SEGV $$")).await;
    // The system may hand the core to a program of its own all the same.
    let ending = observed.ended(id).await.ending;
    let Ending::Signaled { signal: 11, core_dumped } = ending else {
        panic!("it ended otherwise: {ending:?}");
    };
    let (plain, dumped) = ("killed by SIGSEGV", "killed by SIGSEGV (core dumped)");
    let story = Story {
        started: true,
        status: ExecutionStatus::Failed,
        exit_code: -1,
        signal: Some(11),
        message: Some(if core_dumped { dumped } else { plain }),
        error: Some(ExecutionError::Signaled(11)),
        event: completed,
    };
    observed.agrees(id, &story).await;
}

// -------------------------------------------------------------------------------------- by the engine

#[tokio::test]
async fn a_timeout_stops_the_program_and_names_the_limit() {
    let story = Story {
        started: true,
        status: ExecutionStatus::Timeout,
        exit_code: -1,
        signal: Some(SIGTERM),
        message: Some("timed out after 50 ms"),
        error: Some(ExecutionError::TimedOut(50)),
        event: |result| ExecutionEvent::Timeout {
            execution_id: result.id,
            timeout_ms: 50,
            duration: result.duration,
        },
    };
    let request = shell("exec sleep 1000").timeout(Duration::from_millis(50));
    let result = Observed::new().tells(request, &story).await;
    assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 50 });
    assert!(result.duration >= Duration::from_millis(50), "{result:?}");
}

#[tokio::test]
async fn the_default_timeout_is_that_of_the_configuration() {
    let observed = Observed::with(|config| config.default_timeout_ms = 50);
    let id = observed.start(shell("exec sleep 1000")).await;
    assert_eq!(observed.ended(id).await.ending, Ending::TimedOut { timeout_ms: 50 });
}

#[tokio::test]
async fn cancelled_at_once_is_cancelled() {
    let observed = Observed::new();
    let id = observed.start(shell("exec sleep 1000")).await;
    observed.engine.cancel(id).await.unwrap();
    let result = observed.agrees(id, &cancelled_story()).await;
    assert_eq!(result.ending, Ending::Cancelled);
}

#[tokio::test]
async fn cancelled_while_it_is_busy_is_cancelled_with_its_output() {
    let observed = Observed::new();
    let id = observed.start(shell("echo busy; exec sleep 1000")).await;
    observed.is_busy(id).await;
    observed.engine.cancel(id).await.unwrap();
    let result = observed.agrees(id, &cancelled_story()).await;
    assert_eq!(result.stdout, "busy\n");
    assert_eq!(result.containment.signal, Some(Signal::Terminate));
}

#[tokio::test]
async fn cancelled_it_is_cancelled_even_if_it_exits_with_0() {
    let observed = Observed::new();
    let line = "trap 'exit 0' TERM; echo busy; sleep 1000 & wait";
    let id = observed.start(shell(line)).await;
    observed.is_busy(id).await;
    observed.engine.cancel(id).await.unwrap();
    let story = Story { signal: None, ..cancelled_story() };
    observed.agrees(id, &story).await;
}

#[tokio::test]
async fn cancelled_twice_the_second_call_says_so() {
    let observed = Observed::new();
    let id = observed.start(shell("exec sleep 1000")).await;
    observed.engine.cancel(id).await.unwrap();
    let status = ExecutionStatus::Cancelled;
    let again = observed.engine.cancel(id).await;
    assert_eq!(again, Err(ExecutionError::AlreadyEnded { id, status }));
    observed.agrees(id, &cancelled_story()).await;
}

#[tokio::test]
async fn cancelled_after_its_end_it_keeps_its_own_ending() {
    let observed = Observed::new();
    let id = observed.start(shell("exit 7")).await;
    let before = observed.ended(id).await;
    let status = ExecutionStatus::Failed;
    assert_eq!(observed.engine.cancel(id).await, Err(ExecutionError::AlreadyEnded { id, status }));
    assert_eq!(observed.ended(id).await, before);
    let events = observed.recorder.all_of(id).await;
    check_order(&events, true, ExecutionStatus::Failed);
    assert_eq!(events.last(), Some(&completed(&before)));
}

#[tokio::test]
async fn cancelled_before_its_program_could_start_it_never_starts() {
    let dir = TempDir::new().unwrap();
    let program = executable(dir.path().join("tool"), b"#!/bin/sh\n");
    // A file that is open for writing cannot be executed; the engine tries again for a while.
    let writer = fs::OpenOptions::new().append(true).open(&program).unwrap();
    let observed = Observed::new();
    let id = observed.start(exec(&program)).await;
    observed.engine.cancel(id).await.unwrap();
    let story = Story { started: false, signal: None, ..cancelled_story() };
    let result = observed.agrees(id, &story).await;
    assert_eq!(result.ending, Ending::Cancelled);
    drop(writer);
}

#[tokio::test]
async fn too_much_output_stops_the_program_and_names_the_stream() {
    let cases = [
        (OutputStream::Stdout, "exec yes", "stdout exceeded the output limit of 1000 bytes"),
        (OutputStream::Stderr, "exec yes >&2", "stderr exceeded the output limit of 1000 bytes"),
    ];
    for (stream, line, message) in cases {
        let observed = Observed::with(|config| {
            config.max_output_size_bytes = 1000;
            config.oversized_output_strategy = OversizedOutputStrategy::FailExecution;
        });
        let id = observed.start(shell(line)).await;
        // Whether TERM or a closed pipe ends `yes` is its own affair.
        let signal = observed.ended(id).await.signal;
        let story = Story {
            started: true,
            status: ExecutionStatus::Failed,
            exit_code: -1,
            signal,
            message: Some(message),
            error: Some(ExecutionError::OutputSizeExceeded(1000)),
            event: failed,
        };
        let result = observed.agrees(id, &story).await;
        assert_eq!(result.ending, Ending::OutputLimit { stream, limit: 1000 });
        assert!(signal.is_some(), "{result:?}");
        let stats = match stream {
            OutputStream::Stdout => result.stdout_stats,
            OutputStream::Stderr => result.stderr_stats,
        };
        assert!(stats.kept_bytes <= 1000 && stats.seen_bytes > 1000, "{stats:?}");
    }
}

#[tokio::test]
async fn output_of_exactly_the_limit_is_no_failure() {
    let observed = Observed::with(|config| {
        config.max_output_size_bytes = 5;
        config.oversized_output_strategy = OversizedOutputStrategy::FailExecution;
    });
    let id = observed.start(shell("printf 12345")).await;
    let result = observed.ended(id).await;
    assert_eq!((result.ending, result.stdout.as_str()), (Ending::Exited { code: 0 }, "12345"));
}

// --------------------------------------------------------------------------------------- never started

/// Runs a program that cannot be executed, and checks what is told of it.
async fn spawn_fails(program: &Path, errno: i32, words: &[&str]) {
    let observed = Observed::new();
    let id = observed.start(exec(program)).await;
    let result = observed.ended(id).await;
    let Ending::SpawnFailed { reason, os_error } = &result.ending else {
        panic!("it ended otherwise: {result:?}");
    };
    assert_eq!(*os_error, Some(errno));
    for word in words {
        assert!(reason.contains(word), "{word:?} is not in {reason:?}");
    }
    assert_eq!(result.error, Some(format!("could not be started: {reason}")));
    assert_eq!((result.status, result.success), (ExecutionStatus::Failed, false));
    assert_eq!((result.exit_code, result.signal), (-1, None));
    assert_eq!(result.usage, None);
    let error = ExecutionError::SpawnFailed { reason: reason.clone(), os_error: *os_error };
    assert_eq!(result.clone().into_result(), Err(error));

    let events = observed.recorder.all_of(id).await;
    check_order(&events, false, ExecutionStatus::Failed);
    assert_eq!(events.last(), Some(&failed(&result)));
    assert_eq!(observed.engine.running_count().await, 0);
}

#[tokio::test]
async fn a_file_that_is_no_program_cannot_be_started() {
    let dir = TempDir::new().unwrap();
    let garbage = executable(dir.path().join("garbage"), b"\x00\x01\x02 no program\n");
    spawn_fails(&garbage, ENOEXEC, &["executing it", "not an executable", "set `interpreter`"])
        .await;
    let text = executable(dir.path().join("text"), b"echo no shebang line\n");
    spawn_fails(&text, ENOEXEC, &["executing it", "#! line", "set `interpreter`"]).await;
}

#[tokio::test]
async fn an_executable_script_whose_interpreter_is_missing_cannot_be_started() {
    let dir = TempDir::new().unwrap();
    let script = executable(dir.path().join("job"), b"#!/no/such/interpreter\n");
    spawn_fails(&script, ENOENT, &["executing it", "interpreter", "#! line"]).await;
}

#[tokio::test]
async fn arguments_that_are_too_long_cannot_be_started() {
    let observed = Observed::new();
    // The kernel takes 128 KiB for one argument.
    let request = ExecutionRequest::exec("/bin/true", ["x".repeat(200_000)]);
    let id = observed.start(request).await;
    let result = observed.ended(id).await;
    let Ending::SpawnFailed { reason, os_error: Some(7) } = &result.ending else {
        panic!("it ended otherwise: {result:?}");
    };
    assert!(reason.contains("too long"), "{reason}");
    let events = observed.recorder.all_of(id).await;
    check_order(&events, false, ExecutionStatus::Failed);
}

// ----------------------------------------------------------------------------------- engine dropped

#[tokio::test]
async fn an_engine_that_is_dropped_stops_its_program_and_tells_it() {
    let logs = TempDir::new().unwrap();
    let observed = Observed::with(|config| config.log_dir = Some(logs.path().to_path_buf()));
    let id = observed.start(shell("echo busy; exec sleep 1000")).await;
    observed.is_busy(id).await;
    let log = observed.engine.get_log_path(id).await.unwrap().unwrap();

    let Observed { engine, recorder } = observed;
    drop(engine);

    let events = recorder.all_of(id).await;
    check_order(&events, true, ExecutionStatus::Cancelled);
    assert!(matches!(events.last(), Some(ExecutionEvent::Cancelled { .. })), "{events:?}");
    let ExecutionEvent::Started { pid, .. } = events[0] else { unreachable!() };
    assert!(!is_alive(pid));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("# ending    stopped because the engine was closed\n"), "{log}");
}

#[tokio::test]
async fn a_waiter_on_another_task_keeps_the_engine_and_gets_the_programs_own_ending() {
    let dir = TempDir::new().unwrap();
    let engine = engine();
    let line = "mkfifo go && echo ready > ready; read word < go; echo $word";
    let id = engine.execute(shell(line).working_dir(dir.path())).await.unwrap();
    told(&dir.path().join("ready")).await;
    let waiter = tokio::spawn({
        let engine = engine.clone();
        async move { engine.wait_for_completion(id).await }
    });
    drop(engine);
    soon("the program reads", tokio::fs::write(dir.path().join("go"), "gone\n")).await.unwrap();
    let result = soon("the waiter", waiter).await.unwrap().unwrap();
    assert_eq!((result.ending, result.stdout.as_str()), (Ending::Exited { code: 0 }, "gone\n"));
}

#[test]
fn a_closed_engine_counts_as_cancelled_and_says_why() {
    let ending = Ending::EngineClosed;
    assert_eq!(ending.status(), ExecutionStatus::Cancelled);
    assert_eq!((ending.is_success(), ending.exit_code()), (false, -1));
    assert_eq!(ending.error(), Some(ExecutionError::ShuttingDown));
}

// -------------------------------------------------------------------------------------------- waiters

#[tokio::test]
async fn twenty_waiters_before_and_after_the_end_get_equal_results() {
    let observed = Observed::new();
    let id = observed.start(shell("exec sleep 1000")).await;
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let engine = observed.engine.clone();
        let mut waiter = Box::pin(async move { engine.wait_for_completion(id).await.unwrap() });
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(waiter.as_mut().poll(&mut nobody).is_pending());
        waiters.spawn(waiter);
    }
    observed.engine.cancel(id).await.unwrap();
    let early = soon("the early ones", waiters.join_all()).await;
    let mut late = Vec::new();
    for _ in 0..20 {
        late.push(observed.ended(id).await);
    }
    assert_eq!((early.len(), late.len()), (20, 20));
    assert_eq!(early[0].ending, Ending::Cancelled);
    assert!(early.iter().chain(&late).all(|result| *result == early[0]));
}

// ---------------------------------------------------------------------------------------------- usage

#[tokio::test]
async fn a_result_tells_the_time_and_memory_that_were_used() {
    let line = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
    let result = soon("the run", engine().run(shell(line))).await.unwrap();
    let usage = result.usage.unwrap();
    assert!(usage.user + usage.system > Duration::ZERO, "{usage:?}");
    assert_eq!(usage.peak_memory_bytes, None, "a shell takes less than this test");

    let much = ExecutionRequest::exec("python3", ["-c", "held = bytearray(300_000_000)"]);
    let usage = soon("the run", engine().run(much)).await.unwrap().usage.unwrap();
    let peak = usage.peak_memory_bytes.expect("more than this test takes");
    assert!((300_000_000..1 << 30).contains(&peak), "{usage:?}");
}

// ----------------------------------------------------------------------------------------------- JSON

/// Through JSON and back.
fn travelled<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// Whether an object of this type with one more field is refused, by the name of the field.
#[track_caller]
fn refuses_more<T: Serialize + DeserializeOwned>(value: &T, place: &str) {
    let mut json = serde_json::to_value(value).unwrap();
    json.pointer_mut(place).unwrap()["surprise"] = json!(1);
    let error = serde_json::from_value::<T>(json).err().unwrap().to_string();
    assert!(error.contains("surprise"), "{error}");
}

fn whole_ms(duration: Duration) -> Duration {
    Duration::from_millis(duration.as_millis().try_into().unwrap())
}

#[tokio::test]
async fn results_travel_through_json_with_durations_in_whole_milliseconds() {
    let engine = engine();
    for line in ["echo out; echo err >&2; printf '\\377'", "exit 7", "kill -KILL $$"] {
        let mut result = soon("the run", engine.run(shell(line))).await.unwrap();
        let back = travelled(&result);
        result.duration = whole_ms(result.duration);
        result.containment.took = whole_ms(result.containment.took);
        let usage = result.usage.as_mut().unwrap();
        (usage.user, usage.system) = (whole_ms(usage.user), whole_ms(usage.system));
        if let Some(tree) = &mut usage.tree {
            (tree.user, tree.system) = (whole_ms(tree.user), whole_ms(tree.system));
        }
        assert_eq!(back, result);
        assert_eq!(
            serde_json::to_value(&result).unwrap()["duration_ms"],
            json!(result.duration.as_millis())
        );
    }
}

fn commands() -> [Command; 4] {
    [
        Command::Script { path: "a b.py".into(), interpreter: Some("python3".to_string()) },
        Command::Exec { program: "ls".to_string(), args: vec!["-l".to_string(), String::new()] },
        Command::Shell { command: "ls | wc".to_string(), shell: "/bin/bash".to_string() },
        Command::AwsCli {
            service: "s3api".to_string(),
            operation: "list-buckets".to_string(),
            args: vec!["--max-items".to_string(), "3".to_string()],
            profile: Some("work".to_string()),
            region: None,
        },
    ]
}

#[test]
fn requests_with_each_command_travel_through_json_and_refuse_unknown_fields() {
    for command in commands() {
        let plain = ExecutionRequest::new(command.clone());
        assert_eq!(travelled(&plain), plain);
        let full = ExecutionRequest::new(command)
            .env("NAME", "value \u{fc} \n\"")
            .working_dir("/tmp")
            .timeout(Duration::from_secs(1))
            .output_log("/tmp/log")
            .description("what it is")
            .tag("nightly")
            .label("ticket", "42");
        assert_eq!(travelled(&full), full);
        for place in ["", "/command", "/metadata"] {
            refuses_more(&full, place);
        }
    }
}

#[test]
fn a_request_needs_no_more_than_its_command() {
    let json = r#"{"command":{"type":"shell","command":"ls"}}"#;
    let request: ExecutionRequest = serde_json::from_str(json).unwrap();
    let other: ExecutionRequest = serde_json::from_str(json).unwrap();
    assert_eq!(request, shell("ls").id(request.id));
    assert_ne!(request.id, other.id);

    let minimal = [
        json!({"type": "exec", "program": "ls"}),
        json!({"type": "script", "path": "a.sh"}),
        json!({"type": "aws_cli", "service": "s3api", "operation": "list-buckets"}),
    ];
    for command in minimal {
        serde_json::from_value::<ExecutionRequest>(json!({"command": command})).unwrap();
    }
    assert!(serde_json::from_str::<ExecutionRequest>("{}").is_err());
    assert!(serde_json::from_value::<Command>(json!({"type": "telepathy"})).is_err());
}

#[test]
fn configuration_and_options_travel_through_json_and_refuse_unknown_fields() {
    let config = ExecutionConfig {
        default_timeout_ms: u64::MAX,
        max_timeout_ms: u64::MAX,
        stream_output: false,
        log_dir: Some("/var/log/engine".into()),
        max_concurrent_executions: 1,
        max_in_memory_executions: 2,
        execution_retention_secs: 3,
        enable_auto_cleanup: false,
        max_output_size_bytes: usize::MAX,
        oversized_output_strategy: OversizedOutputStrategy::StreamToFile,
    };
    assert_eq!(travelled(&config), config);
    assert_eq!(travelled(&ExecutionConfig::default()), ExecutionConfig::default());
    assert_eq!(serde_json::from_str::<ExecutionConfig>("{}").unwrap(), ExecutionConfig::default());
    refuses_more(&config, "");

    let options = ExecutionOptions::default().stop_grace(Duration::from_millis(200));
    assert_eq!(travelled(&options), options);
    assert_eq!(serde_json::to_value(ExecutionOptions::default()).unwrap(), json!({}));
    assert_eq!(travelled(&ExecutionOptions::default()), ExecutionOptions::default());
    refuses_more(&options, "");
}

#[test]
fn endings_travel_through_json_under_stable_names() {
    let reason = || "no space".to_string();
    let cases = [
        ("exited", Ending::Exited { code: 7 }),
        ("signaled", Ending::Signaled { signal: 11, core_dumped: true }),
        ("timed_out", Ending::TimedOut { timeout_ms: 5 }),
        ("cancelled", Ending::Cancelled),
        ("output_limit", Ending::OutputLimit { stream: OutputStream::Stdout, limit: usize::MAX }),
        ("output_lost", Ending::OutputLost { stream: OutputStream::Stderr, reason: reason() }),
        ("spawn_failed", Ending::SpawnFailed { reason: reason(), os_error: Some(8) }),
        ("spawn_failed", Ending::SpawnFailed { reason: reason(), os_error: None }),
        ("status_unknown", Ending::StatusUnknown),
        ("resource_limit", Ending::ResourceLimit { limit: ResourceLimit::CpuTime }),
        ("engine_closed", Ending::EngineClosed),
        ("engine_failed", Ending::EngineFailed { reason: reason() }),
    ];
    for (name, ending) in cases {
        assert_eq!(travelled(&ending), ending);
        assert_eq!(serde_json::to_value(&ending).unwrap()["type"], name);
        assert!(ending.status().is_terminal());
        assert!(ending.error().is_some() && !ending.is_success());
    }
}

#[test]
fn events_travel_through_json_under_stable_names() {
    let execution_id = Uuid::new_v4();
    let duration = Duration::from_millis(1234);
    let (line, command) = ("caf\u{e9} \u{fffd}\"".to_string(), "ls 'a b'".to_string());
    let cases = [
        ("started", ExecutionEvent::Started { execution_id, command, pid: 42 }),
        ("stdout", ExecutionEvent::Stdout { execution_id, line: line.clone() }),
        ("stderr", ExecutionEvent::Stderr { execution_id, line: line.clone() }),
        (
            "status_changed",
            ExecutionEvent::StatusChanged {
                execution_id,
                from: ExecutionStatus::Running,
                to: ExecutionStatus::Timeout,
            },
        ),
        ("lines_missed", ExecutionEvent::LinesMissed { execution_id, count: 3 }),
        (
            "completed",
            ExecutionEvent::Completed { execution_id, success: false, exit_code: -1, duration },
        ),
        ("failed", ExecutionEvent::Failed { execution_id, error: line, duration }),
        ("cancelled", ExecutionEvent::Cancelled { execution_id, duration }),
        ("timeout", ExecutionEvent::Timeout { execution_id, timeout_ms: 5, duration }),
    ];
    for (name, event) in cases {
        assert_eq!(travelled(&event), event);
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!((&json["type"], &json["execution_id"]), (&json!(name), &json!(execution_id)));
        let told_ms = json.get("duration_ms").and_then(Value::as_u64);
        assert_eq!(told_ms, event.is_terminal().then_some(1234));
    }
}

// ---------------------------------------------------------------------------------------------- Debug

#[tokio::test]
async fn debug_output_shows_neither_values_of_variables_nor_megabytes() {
    let secret = "hunter2";
    let request = shell("head -c 3000000 /dev/zero | tr '\\0' x").env("PASSWORD", secret);
    let shown = format!("{request:?} {request:#?}");
    assert!(shown.contains("PASSWORD") && !shown.contains(secret), "{shown}");

    let engine = engine();
    let result = soon("the run", engine.run(request)).await.unwrap();
    assert_eq!(result.stdout.len(), 3_000_000);
    let shown = format!("{result:?} {:?}", engine.list_executions().await);
    assert!(shown.len() < 5000, "{} bytes", shown.len());
    assert!(shown.contains("3000000 bytes") && !shown.contains(secret), "{shown}");
}

#[tokio::test]
async fn debug_output_cuts_no_character_in_two() {
    // 200 bytes are shown, and byte 200 is the second one of a character.
    let line = "printf x; i=0; while [ $i -lt 200 ]; do printf '\\303\\274'; i=$((i+1)); done";
    let result = soon("the run", engine().run(shell(line))).await.unwrap();
    assert_eq!(result.stdout, format!("x{}", "\u{fc}".repeat(200)));
    assert!(format!("{result:?}").contains("(401 bytes)"));
}
