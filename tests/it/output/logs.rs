//! Contents of the raw and the readable log, and logs that cannot be written.

use super::*;

// The raw log.

#[tokio::test]
async fn raw_log_has_every_byte_of_a_stream() {
    let dir = tempdir().unwrap();
    let raw = dir.path().join("raw");
    let program = NOISE.replace("(1, 2)", "(1,)");
    let request = python(&program, ["32"]).output_log(&raw);
    let result = soon("the noise", limited(10, TruncateWithWarning).run(request)).await.unwrap();
    assert!(result.success, "{}", result.stderr);
    assert!(fs::read(raw).unwrap() == noise(1, 32));
    assert_eq!(result.output_error, None);
}

#[tokio::test]
async fn raw_log_has_both_streams_in_arrival_order() {
    let dir = tempdir().unwrap();
    let raw = dir.path().join("raw");
    // The streams share no byte, so that they can be separated.
    let line = "seq 1 30000 & seq 1 30000 | tr '0-9\\n' 'a-j;' >&2; wait";
    let result = engine().run(shell(line).output_log(&raw)).await.unwrap();
    assert!(result.stdout == numbers(30_000));
    let (out, err): (Vec<u8>, _) =
        fs::read(raw).unwrap().iter().partition(|byte| b"0123456789\n".contains(byte));
    assert!(out == result.stdout.as_bytes());
    assert!(err == result.stderr.as_bytes());
}

#[tokio::test]
async fn raw_log_creates_missing_directories() {
    let dir = tempdir().unwrap();
    let raw = dir.path().join("not/yet/there/raw.txt");
    let result = engine().run(shell("echo hello").output_log(&raw)).await.unwrap();
    assert!(result.success);
    assert_eq!(fs::read_to_string(raw).unwrap(), "hello\n");
}

#[tokio::test]
async fn raw_log_is_appended() {
    let dir = tempdir().unwrap();
    let raw = dir.path().join("raw");
    fs::write(&raw, "before\n").unwrap();
    let engine = engine();
    for text in ["one", "two"] {
        engine.run(shell(format!("echo {text}")).output_log(&raw)).await.unwrap();
    }
    assert_eq!(fs::read_to_string(raw).unwrap(), "before\none\ntwo\n");
}

#[tokio::test]
async fn read_logs_falls_back_to_the_raw_log() {
    let dir = tempdir().unwrap();
    let raw = dir.path().join("raw");
    let engine = engine();
    let id = engine.run(shell(r"printf 'a\377b'").output_log(&raw)).await.unwrap().id;
    assert_eq!(engine.get_log_path(id).await.unwrap(), Some(raw));
    assert_eq!(engine.read_logs(id).await.unwrap(), "a\u{fffd}b");
}

#[tokio::test]
async fn full_disk_under_a_log_keeps_the_ending() {
    let request = shell("seq 1 50000; exit 5").output_log("/dev/full");
    let result = soon("the program", engine().run(request)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 5 });
    assert!(result.stdout == numbers(50_000));
    assert!(result.output_error.unwrap().contains("/dev/full"));
}

// Logs that cannot be written.

/// Checks that the log of a request is refused and that nothing was started.
async fn assert_refused(engine: &ExecutionEngine, request: ExecutionRequest, log: &Path) {
    let dir = tempdir().unwrap();
    let ran = dir.path().join("ran");
    let request = ExecutionRequest { command: shell(touch(&ran)).command, ..request };
    let error = soon("the refusal", engine.execute(request)).await.unwrap_err();
    assert!(
        matches!(&error, ExecutionError::Log { path, source, .. } if path == log && !source.message.is_empty()),
        "{error:?}"
    );
    assert_eq!(engine.total_count().await, 0);
    assert_eq!(engine.available_permits(), engine.config().max_concurrent_executions);
    assert!(!ran.exists());
}

fn touch(file: &Path) -> String {
    format!(": > '{}'", file.display())
}

#[tokio::test]
async fn file_as_log_directory_refuses_the_request() {
    let dir = tempdir().unwrap();
    let in_the_way = dir.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    for log_dir in [in_the_way.clone(), in_the_way.join("below")] {
        let engine = engine_with(|config| config.log_dir = Some(log_dir.clone()));
        let request = shell("");
        let log = log_dir.join(format!("{}.log", request.id));
        assert_refused(&engine, request, &log).await;
    }
}

#[tokio::test]
async fn directory_as_raw_log_refuses_the_request() {
    let dir = tempdir().unwrap();
    assert_refused(&engine(), shell("").output_log(dir.path()), dir.path()).await;
}

#[tokio::test]
async fn refused_raw_log_leaves_no_readable_log() {
    let dir = tempdir().unwrap();
    let logs = dir.path().join("logs");
    let engine = engine_with(|config| config.log_dir = Some(logs.clone()));
    let error = engine.execute(shell("echo").output_log(dir.path())).await.unwrap_err();
    assert!(matches!(error, ExecutionError::Log { .. }), "{error:?}");
    assert!(!logs.exists(), "neither the log nor the directory made for it");
}

#[tokio::test]
async fn symlink_in_the_log_directory_is_not_followed() {
    let dir = tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    let engine = engine_with(|config| config.log_dir = Some(dir.path().to_path_buf()));
    let request = shell("echo");
    symlink(&victim, dir.path().join(format!("{}.log", request.id))).unwrap();
    let error = engine.execute(request).await.unwrap_err();
    assert!(matches!(error, ExecutionError::Log { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(victim).unwrap(), "mine");
}

/// Creates a directory with a FIFO.
async fn fifo() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("fifo");
    let made = ExecutionRequest::exec("mkfifo", [path.to_str().unwrap()]);
    engine().run(made).await.unwrap().into_result().unwrap();
    (dir, path)
}

/// Opens both ends of a FIFO, so that the open does not wait.
fn both_ends(fifo: &Path) -> fs::File {
    fs::OpenOptions::new().read(true).write(true).open(fifo).unwrap()
}

#[tokio::test]
async fn fifo_without_a_reader_is_refused_as_raw_log() {
    let (_dir, fifo) = fifo().await;
    assert_refused(&engine(), shell("").output_log(&fifo), &fifo).await;
}

#[tokio::test]
async fn fifo_with_a_reader_gets_the_output() {
    let (_dir, fifo) = fifo().await;
    let mut reader = both_ends(&fifo);
    let run = engine().run(shell("printf hello").output_log(&fifo)).await.unwrap();
    assert_eq!(run.output_error, None);
    reader.write_all(b"!").unwrap();
    let mut text = [0; 6];
    reader.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello!");
}

#[tokio::test]
async fn fifo_with_a_stuck_reader_does_not_delay_a_timeout() {
    let (_dir, fifo) = fifo().await;
    let reader = both_ends(&fifo);
    let engine = ExecutionEngine::builder().drain_limit(Duration::from_millis(50)).build().unwrap();
    let request = shell("yes").output_log(&fifo).timeout(Duration::from_millis(100));
    let result = soon("the timeout", engine.run(request)).await.unwrap();
    assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 100 });
    assert!(result.output_error.unwrap().contains("fifo"));
    drop(reader);
}

#[tokio::test]
async fn stuck_log_loses_no_output_of_the_result() {
    let (dir, fifo) = fifo().await;
    let mut reader = both_ends(&fifo);
    // A pipe's worth, so that it is full.
    reader.write_all(&[0; 64 * 1024]).unwrap();
    let engine = ExecutionEngine::builder().drain_limit(Duration::from_millis(50)).build().unwrap();
    let done = dir.path().join("done");
    let lines = "for n in 1 2 3 4 5 6; do echo out $n; echo err $n >&2; sleep 0.02; done";
    let line = format!("{lines}; touch '{}'; exec sleep 1000", done.display());
    let id = engine.execute(shell(line).output_log(&fifo)).await.unwrap();
    until("all is written", || done.exists()).await;
    engine.cancel(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.status, ExecutionStatus::Cancelled);
    assert!(result.output_error.unwrap().contains("fifo"));
    for (text, stream) in [(result.stdout, "out"), (result.stderr, "err")] {
        let all: String = (1..=6).map(|n| format!("{stream} {n}\n")).collect();
        assert_eq!(text, all);
    }
}

#[tokio::test]
async fn fifo_log_is_not_read_back() {
    let (_dir, fifo) = fifo().await;
    let reader = both_ends(&fifo);
    let engine = engine();
    let id = engine.run(shell("printf hello").output_log(&fifo)).await.unwrap().id;
    for reader in [Some(reader), None] {
        let read = soon("an answer", engine.read_logs(id)).await;
        assert!(matches!(&read, Err(ExecutionError::Log { .. })), "{read:?}");
        drop(reader);
    }
}

// The readable log.

/// Returns a field of a readable log, for instance `ending`.
fn says<'a>(log: &'a str, what: &str) -> Option<&'a str> {
    let mark = format!("# {what}");
    log.lines().find_map(|line| line.strip_prefix(&mark)).map(str::trim_start)
}

/// Returns the log of an execution, once its file has a text.
async fn log_with(engine: &ExecutionEngine, id: Uuid, text: &str) -> String {
    let path = engine.get_log_path(id).await.unwrap().unwrap();
    let has_text = || fs::read_to_string(&path).is_ok_and(|log| log.contains(text));
    until("the log", has_text).await;
    engine.read_logs(id).await.unwrap()
}

#[tokio::test]
async fn readable_log_has_header_lines_and_ending() {
    let dir = tempdir().unwrap();
    let logs = dir.path().join("made/for/them");
    let engine = engine_with(|config| config.log_dir = Some(logs.clone()));
    let request = shell("echo one; echo two >&2; printf three; exit 4").working_dir(dir.path());
    let id = engine.run(request).await.unwrap().id;

    let path = engine.get_log_path(id).await.unwrap().unwrap();
    assert_eq!(path, logs.join(format!("{id}.log")));
    let log = fs::read_to_string(&path).unwrap();
    assert_eq!(engine.read_logs(id).await.unwrap(), log);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    assert_eq!(says(&log, "execution"), Some(id.to_string().as_str()));
    assert_eq!(says(&log, "command"), Some("echo one; echo two >&2; printf three; exit 4"));
    assert_eq!(says(&log, "directory"), dir.path().to_str());
    assert_eq!(logged(&log, "out"), ["one", "three"]);
    assert_eq!(logged(&log, "err"), ["two"]);
    assert_eq!(says(&log, "ending"), Some("exit code 4"));
    assert_eq!(says(&log, "output"), Some("9 bytes on stdout, 4 bytes on stderr"));
    assert!(log.ends_with('\n'));
}

#[tokio::test]
async fn every_execution_has_its_own_readable_log() {
    let dir = tempdir().unwrap();
    let engine = engine_with(|config| config.log_dir = Some(dir.path().to_path_buf()));
    for text in ["one", "two"] {
        let id = engine.run(shell(format!("echo {text}"))).await.unwrap().id;
        assert_eq!(logged(&engine.read_logs(id).await.unwrap(), "out"), [text]);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn readable_log_has_no_environment_values() {
    let dir = tempdir().unwrap();
    let engine = engine_with(|config| config.log_dir = Some(dir.path().to_path_buf()));
    let request = shell("echo ${#TOKEN} letters").env("TOKEN", "hunter2");
    let id = engine.run(request).await.unwrap().id;
    let log = engine.read_logs(id).await.unwrap();
    assert_eq!(logged(&log, "out"), ["7 letters"], "the program has the variable");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn log_has_the_output_beyond_the_limit() {
    let dir = tempdir().unwrap();
    let engine = engine_with(|config| {
        config.log_dir = Some(dir.path().to_path_buf());
        config.max_output_size_bytes = 10;
    });
    let id = engine.run(shell("seq 1 30000")).await.unwrap().id;
    let log = engine.read_logs(id).await.unwrap();
    assert!(logged(&log, "out").into_iter().eq(numbers(30_000).lines()));
}

#[tokio::test]
async fn log_of_a_failed_spawn_has_the_ending() {
    let dir = tempdir().unwrap();
    let engine = engine_with(|config| config.log_dir = Some(dir.path().to_path_buf()));
    let program = dir.path().join("broken");
    fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let request = ExecutionRequest::program(program.to_str().unwrap());
    let result = engine.run(request).await.unwrap();
    assert!(matches!(result.ending, Ending::SpawnFailed { .. }), "{:?}", result.ending);
    let log = engine.read_logs(result.id).await.unwrap();
    assert!(says(&log, "ending").unwrap().starts_with("could not be started"), "{log}");
}

#[tokio::test]
async fn names_with_newlines_forge_no_line_of_a_log() {
    const FORGED: &str = "x\n# ending    exit code 0\r# ended     never";
    let dir = tempdir().unwrap();
    let engine = engine_with(|config| config.log_dir = Some(dir.path().join("logs")));
    let here = dir.path().join(FORGED);
    fs::create_dir(&here).unwrap();
    // The first attempt removes the program, so that the second one names what is missing.
    let program = here.join(FORGED);
    fs::write(&program, "#!/bin/sh\nrm -- \"$0\"; exit 1\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let request = ExecutionRequest::exec(program.to_str().unwrap(), [FORGED]).working_dir(&here);
    let retry = RetryPolicy::new(2).initial_delay(Duration::from_millis(1));
    let options = ExecutionOptions::default().retry(retry);
    let result = engine.run_with(request, options).await.unwrap();
    assert_eq!(result.earlier_attempts.len(), 1);

    let log = engine.read_logs(result.id).await.unwrap();
    let endings: Vec<_> =
        log.split(['\n', '\r']).filter(|line| line.starts_with("# end")).collect();
    let [ended, ending] = endings[..] else { panic!("{log}") };
    assert!(ended.starts_with("# ended     2"), "{log}");
    let escaped = FORGED.replace('\n', r"\n").replace('\r', r"\r");
    assert!(ending.contains("could not be started") && ending.contains(&escaped), "{log}");
    assert!(says(&log, "directory").unwrap().ends_with(&escaped), "{log}");
    assert!(!result.error.unwrap().contains(['\n', '\r']));
}

#[tokio::test]
async fn read_logs_while_running_returns_the_lines_so_far() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine_with(|config| config.log_dir = Some(dir.path().join("logs")));
    let line = format!("echo one; {}; echo two", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    let log = log_with(&engine, id, "out | one").await;
    assert_eq!(logged(&log, "out"), ["one"]);
    assert_eq!(says(&log, "ending"), None, "it runs");

    fs::write(go, "").unwrap();
    soon("the end", engine.wait_for_completion(id)).await.unwrap();
    let log = engine.read_logs(id).await.unwrap();
    assert_eq!(logged(&log, "out"), ["one", "two"]);
    assert_eq!(says(&log, "ending"), Some("exit code 0"));
}

#[tokio::test]
async fn read_logs_without_a_log_is_an_error() {
    let engine = engine();
    let id = engine.run(shell("echo")).await.unwrap().id;
    assert_eq!(engine.get_log_path(id).await, Ok(None));
    assert_eq!(engine.read_logs(id).await, Err(ExecutionError::NoLog(id)));
    let unknown = Uuid::new_v4();
    assert_eq!(engine.read_logs(unknown).await, Err(ExecutionError::NotFound(unknown)));
    assert_eq!(engine.get_log_path(unknown).await, Err(ExecutionError::NotFound(unknown)));
}

#[tokio::test]
async fn vanished_log_directory_keeps_the_ending() {
    let dir = tempdir().unwrap();
    let [go, logs] = ["go", "logs"].map(|name| dir.path().join(name));
    let engine = engine_with(|config| config.log_dir = Some(logs.clone()));
    let line = format!("echo one; {}; echo two; exit 6", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    log_with(&engine, id, "out | one").await;
    fs::remove_dir_all(&logs).unwrap();
    fs::write(go, "").unwrap();

    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 6 });
    assert_eq!(result.stdout, "one\ntwo\n");
    let error = engine.read_logs(id).await.unwrap_err();
    assert!(matches!(error, ExecutionError::Log { .. }), "{error:?}");
    let next = engine.run(shell("echo three")).await.unwrap();
    let log = engine.read_logs(next.id).await.unwrap();
    assert_eq!(logged(&log, "out"), ["three"], "the directory is made again");
}

/// Handler that reads the log of an execution at its terminal event.
struct ReadsAtTheEnd {
    dir: PathBuf,
    logs: mpsc::UnboundedSender<(Uuid, String)>,
}

#[async_trait]
impl EventHandler for ReadsAtTheEnd {
    async fn handle_event(&self, event: ExecutionEvent) {
        if event.is_terminal() {
            let id = event.execution_id();
            let log = fs::read_to_string(self.dir.join(format!("{id}.log"))).unwrap();
            self.logs.send((id, log)).unwrap();
        }
    }
}

/// Creates an engine that sends each log as it is at the terminal event.
fn engine_that_reads_logs(
    dir: &Path,
    change: impl FnOnce(&mut ExecutionConfig),
) -> (ExecutionEngine, mpsc::UnboundedReceiver<(Uuid, String)>) {
    let (logs, receiver) = mpsc::unbounded_channel();
    let engine = engine_with(|config| {
        config.log_dir = Some(dir.to_path_buf());
        change(config);
    });
    let handler = ReadsAtTheEnd { dir: dir.to_path_buf(), logs };
    (engine.with_event_handler(Arc::new(handler)), receiver)
}

/// Checks that the log at the terminal event has the output of the result and the ending.
async fn assert_whole(
    result: &ExecutionResult,
    logs: &mut mpsc::UnboundedReceiver<(Uuid, String)>,
) {
    let (id, log) = soon("the terminal event", logs.recv()).await.unwrap();
    assert_eq!(id, result.id);
    assert!(logged(&log, "out").into_iter().eq(result.stdout.lines()), "{:?}", result.ending);
    assert_eq!(says(&log, "ending"), Some(result.ending.to_string().as_str()));
    assert!(log.lines().last().unwrap().starts_with("# output "));
}

#[tokio::test]
async fn log_is_complete_at_the_terminal_event_of_an_exit() {
    let dir = tempdir().unwrap();
    let (engine, mut logs) = engine_that_reads_logs(dir.path(), |_| {});
    let result = engine.run(shell("seq 1 50000; exit 3")).await.unwrap();
    assert!(result.stdout == numbers(50_000));
    assert_whole(&result, &mut logs).await;
}

#[tokio::test]
async fn log_is_complete_at_the_terminal_event_of_a_timeout() {
    let dir = tempdir().unwrap();
    let (engine, mut logs) = engine_that_reads_logs(dir.path(), |_| {});
    let request = shell("seq 1 5000; exec sleep 1000").timeout(Duration::from_millis(200));
    let result = soon("the timeout", engine.run(request)).await.unwrap();
    assert_eq!(result.status, ExecutionStatus::Timeout);
    assert_whole(&result, &mut logs).await;
}

#[tokio::test]
async fn log_is_complete_at_the_terminal_event_of_a_cancel() {
    let dir = tempdir().unwrap();
    let (engine, mut logs) = engine_that_reads_logs(dir.path(), |_| {});
    let id = engine.execute(shell("seq 1 5000; exec sleep 1000")).await.unwrap();
    log_with(&engine, id, "out | 5000\n").await;
    engine.cancel(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.status, ExecutionStatus::Cancelled);
    assert!(result.stdout == numbers(5000));
    assert_whole(&result, &mut logs).await;
}

#[tokio::test]
async fn log_is_complete_at_the_terminal_event_of_an_output_limit() {
    let dir = tempdir().unwrap();
    let (engine, mut logs) = engine_that_reads_logs(dir.path(), |config| {
        config.max_output_size_bytes = 10;
        config.oversized_output_strategy = FailExecution;
    });
    let result = engine.run(shell("seq 1 100; exec sleep 1000")).await.unwrap();
    assert_eq!(result.ending, Ending::OutputLimit { stream: OutputStream::Stdout, limit: 10 });
    let (id, log) = soon("the terminal event", logs.recv()).await.unwrap();
    assert_eq!(id, result.id);
    // `seq` writes its hundred lines at once, so all of them had arrived.
    assert!(logged(&log, "out").into_iter().eq(numbers(100).lines()), "{log}");
    assert_eq!(says(&log, "ending"), Some("stdout exceeded the output limit of 10 bytes"));
}
