//! Output and logs: no byte is lost, doubled or reordered, limits hold, and logs are complete when
//! they are said to be.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use async_trait::async_trait;
use execution_engine::OversizedOutputStrategy::{FailExecution, StreamToFile, TruncateWithWarning};
use execution_engine::*;
use support::*;
use tempfile::{TempDir, tempdir};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Writes numbered blocks of noise, the same as [`noise`], in pieces of all sizes.
const NOISE: &str = "
import os, sys, threading

def table(seed):
    noise = bytearray()
    for _ in range(65536):
        seed = (seed * 1103515245 + 12345) & 0x7fffffff
        noise.append((seed >> 16) & 255)
    return bytes(noise)

def write(fd, seed, blocks):
    noise = table(seed)
    for block in range(blocks):
        at = block * 7919 % 65536
        data = block.to_bytes(4, 'big') + noise[at:] + noise[:at]
        while data:
            written = os.write(fd, data[:4099 + block * 1237 % 60000])
            data = data[written:]

threads = [threading.Thread(target=write, args=(fd, fd, int(sys.argv[1]))) for fd in (1, 2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
";

/// What the program above writes to a stream.
fn noise(seed: u64, blocks: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = (state * 1_103_515_245 + 12345) & 0x7fff_ffff;
        (state >> 16).to_le_bytes()[0]
    };
    let table: Vec<u8> = (0..65536).map(|_| next()).collect();
    let mut noise = Vec::new();
    for block in 0..blocks {
        let at = block as usize * 7919 % 65536;
        noise.extend(block.to_be_bytes());
        noise.extend(&table[at..]);
        noise.extend(&table[..at]);
    }
    noise
}

fn python<const N: usize>(program: &str, args: [&str; N]) -> ExecutionRequest {
    ExecutionRequest::exec("python3", ["-c", program].into_iter().chain(args))
}

fn limited(limit: usize, strategy: OversizedOutputStrategy) -> ExecutionEngine {
    engine_with(|config| {
        config.max_output_size_bytes = limit;
        config.oversized_output_strategy = strategy;
    })
}

/// Runs a shell line under a limit.
async fn run_limited(
    limit: usize,
    strategy: OversizedOutputStrategy,
    line: &str,
) -> ExecutionResult {
    soon(line, limited(limit, strategy).run(shell(line))).await.unwrap()
}

/// The output of `seq 1 LAST`.
fn numbers(last: u32) -> String {
    (1..=last).map(|number| format!("{number}\n")).collect()
}

// What is kept in memory and in the overflow file.

#[tokio::test]
async fn memory_and_overflow_file_together_are_every_byte_of_both_streams() {
    const LIMIT: usize = 100_001;
    let engine = limited(LIMIT, StreamToFile);
    let result = soon("the noise", engine.run(python(NOISE, ["64"]))).await.unwrap();
    assert!(result.success, "{:?}", result.stderr);

    let streams = [
        (1, &result.stdout, &result.stdout_overflow_file, result.stdout_stats),
        (2, &result.stderr, &result.stderr_overflow_file, result.stderr_stats),
    ];
    for (seed, text, file, stats) in streams {
        let expected = noise(seed, 64);
        let rest = fs::read(file.as_ref().unwrap()).unwrap();
        let in_memory = expected.len() - rest.len();
        assert!((LIMIT - 3..=LIMIT).contains(&in_memory), "{in_memory} bytes are in memory");
        assert!(*text == String::from_utf8_lossy(&expected[..in_memory]), "memory of {seed}");
        assert!(rest == expected[in_memory..], "overflow file of {seed}");
        let total = expected.len() as u64;
        assert_eq!((stats.seen_bytes, stats.kept_bytes), (total, total));
    }
}

#[tokio::test]
async fn text_split_between_memory_and_file_is_whole_when_put_together() {
    let engine = limited(1000, StreamToFile);
    let result = soon("seq", engine.run(shell("seq 1 300000"))).await.unwrap();
    assert_eq!(result.stdout.len(), 1000);
    let rest = fs::read_to_string(result.stdout_overflow_file.unwrap()).unwrap();
    assert!(result.stdout + &rest == numbers(300_000));
    assert_eq!(result.stderr_overflow_file, None, "stderr had nothing to spill");
}

#[tokio::test]
async fn a_character_on_the_border_goes_to_the_overflow_file_as_a_whole() {
    let text = "aé€😀z";
    for limit in 1..text.len() {
        let engine = limited(limit, StreamToFile);
        let result = engine.run(shell(format!("printf %s '{text}'"))).await.unwrap();
        let (memory, rest) = text.split_at(text.floor_char_boundary(limit));
        let file = fs::read_to_string(result.stdout_overflow_file.unwrap()).unwrap();
        assert_eq!((result.stdout.as_str(), file.as_str()), (memory, rest), "limit {limit}");
    }
}

#[tokio::test]
async fn exactly_the_limit_needs_no_overflow_file() {
    let result = run_limited(5, StreamToFile, "printf 12345").await;
    assert_eq!((result.stdout.as_str(), result.stdout_overflow_file), ("12345", None));
}

#[tokio::test]
async fn nobody_else_can_read_an_overflow_file() {
    let engine = limited(1, StreamToFile);
    let result = engine.run(shell("echo secret")).await.unwrap();
    let file = result.stdout_overflow_file.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
}

#[tokio::test]
async fn overflow_files_go_with_their_record() {
    let engine = limited(1, StreamToFile);
    let [gone, left] = ["echo gone; echo gone >&2", "echo left"].map(shell);
    let gone = engine.run(gone).await.unwrap();
    let left = engine.run(left).await.unwrap();
    let files = [gone.stdout_overflow_file.unwrap(), gone.stderr_overflow_file.unwrap()];
    assert!(files.iter().all(|file| file.exists()));

    engine.remove_execution(gone.id).await.unwrap();
    until("both files are gone", || files.iter().all(|file| !file.exists())).await;
    assert_eq!(fs::read_to_string(left.stdout_overflow_file.unwrap()).unwrap(), "eft\n");
}

#[tokio::test]
async fn overflow_files_and_their_directory_go_with_the_engine() {
    let engine = limited(1, StreamToFile);
    let result = engine.run(shell("echo something")).await.unwrap();
    let file = result.stdout_overflow_file.unwrap();
    let dir = file.parent().unwrap();
    let clone = engine.clone();
    drop(engine);
    assert!(file.exists(), "a clone keeps the engine");
    drop(clone);
    until("the directory is gone", || !dir.exists()).await;
}

// Truncation.

#[tokio::test]
async fn truncated_output_is_the_first_characters_that_fit_and_one_line_of_warning() {
    let text = "aé€😀z";
    for limit in 1..text.len() {
        let line = format!("printf %s '{text}'");
        let result = run_limited(limit, TruncateWithWarning, &line).await;
        let kept = &text[..text.floor_char_boundary(limit)];
        let warning = result.stdout.strip_prefix(kept).unwrap().strip_prefix('\n').unwrap();
        assert_eq!(warning.matches('\n').count(), 1, "{warning:?}");
        assert!(warning.ends_with('\n') && warning.len() < 100, "{warning:?}");
        assert!(warning.contains("truncated"), "{warning:?}");
        assert!(result.success, "limit {limit}");
    }
}

#[tokio::test]
async fn a_character_longer_than_the_limit_leaves_only_the_warning() {
    let result = run_limited(2, TruncateWithWarning, "printf %s '€'").await;
    assert_eq!(result.stdout, "[output truncated: kept the first 0 of 3 bytes]\n");
}

#[tokio::test]
async fn exactly_the_limit_has_no_warning() {
    let result = run_limited(5, TruncateWithWarning, "printf 12345").await;
    assert_eq!(result.stdout, "12345");
}

#[tokio::test]
async fn a_program_runs_on_to_its_own_end_when_its_output_is_truncated() {
    let line = "head -c 3000000 /dev/zero; echo \"head: $?\" >&2; exit 7";
    let result = run_limited(20, TruncateWithWarning, line).await;
    assert_eq!(result.ending, Ending::Exited { code: 7 });
    assert_eq!(result.stderr, "head: 0\n", "no SIGPIPE came");
    let stats = result.stdout_stats;
    assert_eq!((stats.seen_bytes, stats.kept_bytes), (3_000_000, 20));
}

#[tokio::test]
async fn each_stream_has_the_limit_for_itself() {
    let both = run_limited(10, FailExecution, "printf 0123456789; printf abcdefghij >&2").await;
    assert_eq!(both.ending, Ending::Exited { code: 0 });
    assert_eq!((both.stdout.as_str(), both.stderr.as_str()), ("0123456789", "abcdefghij"));

    let one = run_limited(10, TruncateWithWarning, "printf 0123456789; seq 1 9 >&2").await;
    assert_eq!(one.stdout, "0123456789");
    assert!(one.stderr.starts_with("1\n2\n3\n4\n5\n[output truncated"), "{}", one.stderr);
}

#[tokio::test]
async fn the_largest_limit_keeps_everything() {
    for strategy in [TruncateWithWarning, FailExecution, StreamToFile] {
        let result = run_limited(usize::MAX, strategy, "seq 1 100000").await;
        assert!(result.success, "{strategy:?}");
        assert!(result.stdout == numbers(100_000), "{strategy:?}");
        assert_eq!(result.stdout_overflow_file, None);
    }
}

// Failing at the limit.

#[tokio::test]
async fn exactly_the_limit_is_no_failure_but_one_byte_more_is() {
    let exact = run_limited(5, FailExecution, "printf 12345").await;
    assert_eq!((exact.ending, exact.stdout.as_str()), (Ending::Exited { code: 0 }, "12345"));

    let more = run_limited(5, FailExecution, "printf 123456").await;
    assert_eq!(more.ending, Ending::OutputLimit { stream: Stream::Stdout, limit: 5 });
    assert_eq!(more.status, ExecutionStatus::Failed);
    assert!(more.stdout.starts_with("12345\n["), "{}", more.stdout);
    assert_eq!(more.into_result(), Err(ExecutionError::OutputSizeExceeded(5)));
}

#[tokio::test]
async fn the_ending_names_the_stream_that_was_too_long() {
    let result = run_limited(5, FailExecution, "echo out; echo too much >&2; exit 3").await;
    assert_eq!(result.ending, Ending::OutputLimit { stream: Stream::Stderr, limit: 5 });
    assert_eq!(result.stdout, "out\n");
    assert!(result.error.unwrap().contains("stderr"));
}

#[tokio::test]
async fn a_program_that_never_ends_by_itself_is_stopped_at_the_limit() {
    let result = run_limited(100, FailExecution, "yes").await;
    assert_eq!(result.ending, Ending::OutputLimit { stream: Stream::Stdout, limit: 100 });
    assert_eq!(result.containment.survivors, []);
    assert!(result.stdout.starts_with(&"y\n".repeat(50)), "{}", result.stdout);
}

// What arrives as what.

#[tokio::test]
async fn the_final_newline_is_kept_and_none_is_added() {
    let engine = engine();
    for text in ["a\\n", "a", "\\n", "", "a\\n\\n", "a\\r\\n"] {
        let result = engine.run(shell(format!("printf '{text}'"))).await.unwrap();
        assert_eq!(result.stdout, text.replace("\\n", "\n").replace("\\r", "\r"));
    }
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_shown_as_such_and_logged_as_they_are() {
    let dir = tempdir().unwrap();
    let raw = dir.path().join("raw");
    let request = shell(r"printf 'a\377b\302\n\0c'").output_log(&raw);
    let result = engine().run(request).await.unwrap();
    assert_eq!(result.stdout, "a\u{fffd}b\u{fffd}\n\0c");
    assert_eq!(fs::read(raw).unwrap(), b"a\xffb\xc2\n\0c");
    assert_eq!(result.stdout_stats.seen_bytes, 7);
}

#[tokio::test]
async fn stats_count_bytes_and_not_characters() {
    let result = engine().run(shell("printf '€'; printf 'éé' >&2")).await.unwrap();
    let [out, err] = [result.stdout_stats, result.stderr_stats];
    assert_eq!((out.seen_bytes, out.kept_bytes), (3, 3));
    assert_eq!((err.seen_bytes, err.kept_bytes), (4, 4));
}

#[tokio::test]
async fn a_background_process_is_heard_until_the_program_ends() {
    let dir = tempdir().unwrap();
    let wrote = dir.path().join("wrote");
    let line = format!(
        "(echo behind; echo behind >&2; : > '{}'; exec sleep 1000) & {}; echo before",
        wrote.display(),
        wait_for(&wrote)
    );
    let result = soon("the program", engine().run(shell(line))).await.unwrap();
    assert_eq!(result.stdout, "behind\nbefore\n");
    assert_eq!(result.stderr, "behind\n");
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    assert_eq!(result.containment.stopped, 1);
}

#[tokio::test]
async fn output_right_before_the_end_is_never_lost() {
    let engine = engine();
    let mut workers = JoinSet::new();
    for worker in 0..20 {
        let engine = engine.clone();
        workers.spawn(async move {
            for run in 0..25 {
                let text = format!("{worker}.{run}");
                let line = format!("printf {text}; printf {text} >&2");
                let result = soon(&line, engine.run(shell(line.clone()))).await.unwrap();
                assert_eq!((result.stdout, result.stderr), (text.clone(), text));
            }
        });
    }
    workers.join_all().await;
    assert_eq!(engine.total_count().await, 500);
}

#[tokio::test]
async fn a_program_may_close_its_output_and_go_on() {
    let dir = tempdir().unwrap();
    let end = dir.path().join("end");
    let line = format!("echo one; exec >&-; echo two >&2; exec 2>&-; echo x > '{}'; exit 3", {
        end.display()
    });
    let result = soon("the program", engine().run(shell(line))).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("one\n", "two\n"));
    assert_eq!(result.ending, Ending::Exited { code: 3 });
    assert!(end.exists());
}

#[tokio::test]
async fn single_bytes_arrive_in_order() {
    let program = "import os\nfor at in range(2000): os.write(1, b'%d' % (at * 7 % 10))";
    let result = soon("the bytes", engine().run(python(program, []))).await.unwrap();
    let expected: String = (0..2000).map(|at| (at * 7 % 10).to_string()).collect();
    assert_eq!(result.stdout, expected);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_pipe_that_gives_one_packet_at_a_time_is_read_until_nothing_is_left() {
    let line = "dd if=/dev/zero bs=512 count=12 oflag=direct status=none; exec sleep 300";
    let engine = engine();
    // Several times, because the packets may be noticed one by one.
    for _ in 0..10 {
        let id = engine.execute(shell(line)).await.unwrap();
        let mut chunks = engine.subscribe_chunks(id).await.unwrap();
        let mut seen = 0;
        while seen < 12 * 512 {
            let record = soon("the packets", chunks.next()).await.unwrap();
            if let ChunkContent::Output { bytes, .. } = record.content {
                seen += bytes.len();
            }
        }
        engine.cancel(id).await.unwrap();
    }
}

#[tokio::test]
async fn a_line_without_end_comes_in_pieces_that_make_up_the_whole() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let id = engine.execute(shell("seq 1 800000 | tr '\\n' ,")).await.unwrap();
    let lines = lines_of(&recorder.all_of(id).await, Stream::Stdout);
    assert!(lines.concat() == numbers(800_000).replace('\n', ","));
    assert!(lines.len() > 50, "{} pieces", lines.len());
    let longest = lines.iter().map(String::len).max().unwrap();
    assert!(longest <= 64 * 1024, "{longest} bytes in one piece");
}

#[tokio::test]
async fn a_line_of_exactly_64_kib_comes_in_one_piece_whatever_its_ending() {
    let line = "x".repeat(64 * 1024);
    for ending in ["\\n", "\\r\\n"] {
        let recorder = Recorder::new();
        let engine = engine().with_event_handler(recorder.clone());
        let zeros = "head -c 65536 /dev/zero | tr '\\0' x";
        let id = engine.execute(shell(format!("{zeros}; printf '{ending}next{ending}'"))).await;
        let lines = lines_of(&recorder.all_of(id.unwrap()).await, Stream::Stdout);
        let lengths: Vec<_> = lines.iter().map(String::len).collect();
        assert!(lines == [line.as_str(), "next"], "ending {ending}: lengths {lengths:?}");
    }
}

#[tokio::test]
async fn no_line_events_are_sent_when_they_are_not_wanted_but_all_else_is() {
    let dir = tempdir().unwrap();
    let recorder = Recorder::new();
    let engine = engine_with(|config| {
        config.stream_output = false;
        config.log_dir = Some(dir.path().to_path_buf());
    })
    .with_event_handler(recorder.clone());
    let result = engine.run(shell("echo one; printf two >&2")).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("one\n", "two"));

    let events = recorder.all_of(result.id).await;
    assert!(matches!(
        &events[..],
        [
            ExecutionEvent::Started { .. },
            ExecutionEvent::StatusChanged { .. },
            ExecutionEvent::StatusChanged { .. },
            ExecutionEvent::Completed { success: true, .. }
        ]
    ));
    let log = engine.read_logs(result.id).await.unwrap();
    assert_eq!((logged(&log, "out"), logged(&log, "err")), (vec!["one"], vec!["two"]));
}

// The log that holds what arrived as it arrived.

#[tokio::test]
async fn the_raw_log_has_every_byte_of_a_stream() {
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
async fn the_raw_log_has_both_streams_as_they_arrived() {
    let dir = tempdir().unwrap();
    let raw = dir.path().join("raw");
    // The streams share no byte, so that each can be told from the other.
    let line = "seq 1 30000 & seq 1 30000 | tr '0-9\\n' 'a-j;' >&2; wait";
    let result = engine().run(shell(line).output_log(&raw)).await.unwrap();
    assert!(result.stdout == numbers(30_000));
    let (out, err): (Vec<u8>, _) =
        fs::read(raw).unwrap().iter().partition(|byte| b"0123456789\n".contains(byte));
    assert!(out == result.stdout.as_bytes());
    assert!(err == result.stderr.as_bytes());
}

#[tokio::test]
async fn missing_directories_of_a_raw_log_are_made() {
    let dir = tempdir().unwrap();
    let raw = dir.path().join("not/yet/there/raw.txt");
    let result = engine().run(shell("echo hello").output_log(&raw)).await.unwrap();
    assert!(result.success);
    assert_eq!(fs::read_to_string(raw).unwrap(), "hello\n");
}

#[tokio::test]
async fn an_existing_raw_log_is_appended_to() {
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
async fn without_a_readable_log_the_raw_one_is_read() {
    let dir = tempdir().unwrap();
    let raw = dir.path().join("raw");
    let engine = engine();
    let id = engine.run(shell(r"printf 'a\377b'").output_log(&raw)).await.unwrap().id;
    assert_eq!(engine.get_log_path(id).await.unwrap(), Some(raw));
    assert_eq!(engine.read_logs(id).await.unwrap(), "a\u{fffd}b");
}

#[tokio::test]
async fn a_full_disk_under_a_log_does_not_change_the_ending() {
    let request = shell("seq 1 50000; exit 5").output_log("/dev/full");
    let result = soon("the program", engine().run(request)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 5 });
    assert!(result.stdout == numbers(50_000));
    assert!(result.output_error.unwrap().contains("/dev/full"));
}

// Logs that cannot be.

/// Runs a request whose log must be refused; nothing may have been started.
async fn assert_refused(engine: &ExecutionEngine, request: ExecutionRequest, log: &Path) {
    let dir = tempdir().unwrap();
    let ran = dir.path().join("ran");
    let request = ExecutionRequest { command: shell(touch(&ran)).command, ..request };
    let error = soon("the refusal", engine.execute(request)).await.unwrap_err();
    assert!(
        matches!(&error, ExecutionError::Log { path, reason } if path == log && !reason.is_empty()),
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
async fn a_file_in_the_way_of_the_log_directory_refuses_the_request() {
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
async fn a_directory_as_raw_log_refuses_the_request() {
    let dir = tempdir().unwrap();
    assert_refused(&engine(), shell("").output_log(dir.path()), dir.path()).await;
}

#[tokio::test]
async fn a_refused_raw_log_leaves_no_readable_one_behind() {
    let dir = tempdir().unwrap();
    let logs = dir.path().join("logs");
    let engine = engine_with(|config| config.log_dir = Some(logs.clone()));
    let error = engine.execute(shell("echo").output_log(dir.path())).await.unwrap_err();
    assert!(matches!(error, ExecutionError::Log { .. }), "{error:?}");
    assert!(!logs.exists(), "neither the log nor the directory made for it");
}

#[tokio::test]
async fn a_link_laid_in_the_log_directory_is_not_followed() {
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

/// A directory with a FIFO in it.
async fn fifo() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("fifo");
    let made = ExecutionRequest::exec("mkfifo", [path.to_str().unwrap()]);
    engine().run(made).await.unwrap().into_result().unwrap();
    (dir, path)
}

/// Both ends of a FIFO, so that opening it does not wait.
fn both_ends(fifo: &Path) -> fs::File {
    fs::OpenOptions::new().read(true).write(true).open(fifo).unwrap()
}

#[tokio::test]
async fn a_fifo_that_nobody_reads_is_refused_as_a_raw_log() {
    let (_dir, fifo) = fifo().await;
    assert_refused(&engine(), shell("").output_log(&fifo), &fifo).await;
}

#[tokio::test]
async fn a_fifo_with_a_reader_gets_the_output() {
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
async fn a_fifo_whose_reader_never_reads_does_not_stop_a_timeout() {
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
async fn a_log_that_nobody_takes_costs_the_result_nothing_of_what_is_in_the_pipes() {
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
async fn a_fifo_that_was_written_as_a_log_is_not_read_back() {
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

/// The lines of one stream (`out` or `err`) in a readable log.
fn logged<'a>(log: &'a str, stream: &str) -> Vec<&'a str> {
    let mark = format!("Z {stream} | ");
    log.lines().filter_map(|line| line.split_once(&mark)).map(|(_, text)| text).collect()
}

/// What a readable log says about something, for instance its `ending`.
fn says<'a>(log: &'a str, what: &str) -> Option<&'a str> {
    let mark = format!("# {what}");
    log.lines().find_map(|line| line.strip_prefix(&mark)).map(str::trim_start)
}

/// The log of an execution, once it has a text.
async fn log_with(engine: &ExecutionEngine, id: Uuid, text: &str) -> String {
    soon("the log", async {
        loop {
            let log = engine.read_logs(id).await.unwrap();
            if log.contains(text) {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_readable_log_has_header_lines_and_ending() {
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
async fn each_execution_has_a_readable_log_of_its_own() {
    let dir = tempdir().unwrap();
    let engine = engine_with(|config| config.log_dir = Some(dir.path().to_path_buf()));
    for text in ["one", "two"] {
        let id = engine.run(shell(format!("echo {text}"))).await.unwrap().id;
        assert_eq!(logged(&engine.read_logs(id).await.unwrap(), "out"), [text]);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn no_value_of_the_environment_is_in_the_readable_log() {
    let dir = tempdir().unwrap();
    let engine = engine_with(|config| config.log_dir = Some(dir.path().to_path_buf()));
    let request = shell("echo ${#TOKEN} letters").env("TOKEN", "hunter2");
    let id = engine.run(request).await.unwrap().id;
    let log = engine.read_logs(id).await.unwrap();
    assert_eq!(logged(&log, "out"), ["7 letters"], "the program has the variable");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn the_log_has_what_a_limit_keeps_out_of_the_result() {
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
async fn the_log_of_a_program_that_could_not_be_started_says_so() {
    let dir = tempdir().unwrap();
    let engine = engine_with(|config| config.log_dir = Some(dir.path().to_path_buf()));
    let program = dir.path().join("broken");
    fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let request = ExecutionRequest::exec(program.to_str().unwrap(), [""; 0]);
    let result = engine.run(request).await.unwrap();
    assert!(matches!(result.ending, Ending::SpawnFailed { .. }), "{:?}", result.ending);
    let log = engine.read_logs(result.id).await.unwrap();
    assert!(says(&log, "ending").unwrap().starts_with("could not be started"), "{log}");
}

#[tokio::test]
async fn a_log_read_while_the_program_runs_has_what_there_is() {
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
async fn an_execution_without_a_log_says_so() {
    let engine = engine();
    let id = engine.run(shell("echo")).await.unwrap().id;
    assert_eq!(engine.get_log_path(id).await, Ok(None));
    assert_eq!(engine.read_logs(id).await, Err(ExecutionError::NoLog(id)));
    let unknown = Uuid::new_v4();
    assert_eq!(engine.read_logs(unknown).await, Err(ExecutionError::NotFound(unknown)));
    assert_eq!(engine.get_log_path(unknown).await, Err(ExecutionError::NotFound(unknown)));
}

#[tokio::test]
async fn a_log_directory_that_vanishes_does_not_change_the_ending() {
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

/// Reads the log of an execution at the moment of its terminal event.
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

/// An engine that sends each log as it is when the terminal event comes.
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

/// Checks that the log at the terminal event was whole: all that is in the result, and its ending.
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
async fn the_log_is_complete_when_the_terminal_event_of_an_exit_comes() {
    let dir = tempdir().unwrap();
    let (engine, mut logs) = engine_that_reads_logs(dir.path(), |_| {});
    let result = engine.run(shell("seq 1 50000; exit 3")).await.unwrap();
    assert!(result.stdout == numbers(50_000));
    assert_whole(&result, &mut logs).await;
}

#[tokio::test]
async fn the_log_is_complete_when_the_terminal_event_of_a_timeout_comes() {
    let dir = tempdir().unwrap();
    let (engine, mut logs) = engine_that_reads_logs(dir.path(), |_| {});
    let request = shell("seq 1 5000; exec sleep 1000").timeout(Duration::from_millis(200));
    let result = soon("the timeout", engine.run(request)).await.unwrap();
    assert_eq!(result.status, ExecutionStatus::Timeout);
    assert_whole(&result, &mut logs).await;
}

#[tokio::test]
async fn the_log_is_complete_when_the_terminal_event_of_a_cancel_comes() {
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
async fn the_log_is_complete_when_the_terminal_event_of_an_output_limit_comes() {
    let dir = tempdir().unwrap();
    let (engine, mut logs) = engine_that_reads_logs(dir.path(), |config| {
        config.max_output_size_bytes = 10;
        config.oversized_output_strategy = FailExecution;
    });
    let result = engine.run(shell("seq 1 100; exec sleep 1000")).await.unwrap();
    assert_eq!(result.ending, Ending::OutputLimit { stream: Stream::Stdout, limit: 10 });
    let (id, log) = soon("the terminal event", logs.recv()).await.unwrap();
    assert_eq!(id, result.id);
    // `seq` writes its hundred lines at once, so all of them had arrived.
    assert!(logged(&log, "out").into_iter().eq(numbers(100).lines()), "{log}");
    assert_eq!(says(&log, "ending"), Some("stdout exceeded the output limit of 10 bytes"));
}
