//! Input arrives complete and in order, and a program that does not read delays no caller.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use execution_engine::*;
use tempfile::tempdir;
use test_support::host::passed_apart;
use test_support::*;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};

fn program<const N: usize>(program: &str, args: [&str; N]) -> ExecutionRequest {
    ExecutionRequest::exec(program, args)
}

fn reading(source: StdinSource) -> ExecutionOptions {
    ExecutionOptions::default().stdin(source)
}

async fn run(request: ExecutionRequest, source: StdinSource) -> ExecutionResult {
    let engine = engine();
    let id = engine.execute_with(request, reading(source)).await.unwrap();
    soon("the end", engine.wait_for_completion(id)).await.unwrap()
}

async fn start_piped(engine: &ExecutionEngine, request: ExecutionRequest) -> Uuid {
    engine.execute_with(request, reading(StdinSource::Piped)).await.unwrap()
}

/// Creates an engine that runs one execution at a time and queues others.
fn one_at_a_time() -> ExecutionEngine {
    ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
        .admission(Admission::Queue { max_waiting: 10 })
        .build()
        .unwrap()
}

/// Returns binary data larger than a pipe.
fn much() -> Vec<u8> {
    (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

// Bytes and files.

#[tokio::test]
async fn default_stdin_is_empty() {
    let result = engine().run(shell("cat; echo end")).await.unwrap();
    assert_eq!(result.stdout, "end\n");
    let result = run(program("cat", []), StdinSource::bytes("")).await;
    assert_eq!((result.stdout.as_str(), result.success), ("", true));
}

#[tokio::test]
async fn stdin_bytes_arrive_complete() {
    let much = much();
    let result = run(program("cat", []), StdinSource::bytes(much.clone())).await;
    assert!(result.success && result.stdout_bytes() == much);
}

#[tokio::test]
async fn unread_stdin_is_no_failure() {
    for line in ["true", "exec <&-; sleep 0.05; true", "head -c 10 >/dev/null", "sleep 0.05"] {
        let result = run(shell(line), StdinSource::bytes(much())).await;
        assert_eq!(result.ending, Ending::Exited { code: 0 }, "{line}");
    }
}

#[tokio::test]
async fn stdin_file_is_read_from_its_beginning() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("input");
    fs::write(&file, much()).unwrap();
    for _ in 0..2 {
        let result = run(program("cat", []), StdinSource::file(&file)).await;
        assert!(result.stdout_bytes() == much());
    }
}

#[tokio::test]
async fn unreadable_stdin_file_refuses_the_request() {
    let dir = tempdir().unwrap();
    let engine = engine();
    for path in [dir.path().join("missing"), dir.path().to_path_buf()] {
        let options = reading(StdinSource::file(&path));
        let refused = engine.execute_with(shell("cat"), options).await.unwrap_err();
        assert!(matches!(refused, ExecutionError::Validation(_)), "{refused:?}");
        let says = refused.to_string();
        assert!(says.contains("stdin") && says.contains(path.to_str().unwrap()), "{says}");
    }
    assert_eq!(engine.total_count().await, 0);
}

#[tokio::test]
async fn stdin_file_removed_during_the_queue_is_an_ending() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("input");
    fs::write(&file, "content").unwrap();
    let engine = one_at_a_time();
    let first = engine.execute(program("sleep", ["1000"])).await.unwrap();
    let options = reading(StdinSource::file(&file));
    let second = engine.execute_with(program("cat", []), options).await.unwrap();
    fs::remove_file(&file).unwrap();
    engine.cancel(first).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(second)).await.unwrap();
    assert!(matches!(result.ending, Ending::SpawnFailed { .. }), "{:?}", result.ending);
    assert!(result.error.unwrap().contains(file.to_str().unwrap()));
}

async fn make_fifo(path: &Path) {
    let made = engine().run(program("mkfifo", [path.to_str().unwrap()])).await.unwrap();
    assert!(made.success, "{}", made.stderr);
}

#[tokio::test]
async fn stdin_fifo_without_a_writer_is_empty() {
    let dir = tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    make_fifo(&fifo).await;
    let result = run(program("cat", []), StdinSource::file(&fifo)).await;
    assert_eq!((result.ending, result.stdout), (Ending::Exited { code: 0 }, String::new()));
}

#[tokio::test]
async fn stdin_fifo_writer_reaches_the_program() {
    let dir = tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    make_fifo(&fifo).await;
    let engine = one_at_a_time();
    let first = engine.execute(program("sleep", ["1000"])).await.unwrap();

    let thread = Arc::new(AtomicU32::new(0));
    let writer = std::thread::spawn({
        let (fifo, thread) = (fifo.clone(), Arc::clone(&thread));
        move || {
            let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
            thread.store(pids(stat.split(' ').next().unwrap())[0], Ordering::SeqCst);
            fs::File::options().write(true).open(fifo)?.write_all(&much())
        }
    });
    let sleeps = || {
        let id = thread.load(Ordering::SeqCst);
        let stat = fs::read_to_string(format!("/proc/self/task/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S"))
    };
    until("the writer waits for a reader", sleeps).await;

    let options = reading(StdinSource::file(&fifo));
    let second = engine.execute_with(program("cat", []), options).await.unwrap();
    assert!(!writer.is_finished());
    engine.cancel(first).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(second)).await.unwrap();
    writer.join().unwrap().unwrap();
    assert!(result.stdout_bytes() == much());
}

#[test]
fn stdin_bytes_round_trip_and_are_not_shown() {
    for source in [
        StdinSource::Null,
        StdinSource::bytes("secret text"),
        StdinSource::bytes(vec![0xff, 0, 1]),
        StdinSource::file("/a/file"),
        StdinSource::Piped,
    ] {
        let options = reading(source.clone());
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<ExecutionOptions>(&json).unwrap(), options, "{json}");
        assert!(!format!("{options:?}").contains("secret"));
    }
}

#[test]
fn stdin_with_unknown_field_is_refused() {
    for kind in ["null", "piped", "bytes", "file"] {
        for field in ["data", "path", "other"] {
            let known = matches!((kind, field), ("bytes", "data") | ("file", "path"));
            let json = format!(r#"{{"type":"{kind}","{field}":"x"}}"#);
            let read = serde_json::from_str::<StdinSource>(&json);
            assert_eq!(read.is_ok(), known, "{json}: {read:?}");
        }
    }
    let unknown = serde_json::from_str::<StdinSource>(r#"{"type":"terminal"}"#);
    assert!(unknown.unwrap_err().to_string().contains("piped"));
}

// A conversation.

#[tokio::test]
async fn piped_stdin_allows_a_dialogue() {
    let engine = engine();
    let line = "while read a b; do [ $a = bye ] && exit 7; echo $((a + b)); done";
    let id = start_piped(&engine, shell(line)).await;
    let mut records = engine.subscribe(id).await.unwrap();
    for number in 1..=50 {
        let question = format!("{number} 1\n");
        assert_eq!(engine.write_stdin(id, question.clone()).await, Ok(question.len()));
        let answer = loop {
            let record = soon("an answer", records.next()).await.unwrap();
            if let ExecutionEvent::Stdout { line, .. } = record.event {
                break line;
            }
        };
        assert_eq!(answer, (number + 1).to_string());
    }
    engine.write_stdin(id, "bye now\n").await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.exit_code, 7);
}

#[tokio::test]
async fn close_stdin_delivers_what_was_written() {
    let (engine, dir) = (engine(), tempdir().unwrap());
    let may_end = dir.path().join("may end");
    // An ended execution is refused as ended.
    let line = format!("cat; {}", wait_for(&may_end));
    let id = start_piped(&engine, shell(line)).await;
    let much = much();
    for portion in much.chunks(700_001) {
        assert_eq!(engine.write_stdin(id, portion.to_vec()).await, Ok(portion.len()));
    }
    assert_eq!(engine.write_stdin(id, "").await, Ok(0));
    engine.close_stdin(id).await.unwrap();
    let closed = Err(ExecutionError::StdinClosed(id));
    assert_eq!(engine.write_stdin(id, "more").await.map(drop), closed);
    assert_eq!(engine.pipe_stdin(id, &b"more"[..]).await.map(drop), closed);
    assert_eq!(engine.close_stdin(id).await, closed);
    fs::write(&may_end, "").unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert!(result.success && result.stdout_bytes() == much);
    let ended = Err(ExecutionError::AlreadyEnded { id, status: ExecutionStatus::Completed });
    assert_eq!(engine.write_stdin(id, "more").await.map(drop), ended);
    assert_eq!(engine.close_stdin(id).await, ended);
}

#[tokio::test]
async fn write_without_piped_stdin_is_refused() {
    let engine = engine();
    for source in [StdinSource::Null, StdinSource::bytes("x"), StdinSource::file("/dev/null")] {
        let request = program("sleep", ["1000"]);
        let id = engine.execute_with(request, reading(source)).await.unwrap();
        let refused = Err(ExecutionError::StdinNotPiped(id));
        assert_eq!(engine.write_stdin(id, "x").await.map(drop), refused);
        assert_eq!(engine.pipe_stdin(id, &b"x"[..]).await.map(drop), refused);
        assert_eq!(engine.close_stdin(id).await, refused);
        engine.cancel(id).await.unwrap();
    }
    let unknown = Uuid::new_v4();
    let not_found = Err(ExecutionError::NotFound(unknown));
    assert_eq!(engine.write_stdin(unknown, "x").await.map(drop), not_found);
    assert_eq!(engine.close_stdin(unknown).await, not_found);
}

#[tokio::test]
async fn concurrent_writes_are_not_interleaved() {
    let engine = engine();
    let id = start_piped(&engine, program("cat", [])).await;
    let writers = (b'a'..=b'p').map(|letter| {
        let engine = engine.clone();
        tokio::spawn(async move {
            for _ in 0..4 {
                let mut portion = vec![letter; 30_000];
                portion.push(b'\n');
                engine.write_stdin(id, portion).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        soon("a writer", writer).await.unwrap();
    }
    engine.close_stdin(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    let lines: Vec<&str> = result.stdout.lines().collect();
    assert_eq!(lines.len(), 16 * 4);
    for line in lines {
        assert!(line.len() == 30_000 && line.bytes().all(|byte| byte == line.as_bytes()[0]));
    }
}

#[tokio::test]
async fn write_to_a_program_that_does_not_read_ends_with_it() {
    let engine = engine();
    let line = "read line; echo $line; exec sleep 1000";
    let id = start_piped(&engine, shell(line)).await;
    let mut records = engine.subscribe(id).await.unwrap();
    let [write, behind] = [[b"line\n", &much()[..]].concat(), b"behind".to_vec()].map(|bytes| {
        let engine = engine.clone();
        Box::pin(async move { engine.write_stdin(id, bytes).await })
    });
    let write = tokio::spawn(write);
    while let Some(record) = soon("the line", records.next()).await {
        if matches!(record.event, ExecutionEvent::Stdout { .. }) {
            break;
        }
    }
    assert!(!write.is_finished(), "it waits");
    let behind = tokio::spawn(behind);
    engine.cancel(id).await.unwrap();
    let written = soon("the write", write).await.unwrap().unwrap();
    assert!((1..2_000_000).contains(&written), "{written} bytes fit into a pipe");
    let behind = soon("the write behind it", behind).await.unwrap();
    let ended = Err(ExecutionError::AlreadyEnded { id, status: ExecutionStatus::Cancelled });
    assert!(behind == Ok(0) || behind == ended, "{behind:?}");
}

#[tokio::test]
async fn dropped_write_leaves_stdin_usable() {
    let engine = engine();
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let line = format!("{}; cat", wait_for(&go));
    let id = start_piped(&engine, shell(line)).await;
    let write = engine.write_stdin(id, vec![b'x'; 1_000_000]);
    assert!(tokio::time::timeout(Duration::from_millis(20), write).await.is_err());
    fs::write(go, "").unwrap();
    engine.write_stdin(id, "after").await.unwrap();
    engine.close_stdin(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    let rest = result.stdout.trim_start_matches('x');
    assert_eq!((rest, result.stdout.len()), ("after", 1_000_005));
}

#[tokio::test]
async fn unpolled_write_does_not_keep_stdin_open() {
    let engine = engine();
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let id = start_piped(&engine, shell(format!("{}; wc -c", wait_for(&go)))).await;
    let mut write = Box::pin(engine.write_stdin(id, vec![b'x'; 1_000_000]));
    let not_yet = tokio::time::timeout(Duration::from_millis(20), &mut write).await;
    assert!(not_yet.is_err(), "no process reads yet");
    fs::write(go, "").unwrap();
    engine.close_stdin(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.stdout.trim(), "1000000");
    assert_eq!(write.await, Ok(1_000_000));
}

#[tokio::test]
async fn queued_execution_accepts_stdin() {
    let engine = one_at_a_time();
    let first = engine.execute(program("sleep", ["1000"])).await.unwrap();
    // Its stdin is a pipe, and it has no blocked signals.
    let line = "cat; grep SigBlk /proc/self/status";
    let [second, third] =
        [start_piped(&engine, shell(line)).await, start_piped(&engine, shell("cat")).await];
    let [early, never] = [second, third].map(|id| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.write_stdin(id, "early\n").await })
    });
    engine.cancel(third).await.unwrap();
    let never = soon("the write without a reader", never).await.unwrap();
    let ended = ExecutionError::AlreadyEnded { id: third, status: ExecutionStatus::Cancelled };
    assert!(never == Ok(0) || never == Err(ended), "{never:?}");

    engine.cancel(first).await.unwrap();
    assert_eq!(soon("the early write", early).await.unwrap(), Ok(6));
    engine.close_stdin(second).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(second)).await.unwrap();
    assert_eq!(result.stdout, "early\nSigBlk:\t0000000000000000\n");
}

// Passing on a reader.

#[tokio::test]
async fn pipe_stdin_leaves_stdin_open() {
    let engine = engine();
    let id = start_piped(&engine, program("cat", [])).await;
    let much = much();
    let count = soon("all of it", engine.pipe_stdin(id, &much[..])).await;
    assert_eq!(count, Ok(much.len() as u64));
    engine.write_stdin(id, "the end").await.unwrap();
    engine.close_stdin(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert!(result.stdout_bytes() == [&much[..], b"the end"].concat());
}

#[tokio::test]
async fn pipe_stdin_ends_when_the_program_closes_stdin() {
    let engine = engine();
    let id = start_piped(&engine, shell("head -c 5; exec <&-; exec sleep 1000")).await;
    let endless = tokio::io::repeat(b'x');
    let count = soon("the end of it", engine.pipe_stdin(id, endless)).await.unwrap();
    assert!(count >= 5);
    assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Running));
    engine.cancel(id).await.unwrap();
}

#[tokio::test]
async fn pipe_stdin_ends_with_the_program() {
    let engine = engine();
    let id = start_piped(&engine, shell("sleep 0.05; exit 3")).await;
    let (silent, _open) = tokio::io::duplex(64);
    assert_eq!(soon("the end of it", engine.pipe_stdin(id, silent)).await, Ok(0));
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.exit_code, 3);
}

#[tokio::test]
async fn failing_reader_fails_the_call_only() {
    struct Fails;

    impl AsyncRead for Fails {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            Poll::Ready(Err(std::io::Error::other("on purpose")))
        }
    }

    let engine = engine();
    let id = start_piped(&engine, program("cat", [])).await;
    let failed = engine.pipe_stdin(id, (&b"begun"[..]).chain(Fails)).await.unwrap_err();
    assert!(matches!(failed, ExecutionError::StdinSource { written: 5, .. }), "{failed:?}");
    assert!(failed.to_string().contains("on purpose"));
    engine.write_stdin(id, "still").await.unwrap();
    engine.close_stdin(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.stdout, "begunstill");
}

#[tokio::test]
async fn pipe_stdin_that_is_closed_half_way_returns_what_was_written() {
    let engine = engine();
    let id = start_piped(&engine, shell("head -c 5; sleep 1000")).await;
    let mut records = engine.subscribe_chunks(id).await.unwrap();
    let (mut writer, reader) = tokio::io::duplex(64);
    let piping = tokio::spawn({
        let engine = engine.clone();
        async move { engine.pipe_stdin(id, reader).await }
    });
    writer.write_all(b"begun").await.unwrap();
    let is_output = |record: &ChunkRecord| matches!(record.content, ChunkContent::Output { .. });
    soon("the echo", async { while !is_output(&records.next().await.unwrap()) {} }).await;
    engine.close_stdin(id).await.unwrap();
    writer.write_all(b"too late").await.unwrap();
    assert_eq!(soon("the end of it", piping).await.unwrap(), Ok(5));
    // Nothing was written, so there is no count to lose.
    let refused = engine.pipe_stdin(id, &b"x"[..]).await;
    assert_eq!(refused, Err(ExecutionError::StdinClosed(id)));
    engine.cancel(id).await.unwrap();
}

// A broken pipe.

#[tokio::test]
async fn broken_pipe_does_not_kill_a_host_with_default_sigpipe() {
    if passed_apart(test_name!()).await {
        return;
    }
    // SAFETY: This process runs this test alone, and no other thread changes signals.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let dir = tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    make_fifo(&fifo).await;
    let engine = engine();
    for _ in 0..20 {
        let id = start_piped(&engine, shell("exec <&-; exec sleep 1000")).await;
        let written = engine.write_stdin(id, much()).await.unwrap();
        assert!(written < much().len());
        engine.cancel(id).await.unwrap();
        soon("the end", engine.wait_for_completion(id)).await.unwrap();
    }
    let result = run(shell("true"), StdinSource::bytes(much())).await;
    assert!(result.success);
    // A log may be a pipe, too, and its writer thread may inherit the signals of this one.
    engine.read_logs(Uuid::new_v4()).await.unwrap_err();
    let reader = fs::File::options().read(true).write(true).open(&fifo).unwrap();
    let line = format!("echo one; {}; seq 1 100000", wait_for(&dir.path().join("go")));
    let logged = shell(line).output_log(&fifo);
    let id = engine.execute(logged).await.unwrap();
    let _log = engine.read_logs(engine.run(shell("true")).await.unwrap().id).await;
    drop(reader);
    fs::write(dir.path().join("go"), "").unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert!(result.success && result.output_error.is_some(), "{:?}", result.output_error);
}
