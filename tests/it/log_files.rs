//! The end of a log is read without the rest, and a log that is rotated keeps its bounds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use execution_engine::*;
use tempfile::tempdir;
use test_support::*;

const SMALL: LogRotation = LogRotation { max_bytes: 2000, kept_files: 3 };

fn config(dir: &Path) -> ExecutionConfig {
    ExecutionConfig { log_dir: Some(dir.to_path_buf()), ..Default::default() }
}

fn rotating(dir: &Path) -> EngineBuilder {
    ExecutionEngine::builder().config(config(dir)).log_rotation(SMALL)
}

/// Returns the lines of output in a log.
fn logged(log: &str) -> Vec<&str> {
    let line = |line: &'_ str| line.split_once(" out | ").map(|(_, text)| text.len());
    let texts = log.lines().filter_map(|it| line(it).map(|length| &it[it.len() - length..]));
    texts.collect()
}

#[tokio::test]
async fn the_end_of_a_log_is_read_without_the_rest() {
    let dir = tempdir().unwrap();
    let engine = ExecutionEngine::new(config(dir.path())).unwrap();
    let id = run(&engine, shell("seq 1 20000")).await.id;
    let all = engine.read_logs(id).await.unwrap();
    for (tail, lines) in [(LogTail::Lines(6), Some(6)), (LogTail::Bytes(500), None)] {
        let end = engine.read_logs_tail(id, tail).await.unwrap();
        assert!(all.ends_with(&end) && end.contains(" out | 20000\n"), "{end}");
        assert_eq!(lines.unwrap_or_else(|| end.lines().count()), end.lines().count());
    }
    assert_eq!(engine.read_logs_tail(id, LogTail::Lines(u64::MAX)).await.unwrap(), all);

    let raw = dir.path().join("raw");
    let engine = test_support::engine();
    let id = run(&engine, shell("printf 'a\\nb\\nno end'").output_log(&raw)).await.id;
    assert_eq!(engine.read_logs_tail(id, LogTail::Lines(2)).await.unwrap(), "b\nno end");
    let none = run(&engine, shell("true")).await.id;
    let tail = engine.read_logs_tail(none, LogTail::Lines(2)).await;
    assert_eq!(tail, Err(ExecutionError::NoLog(none)));
}

#[tokio::test]
async fn the_end_of_a_log_is_read_while_it_is_written() {
    let dir = tempdir().unwrap();
    let engine = ExecutionEngine::new(config(dir.path())).unwrap();
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let execution = engine.start_with(ExecutionRequest::program("cat"), options).await.unwrap();
    for line in ["one", "two"] {
        execution.stdin().write(format!("{line}\n")).await.unwrap();
        soon("the line", async {
            loop {
                let end = engine.read_logs_tail(execution.id(), LogTail::Lines(1)).await.unwrap();
                if end.ends_with(&format!(" out | {line}\n")) {
                    return;
                }
                pause(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    execution.cancel().await.unwrap();
}

#[tokio::test]
async fn a_rotated_log_keeps_the_end_within_its_bounds() {
    let dir = tempdir().unwrap();
    let engine = rotating(dir.path()).build().unwrap();
    let result = run(&engine, shell("seq 1 20000")).await;
    assert_eq!((result.stdout, result.output_error), (numbers(20_000), None));
    let path = engine.get_log_path(result.id).await.unwrap().unwrap();
    let older = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    let files = [path.clone(), older(1), older(2), older(3)];
    for file in &files {
        let metadata = fs::metadata(file).unwrap();
        assert!((500..=2000).contains(&metadata.len()) || *file == path, "{metadata:?}");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(file).unwrap();
        assert!(text.starts_with(&format!("# execution {}\n# part      ", result.id)), "{text}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), files.len());

    let all = engine.read_logs(result.id).await.unwrap();
    assert!(all.contains("# ending    exit code 0\n"));
    assert!(all.lines().last().unwrap().starts_with("# output    108894 bytes on stdout"), "{all}");
    let told = logged(&all);
    let first: u32 = told[0].parse().unwrap();
    assert_eq!(told, (first..=20_000).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(told.len() > 100, "{}", told.len());
    let end = engine.read_logs_tail(result.id, LogTail::Lines(100)).await.unwrap();
    assert!(all.ends_with(&end) && end.lines().count() == 100);
}

#[tokio::test]
async fn a_short_log_is_one_file_and_all_files_go_with_the_record() {
    let dir = tempdir().unwrap();
    let engine = rotating(dir.path()).log_retention(LogRetention::WithRecord).build().unwrap();
    let short = run(&engine, shell("echo hello")).await.id;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(engine.read_logs(short).await.unwrap().starts_with("# execution"));
    let long = run(&engine, shell("seq 1 1000")).await.id;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
    engine.remove_execution(long).await.unwrap();
    engine.remove_execution(short).await.unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_log_that_cannot_be_rotated_keeps_the_ending() {
    let dir = tempdir().unwrap();
    let rotation = LogRotation { max_bytes: 1000, kept_files: 1 };
    let engine = rotating(dir.path()).log_rotation(rotation).build().unwrap();
    let request = shell("seq 1 1000; exit 5");
    // A directory, which no file replaces.
    fs::create_dir(dir.path().join(format!("{}.log.1", request.id))).unwrap();
    let result = run(&engine, request).await;
    assert_eq!((result.ending, result.stdout), (Ending::Exited { code: 5 }, numbers(1000)));
    assert!(result.output_error.unwrap().contains(&format!("{}.log", result.id)));
}

#[test]
fn settings_of_logs_travel_as_json() {
    for (json, tail) in [
        (r#"{"type":"lines","count":20}"#, LogTail::Lines(20)),
        (r#"{"type":"bytes","count":4096}"#, LogTail::Bytes(4096)),
    ] {
        assert_eq!(serde_json::from_str::<LogTail>(json).unwrap(), tail);
        assert_eq!(serde_json::to_string(&tail).unwrap(), json);
    }
    let json = serde_json::to_string(&SMALL).unwrap();
    assert_eq!(json, r#"{"max_bytes":2000,"kept_files":3}"#);
    assert_eq!(serde_json::from_str::<LogRotation>(&json).unwrap(), SMALL);
    let none = LogRotation { max_bytes: 0, kept_files: 1 };
    let refused = ExecutionEngine::builder().log_rotation(none).build().unwrap_err();
    assert!(refused.to_string().contains("log_rotation"), "{refused}");
}
