//! Memory: the host holds no more output than the limit, however much a program writes.
//!
//! The only test of this binary: it measures the whole process.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use execution_engine::*;
use tempfile::tempdir;
use test_support::*;

const MIB: usize = 1024 * 1024;

/// Handler that adds up the lengths of lines and remembers the longest.
#[derive(Default)]
struct Measures {
    total: AtomicUsize,
    longest: AtomicUsize,
}

#[async_trait]
impl EventHandler for Measures {
    async fn handle_event(&self, event: ExecutionEvent) {
        if let ExecutionEvent::Stdout { line, .. } = event {
            self.total.fetch_add(line.len(), Ordering::SeqCst);
            self.longest.fetch_max(line.len(), Ordering::SeqCst);
        }
    }
}

/// Handler that takes a second for each line.
struct HardlyHears;

#[async_trait]
impl EventHandler for HardlyHears {
    async fn handle_event(&self, event: ExecutionEvent) {
        if let ExecutionEvent::Stdout { .. } = event {
            pause(Duration::from_secs(1)).await;
        }
    }
}

/// Leaves a process that writes lines without end, into a pipe so large that it is hardly ever empty.
const LEAVES_ONE: &str = r"
import fcntl, os, time
try:
    fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20)
except (AttributeError, OSError):
    pass
if os.fork() == 0:
    lines = (b'x' * 999 + b'\n') * 1000
    while True:
        os.write(1, lines)
time.sleep(0.1)
os._exit(0)
";

/// Returns the peak of the resident memory of this process in bytes.
fn peak_memory() -> usize {
    memory("VmHWM:")
}

/// Returns the resident memory of this process in bytes.
fn resident_memory() -> usize {
    memory("VmRSS:")
}

fn memory(what: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    let kib: usize = found.trim().trim_end_matches("kB").trim().parse().unwrap();
    kib * 1024
}

/// Checks that a part has raised the peak little, and returns the peak.
fn assert_little(before: usize, what: &str) -> usize {
    let peak = peak_memory();
    let grown = peak - before;
    eprintln!("{what}: {} KiB", grown / 1024);
    assert!(grown < 8 * MIB, "{what} took {grown} bytes");
    peak
}

#[tokio::test]
async fn gigabyte_of_output_takes_memory_of_the_limit() {
    const MUCH: usize = 1_000_000_000;
    let quiet = engine_with(|config| config.max_output_size_bytes = MIB);
    let measures = Arc::new(Measures::default());
    let heard = engine_with(|config| config.max_output_size_bytes = MIB)
        .with_event_handler(measures.clone());
    let slow = engine_with(|config| config.max_output_size_bytes = MIB)
        .with_event_handler(Arc::new(HardlyHears));
    // The threads of each engine and the pages of its code are no output.
    for engine in [&quiet, &heard, &slow] {
        engine.run(shell("echo warm up; echo again >&2")).await.unwrap();
    }
    let before = peak_memory();

    let much = shell(format!("head -c {MUCH} /dev/zero"));
    let result = soon("a gigabyte", quiet.run(much)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    let stats = result.stdout_stats;
    assert_eq!((stats.seen_bytes, stats.kept_bytes), (MUCH as u64, MIB as u64));
    drop(result);
    let before = assert_little(before, "a gigabyte");

    // Lines, with one fast handler and two slow subscriptions.
    measures.total.store(0, Ordering::SeqCst);
    let line = format!("yes \"$(head -c 9999 /dev/zero | tr '\\0' x)\" | head -c {MUCH}");
    let id = heard.execute(shell(line)).await.unwrap();
    let (mut lines, mut chunks) =
        (heard.subscribe(id).await.unwrap(), heard.subscribe_chunks(id).await.unwrap());
    let mut every = heard.subscribe_all().await;
    soon("the first", lines.next()).await.unwrap();
    soon("the first", chunks.next()).await.unwrap();
    soon("the first", every.next()).await.unwrap();
    let result = soon("a gigabyte", heard.wait_for_completion(id)).await.unwrap();
    assert_eq!((result.ending, result.lines_missed), (Ending::Exited { code: 0 }, 0));
    let total = || measures.total.load(Ordering::SeqCst);
    until("all of it is heard", || total() >= MUCH / 10_000 * 9999).await;
    assert_eq!(total(), MUCH / 10_000 * 9999);
    let mut told = 0;
    while let Some(record) = soon("the rest", lines.next()).await {
        told += match record.event {
            ExecutionEvent::Stdout { line, .. } => line.len() as u64 + 1,
            ExecutionEvent::OutputMissed { bytes, .. } => bytes,
            _ => 0,
        };
    }
    assert_eq!(told, MUCH as u64);
    drop((result.stdout, lines, chunks, every));
    let before = assert_little(before, "a gigabyte that was heard and watched");

    // One line without end, with a handler.
    measures.total.store(0, Ordering::SeqCst);
    let line = shell("head -c 100000000 /dev/zero");
    let result = soon("100 MB", heard.run(line)).await.unwrap();
    assert_eq!((result.ending, result.lines_missed), (Ending::Exited { code: 0 }, 0));
    until("all of it is heard", || total() >= 100_000_000).await;
    assert_eq!(total(), 100_000_000);
    assert!(measures.longest.load(Ordering::SeqCst) <= 64 * 1024);
    drop(result.stdout);
    let before = assert_little(before, "100 MB in one line");

    // A slow handler, and a process that writes on when the program has ended.
    let leaves_one = ExecutionRequest::exec("python3", ["-c", LEAVES_ONE]);
    let result = soon("the end", slow.run(leaves_one)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    let before = assert_little(before, "a process that writes on");

    // Subscriptions that come and go.
    let id = quiet.execute(ExecutionRequest::exec("sleep", ["1000"])).await.unwrap();
    let (descriptors, threads_before) = (open_descriptors(), threads());
    for _ in 0..100_000 {
        drop(quiet.subscribe(id).await.unwrap());
        drop(quiet.subscribe_all().await);
    }
    assert_eq!(open_descriptors(), descriptors);
    assert!(threads() <= threads_before);
    quiet.cancel(id).await.unwrap();
    soon("the end", quiet.wait_for_completion(id)).await.unwrap();
    assert_little(before, "a hundred thousand who came and went");

    // An attempt with much output, and the next one.
    let before_attempts = resident_memory();
    let keeps = engine_with(|config| config.max_output_size_bytes = 64 * MIB);
    let dir = tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
    let line = format!(
        "if [ -e '{0}' ]; then touch '{1}'; exec sleep 1000; fi; \
         touch '{0}'; head -c 60000000 /dev/zero; exit 1",
        first.display(),
        second.display()
    );
    let retry = RetryPolicy::new(2).initial_delay(Duration::from_millis(1));
    let options = ExecutionOptions::default().retry(retry);
    let id = keeps.execute_with(shell(line), options).await.unwrap();
    until("the second attempt", || second.exists()).await;
    let grown = resident_memory().saturating_sub(before_attempts);
    assert!(grown < 16 * MIB, "the first attempt holds {grown} bytes");
    keeps.cancel(id).await.unwrap();
    soon("the end", keeps.wait_for_completion(id)).await.unwrap();
}
