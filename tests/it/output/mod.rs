//! Output and logs: no byte is lost, doubled or reordered, limits hold, and logs are complete.

mod logs;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use async_trait::async_trait;
use execution_engine::OversizedOutputStrategy::{FailExecution, StreamToFile, TruncateWithWarning};
use execution_engine::*;
use tempfile::{TempDir, tempdir};
use test_support::*;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Writes the numbered blocks of [`noise`] in pieces of all sizes.
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

/// Returns what the program above writes to a stream.
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

/// Returns the lines of one stream (`out` or `err`) in a readable log.
fn logged<'a>(log: &'a str, stream: &str) -> Vec<&'a str> {
    let mark = format!("Z {stream} | ");
    log.lines().filter_map(|line| line.split_once(&mark)).map(|(_, text)| text).collect()
}

/// The output of `seq 1 LAST`.
// Memory and overflow file.

#[tokio::test]
async fn memory_and_overflow_file_hold_every_byte() {
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
async fn text_split_between_memory_and_file_is_complete() {
    let engine = limited(1000, StreamToFile);
    let result = soon("seq", engine.run(shell("seq 1 300000"))).await.unwrap();
    assert_eq!(result.stdout.len(), 1000);
    let rest = fs::read_to_string(result.stdout_overflow_file.unwrap()).unwrap();
    assert!(result.stdout + &rest == numbers(300_000));
    assert_eq!(result.stderr_overflow_file, None, "stderr had nothing to spill");
}

#[tokio::test]
async fn character_at_the_limit_goes_to_the_overflow_file_whole() {
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
async fn overflow_file_is_private() {
    let engine = limited(1, StreamToFile);
    let result = engine.run(shell("echo secret")).await.unwrap();
    let file = result.stdout_overflow_file.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
}

#[tokio::test]
async fn overflow_files_are_removed_with_their_record() {
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
async fn overflow_directory_is_removed_with_the_engine() {
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
async fn truncated_output_is_a_prefix_and_a_warning() {
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
async fn character_longer_than_the_limit_leaves_only_the_warning() {
    let result = run_limited(2, TruncateWithWarning, "printf %s '€'").await;
    assert_eq!(result.stdout, "[output truncated: kept the first 0 of 3 bytes]\n");
}

#[tokio::test]
async fn exactly_the_limit_has_no_warning() {
    let result = run_limited(5, TruncateWithWarning, "printf 12345").await;
    assert_eq!(result.stdout, "12345");
}

#[tokio::test]
async fn truncation_does_not_stop_the_program() {
    let line = "head -c 3000000 /dev/zero; echo \"head: $?\" >&2; exit 7";
    let result = run_limited(20, TruncateWithWarning, line).await;
    assert_eq!(result.ending, Ending::Exited { code: 7 });
    assert_eq!(result.stderr, "head: 0\n", "no SIGPIPE came");
    let stats = result.stdout_stats;
    assert_eq!((stats.seen_bytes, stats.kept_bytes), (3_000_000, 20));
}

#[tokio::test]
async fn limit_applies_per_stream() {
    let both = run_limited(10, FailExecution, "printf 0123456789; printf abcdefghij >&2").await;
    assert_eq!(both.ending, Ending::Exited { code: 0 });
    assert_eq!((both.stdout.as_str(), both.stderr.as_str()), ("0123456789", "abcdefghij"));

    let one = run_limited(10, TruncateWithWarning, "printf 0123456789; seq 1 9 >&2").await;
    assert_eq!(one.stdout, "0123456789");
    assert!(one.stderr.starts_with("1\n2\n3\n4\n5\n[output truncated"), "{}", one.stderr);
}

#[tokio::test]
async fn largest_limit_keeps_everything() {
    for strategy in [TruncateWithWarning, FailExecution, StreamToFile] {
        let result = run_limited(usize::MAX, strategy, "seq 1 100000").await;
        assert!(result.success, "{strategy:?}");
        assert!(result.stdout == numbers(100_000), "{strategy:?}");
        assert_eq!(result.stdout_overflow_file, None);
    }
}

// Failing at the limit.

#[tokio::test]
async fn one_byte_above_the_limit_is_a_failure() {
    let exact = run_limited(5, FailExecution, "printf 12345").await;
    assert_eq!((exact.ending, exact.stdout.as_str()), (Ending::Exited { code: 0 }, "12345"));

    let more = run_limited(5, FailExecution, "printf 123456").await;
    assert_eq!(more.ending, Ending::OutputLimit { stream: OutputStream::Stdout, limit: 5 });
    assert_eq!(more.status, ExecutionStatus::Failed);
    assert!(more.stdout.starts_with("12345\n["), "{}", more.stdout);
    assert_eq!(more.into_result(), Err(ExecutionError::OutputSizeExceeded(5)));
}

#[tokio::test]
async fn ending_names_the_stream_above_the_limit() {
    let result = run_limited(5, FailExecution, "echo out; echo too much >&2; exit 3").await;
    assert_eq!(result.ending, Ending::OutputLimit { stream: OutputStream::Stderr, limit: 5 });
    assert_eq!(result.stdout, "out\n");
    assert!(result.error.unwrap().contains("stderr"));
}

#[tokio::test]
async fn endless_program_is_stopped_at_the_limit() {
    let result = run_limited(100, FailExecution, "yes").await;
    assert_eq!(result.ending, Ending::OutputLimit { stream: OutputStream::Stdout, limit: 100 });
    assert_eq!(result.containment.survivors, []);
    assert!(result.stdout.starts_with(&"y\n".repeat(50)), "{}", result.stdout);
}

// Arrival.

#[tokio::test]
async fn final_newline_is_kept_and_none_is_added() {
    let engine = engine();
    for text in ["a\\n", "a", "\\n", "", "a\\n\\n", "a\\r\\n"] {
        let result = engine.run(shell(format!("printf '{text}'"))).await.unwrap();
        assert_eq!(result.stdout, text.replace("\\n", "\n").replace("\\r", "\r"));
    }
}

#[tokio::test]
async fn invalid_utf8_is_replaced_in_text_and_raw_in_logs() {
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
async fn background_output_counts_until_the_program_ends() {
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
async fn what_one_program_writes_to_stdout_and_then_to_stderr_comes_in_that_order() {
    let engine = engine();
    for run in 0..100 {
        let id = engine.execute(shell("echo out; echo err >&2")).await.unwrap();
        soon("the end", engine.wait_for_completion(id)).await.unwrap();
        let page = engine.read_output(id, OutputQuery::default()).await.unwrap();
        assert_eq!(page.text(), "out\nerr\n", "run {run}");
    }
}

#[tokio::test]
async fn program_may_close_its_output_and_continue() {
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
async fn packet_mode_pipe_is_read_until_empty() {
    let line = "dd if=/dev/zero bs=512 count=12 oflag=direct status=none; exec sleep 300";
    let engine = engine();
    // Repeated, because the packets may be seen one by one.
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
async fn line_without_end_is_split_without_loss() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let id = engine.execute(shell("seq 1 800000 | tr '\\n' ,")).await.unwrap();
    let lines = lines_of(&recorder.all_of(id).await, OutputStream::Stdout);
    assert!(lines.concat() == numbers(800_000).replace('\n', ","));
    assert!(lines.len() > 50, "{} pieces", lines.len());
    let longest = lines.iter().map(String::len).max().unwrap();
    assert!(longest <= 64 * 1024, "{longest} bytes in one piece");
}

#[tokio::test]
async fn line_of_exactly_64_kib_comes_whole() {
    let line = "x".repeat(64 * 1024);
    for ending in ["\\n", "\\r\\n"] {
        let recorder = Recorder::new();
        let engine = engine().with_event_handler(recorder.clone());
        let zeros = "head -c 65536 /dev/zero | tr '\\0' x";
        let id = engine.execute(shell(format!("{zeros}; printf '{ending}next{ending}'"))).await;
        let lines = lines_of(&recorder.all_of(id.unwrap()).await, OutputStream::Stdout);
        let lengths: Vec<_> = lines.iter().map(String::len).collect();
        assert!(lines == [line.as_str(), "next"], "ending {ending}: lengths {lengths:?}");
    }
}

#[tokio::test]
async fn stream_output_false_sends_no_line_events() {
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
