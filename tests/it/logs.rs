//! Logs at the end: complete at the terminal event of every ending, and removed with their records if
//! so configured.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use async_trait::async_trait;
use execution_engine::*;
use tempfile::tempdir;
use test_support::*;
use tokio::sync::mpsc;

/// Handler that reads both logs of an execution at its terminal event.
struct ReadsAtTheEnd {
    dir: PathBuf,
    read: mpsc::UnboundedSender<(Uuid, [String; 2])>,
}

#[async_trait]
impl EventHandler for ReadsAtTheEnd {
    async fn handle_event(&self, event: ExecutionEvent) {
        if event.is_terminal() {
            let id = event.execution_id();
            let read = |suffix| {
                let log = fs::read(self.dir.join(format!("{id}.{suffix}"))).unwrap_or_default();
                String::from_utf8(log).unwrap()
            };
            self.read.send((id, ["log", "raw"].map(read))).unwrap();
        }
    }
}

/// Returns the lines of a stream in a readable log.
fn logged<'a>(log: &'a str, stream: &'a str) -> impl Iterator<Item = &'a str> {
    let line = move |line: &'a str| line.split_once(&format!(" {stream} | ")).map(|(_, text)| text);
    log.lines().filter(|line| !line.starts_with('#')).filter_map(line)
}

/// Runs a request on an engine of its own, and checks its logs as they are at the terminal event.
async fn assert_complete(
    change: impl FnOnce(&mut ExecutionConfig),
    request: ExecutionRequest,
    options: ExecutionOptions,
    then: impl AsyncFnOnce(ExecutionEngine, Uuid),
    expected: &str,
) {
    let dir = tempdir().unwrap();
    let (sender, mut at_the_end) = mpsc::unbounded_channel();
    let handler = ReadsAtTheEnd { dir: dir.path().to_path_buf(), read: sender };
    let log_dir = Some(dir.path().to_path_buf());
    let mut config = ExecutionConfig { log_dir, ..Default::default() };
    change(&mut config);
    // No overflow file has room for anything.
    let builder = ExecutionEngine::builder().config(config).overflow_disk_limit(0);
    let engine = builder.event_handler(Arc::new(handler)).build().unwrap();
    let raw = dir.path().join(format!("{}.raw", request.id));
    let id = engine.execute_with(request.output_log(raw), options).await.unwrap();
    then(engine, id).await;

    let (told, [log, raw]) = soon("the terminal event", at_the_end.recv()).await.unwrap();
    assert_eq!(told, id);
    let ending = log.lines().find_map(|line| line.strip_prefix("# ending    "));
    assert!(ending.is_some_and(|ending| ending.contains(expected)), "{expected}: {ending:?}");
    let [out, err] = ["out", "err"].map(|stream| logged(&log, stream).collect::<Vec<_>>());
    assert!(log.lines().last().unwrap().starts_with("# output "), "{expected}");
    assert_eq!(out.len() + err.len(), raw.lines().count(), "{expected}");
    // A failed spawn has no output, and a timeout may come before all of the output.
    if !["could not be started", "timed out"].contains(&expected) {
        assert!(out.iter().copied().eq((1..=out.len()).map(|n| n.to_string())), "{expected}");
        assert_eq!(err, ["last words"], "{expected}");
        // A program above its output limit is stopped at once.
        let least = if expected.starts_with("stdout") { 1500 } else { 2000 };
        assert!((least..=2000).contains(&out.len()), "{expected}: {} lines", out.len());
    }
}

/// Waits for the program's own end.
async fn alone(engine: ExecutionEngine, id: Uuid) {
    soon("the end", engine.wait_for_completion(id)).await.unwrap();
}

/// Waits for the last words of the program.
async fn heard(engine: &ExecutionEngine, id: Uuid) {
    let mut records = engine.subscribe(id).await.unwrap();
    while let Some(record) = soon("its last words", records.next()).await {
        if matches!(record.event, ExecutionEvent::Stderr { .. }) {
            return;
        }
    }
    panic!("it has ended without them");
}

const WORDS: &str = "seq 1 2000; echo last words >&2";

fn after_words(line: &str) -> ExecutionRequest {
    shell(format!("{WORDS}; {line}"))
}

#[tokio::test]
async fn logs_are_complete_at_the_terminal_event_of_every_ending() {
    let plain = ExecutionOptions::default;
    let same = |_: &mut ExecutionConfig| {};
    let lasting = || after_words("exec sleep 1000");
    assert_complete(same, after_words("exit 4"), plain(), alone, "exit code 4").await;
    assert_complete(same, after_words("kill -SEGV $$"), plain(), alone, "SIGSEGV").await;
    let short = lasting().timeout(Duration::from_millis(300));
    assert_complete(same, short, plain(), alone, "timed out").await;
    let cancelled = async |engine: ExecutionEngine, id| {
        heard(&engine, id).await;
        engine.cancel(id).await.unwrap();
        alone(engine, id).await;
    };
    assert_complete(same, lasting(), plain(), cancelled, "cancelled").await;
    let dropped = async |engine: ExecutionEngine, id| heard(&engine, id).await;
    assert_complete(same, lasting(), plain(), dropped, "engine was closed").await;
    let mut limits = Limits::default();
    limits.cpu_seconds = Some(1);
    let busy = after_words("while :; do :; done");
    let limited = plain().limits(limits);
    assert_complete(same, busy, limited, alone, "CPU time").await;
    let no_program = {
        let dir = tempdir().unwrap();
        let file = dir.path().join("program");
        fs::write(&file, [0_u8; 64]).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
        (ExecutionRequest::program(file.to_str().unwrap()), dir)
    };
    assert_complete(same, no_program.0, plain(), alone, "could not be started").await;
    // Output beyond a limit is logged, too.
    let many = || shell("echo last words >&2; seq 1 2000; exec sleep 1000");
    let stopped = |config: &mut ExecutionConfig| {
        config.max_output_size_bytes = 8000;
        config.oversized_output_strategy = OversizedOutputStrategy::FailExecution;
    };
    assert_complete(
        stopped,
        many(),
        plain(),
        alone,
        "stdout exceeded the output limit of 8000 bytes",
    )
    .await;
    let full = |config: &mut ExecutionConfig| {
        config.max_output_size_bytes = 8000;
        config.oversized_output_strategy = OversizedOutputStrategy::StreamToFile;
    };
    assert_complete(full, many(), plain(), alone, "stdout could not be kept").await;
}

fn with_logs(dir: &Path, retention: LogRetention, remembered: usize) -> ExecutionEngine {
    let config = ExecutionConfig {
        log_dir: Some(dir.join("logs")),
        max_in_memory_executions: remembered,
        ..Default::default()
    };
    ExecutionEngine::builder().config(config).log_retention(retention).build().unwrap()
}

#[tokio::test]
async fn with_record_removes_readable_logs_and_keeps_raw_ones() {
    let dir = tempdir().unwrap();
    let engine = with_logs(dir.path(), LogRetention::WithRecord, 2);
    let mut logs = Vec::new();
    for number in 0..4 {
        let raw = dir.path().join(number.to_string());
        let result = engine.run(shell("echo out").output_log(&raw)).await.unwrap();
        let log = engine.get_log_path(result.id).await.unwrap().unwrap();
        logs.push((result.id, log, raw));
    }
    // Two were evicted.
    until("two are gone", || logs.iter().filter(|(_, log, _)| log.exists()).count() == 2).await;
    assert!(logs[2].1.exists() && logs[3].1.exists());

    engine.remove_execution(logs[2].0).await.unwrap();
    assert!(!logs[2].1.exists(), "it is forgotten");
    fs::remove_file(&logs[3].1).unwrap();
    engine.remove_execution(logs[3].0).await.unwrap();
    assert!(logs.iter().all(|(_, _, raw)| fs::read_to_string(raw).unwrap() == "out\n"));

    // Other files in the directory stay, and the end of the engine removes no log.
    let foreign = dir.path().join("logs").join(format!("{}.log", Uuid::new_v4()));
    fs::write(&foreign, "another program's").unwrap();
    let last = engine.run(shell("echo last")).await.unwrap();
    let log = engine.get_log_path(last.id).await.unwrap().unwrap();
    assert_eq!(engine.cleanup_old_executions().await, 0);
    drop(engine);
    assert!(log.exists() && foreign.exists());
}

#[tokio::test]
async fn logs_outlive_their_records_by_default() {
    let dir = tempdir().unwrap();
    let engine = with_logs(dir.path(), LogRetention::default(), 1);
    let first = engine.run(shell("echo first")).await.unwrap();
    let log = engine.get_log_path(first.id).await.unwrap().unwrap();
    let second = engine.run(shell("echo second")).await.unwrap();
    engine.remove_execution(second.id).await.unwrap();
    assert_eq!(engine.total_count().await, 0);
    assert!(fs::read_to_string(log).unwrap().contains("out | first\n"));
}

#[tokio::test]
async fn eviction_keeps_the_log_of_a_new_execution_with_the_same_id() {
    let dir = tempdir().unwrap();
    let engine = with_logs(dir.path(), LogRetention::WithRecord, 1);
    let id = Uuid::new_v4();
    for round in 1..=100 {
        let again = ExecutionRequest { id, ..shell(format!("echo round {round}")) };
        engine.run(again).await.unwrap();
        let log = engine.read_logs(id).await.unwrap();
        assert!(log.contains(&format!("out | round {round}\n")), "{round}: {log}");
        // Evicts it.
        engine.run(shell("true")).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_log_had_before_is_not_read_back() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("raw");
    fs::write(&path, "of another\nlines\n").unwrap();
    let config = ExecutionConfig { max_concurrent_executions: 1, ..Default::default() };
    let builder = ExecutionEngine::builder().config(config);
    let engine = builder.admission(Admission::Queue { max_waiting: 9 }).build().unwrap();
    let before = engine.execute(shell("exec sleep 1000")).await.unwrap();
    let queued = engine.execute(shell("echo one; echo two").output_log(&path)).await.unwrap();
    assert_eq!(engine.read_logs(queued).await.unwrap(), "", "it has not begun");
    engine.cancel(before).await.unwrap();
    soon("the end", engine.wait_for_completion(queued)).await.unwrap();
    assert_eq!(engine.read_logs(queued).await.unwrap(), "one\ntwo\n");
    let tails = [LogTail::Lines(1), LogTail::Lines(9), LogTail::Bytes(3), LogTail::Bytes(900)];
    for (tail, expected) in tails.into_iter().zip(["two\n", "one\ntwo\n", "wo\n", "one\ntwo\n"]) {
        assert_eq!(engine.read_logs_tail(queued, tail).await.unwrap(), expected, "{tail:?}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "of another\nlines\none\ntwo\n");
}

#[tokio::test]
async fn cancelled_in_the_queue_has_a_log_with_the_ending() {
    let dir = tempdir().unwrap();
    let config = ExecutionConfig {
        log_dir: Some(dir.path().join("logs")),
        max_concurrent_executions: 1,
        ..Default::default()
    };
    let admission = Admission::Queue { max_waiting: 9 };
    let builder = ExecutionEngine::builder().config(config).admission(admission);
    let engine = builder.build().unwrap();
    let first = engine.execute(shell("exec sleep 1000")).await.unwrap();
    let raw = dir.path().join("raw");
    let second = engine.execute(shell("echo never").output_log(&raw)).await.unwrap();
    let third = engine.execute(shell("echo never").output_log(dir.path())).await.unwrap();
    for id in [second, third] {
        engine.cancel(id).await.unwrap();
        let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
        assert_eq!(result.ending, Ending::Cancelled);
        // A directory is no file for a log.
        assert_eq!(result.output_error.is_some(), id == third, "{:?}", result.output_error);
    }
    let log = engine.read_logs(second).await.unwrap();
    assert!(log.contains("# command   echo never\n"), "{log}");
    assert!(log.contains("# ending    cancelled\n"), "{log}");
    assert!(log.ends_with("# output    0 bytes on stdout, 0 bytes on stderr\n"), "{log}");
    assert_eq!(fs::read(raw).unwrap(), b"");
    engine.cancel(first).await.unwrap();
}
