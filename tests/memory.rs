//! Memory: however much a program puts out, this process holds no more than the limit asks for.
//! The one test of this binary, because it measures the whole process.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use execution_engine::*;
use support::*;

const MIB: usize = 1024 * 1024;

/// Adds up the lengths of the lines, and remembers the longest.
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

/// The most memory that this process has had resident at a time, in bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: usize = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    kib * 1024
}

#[tokio::test]
async fn hundreds_of_megabytes_of_output_need_little_more_memory_than_the_limit() {
    let quiet = engine_with(|config| config.max_output_size_bytes = MIB);
    let measures = Arc::new(Measures::default());
    let heard = engine_with(|config| config.max_output_size_bytes = MIB)
        .with_event_handler(measures.clone());
    for engine in [&quiet, &heard] {
        engine.run(shell("echo warm up")).await.unwrap();
    }
    let before = peak_memory();

    let much = shell("head -c 300000000 /dev/zero");
    let result = soon("300 MB", quiet.run(much)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    let stats = result.stdout_stats;
    assert_eq!((stats.seen_bytes, stats.kept_bytes), (300_000_000, MIB as u64));
    drop(result);
    let grown = peak_memory() - before;
    assert!(grown < 16 * MIB, "300 MB of output took {grown} bytes");

    // One line that never ends, and somebody who wants to hear of it.
    measures.total.store(0, Ordering::SeqCst);
    let line = shell("head -c 100000000 /dev/zero");
    let result = soon("100 MB", heard.run(line)).await.unwrap();
    assert_eq!((result.ending, result.lines_missed), (Ending::Exited { code: 0 }, 0));
    let total = || measures.total.load(Ordering::SeqCst);
    until("all of it is heard", || total() >= 100_000_000).await;
    assert_eq!(total(), 100_000_000);
    assert!(measures.longest.load(Ordering::SeqCst) <= 64 * 1024);
    let grown = peak_memory() - before;
    assert!(grown < 16 * MIB, "100 MB in one line took {grown} bytes");
}
