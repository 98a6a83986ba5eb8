//! Output is kept, spilled, published and counted to the byte: in every strategy, at every edge, for
//! any number of handlers and subscriptions.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use execution_engine::OversizedOutputStrategy::{FailExecution, StreamToFile, TruncateWithWarning};
use execution_engine::*;
use proptest::prelude::*;
use tempfile::tempdir;
use test_support::*;

/// Returns pseudo-random bytes of a seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut noise = Vec::with_capacity(length + 8);
    while noise.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(length);
    noise
}

/// Writes two files, one to each stream, at the same time.
fn both(out: &Path, err: &Path) -> ExecutionRequest {
    shell(format!("cat '{}' >&2 & cat '{}'; wait", err.display(), out.display()))
}

/// Strategy of an engine for output beyond its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Given(OversizedOutputStrategy),
    HeadAndTail,
}

const WAYS: [Way; 4] = [
    Way::Given(TruncateWithWarning),
    Way::Given(FailExecution),
    Way::Given(StreamToFile),
    Way::HeadAndTail,
];

fn engine_that(way: Way, limit: usize) -> ExecutionEngine {
    let mut config = ExecutionConfig { max_output_size_bytes: limit, ..Default::default() };
    if let Way::Given(strategy) = way {
        config.oversized_output_strategy = strategy;
    }
    let builder = ExecutionEngine::builder().config(config);
    if way == Way::HeadAndTail { builder.keep_head_and_tail() } else { builder }.build().unwrap()
}

/// One stream of a result.
struct Kept<'a> {
    bytes: Bytes,
    text: &'a str,
    file: Option<&'a PathBuf>,
    stats: StreamStats,
}

fn streams(result: &ExecutionResult) -> [Kept<'_>; 2] {
    [
        Kept {
            bytes: result.stdout_bytes(),
            text: &result.stdout,
            file: result.stdout_overflow_file.as_ref(),
            stats: result.stdout_stats,
        },
        Kept {
            bytes: result.stderr_bytes(),
            text: &result.stderr,
            file: result.stderr_overflow_file.as_ref(),
            stats: result.stderr_stats,
        },
    ]
}

/// Returns `true` for a byte of UTF-8 that continues a character.
fn continues(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Returns how many of the first `limit` bytes are kept: no character is split.
fn head(whole: &[u8], limit: usize) -> usize {
    if whole.len() <= limit {
        return whole.len();
    }
    for back in 1..=3.min(limit) {
        let byte = whole[limit - back];
        if continues(byte) {
            continue;
        }
        let needs = match byte {
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000..=0b1111_0111 => 4,
            _ => 1,
        };
        return if needs > back { limit - back } else { limit };
    }
    limit
}

/// Checks one stream of an execution that was not stopped.
fn assert_kept(kept: &Kept<'_>, whole: &[u8], way: Way, limit: usize) {
    let what = format!("{way:?}, limit {limit} of {}", whole.len());
    assert_eq!(kept.stats.seen_bytes, whole.len() as u64, "{what}");
    let fits = whole.len() <= limit;
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let first = head(whole, limit);
    match way {
        Way::Given(StreamToFile) => {
            assert!(kept.bytes == whole[..first], "{what}");
            assert!(kept.text == lossy(&whole[..first]), "{what}");
            assert_eq!(kept.stats.kept_bytes, whole.len() as u64, "{what}");
            assert_eq!(kept.file.is_some(), !fits, "{what}");
            let rest = kept.file.map(|file| fs::read(file).unwrap()).unwrap_or_default();
            assert!(rest == whole[first..], "{what}");
        }
        _ if fits => {
            assert!(kept.bytes == whole && kept.text == lossy(whole), "{what}");
            assert_eq!(kept.stats.kept_bytes, whole.len() as u64, "{what}");
        }
        Way::HeadAndTail => {
            let first = head(whole, limit - limit / 2);
            let tail = &whole[whole.len() - (limit - first)..];
            let cut = tail.iter().take(3).take_while(|byte| continues(**byte)).count();
            let tail = &tail[cut..];
            assert!(kept.bytes == [&whole[..first], tail].concat(), "{what}");
            let missing = whole.len() - first - tail.len();
            assert_eq!(kept.stats.kept_bytes, (whole.len() - missing) as u64, "{what}");
            // Without room for a tail there is no tail to put the warning before.
            let warning = format!("{missing} bytes are missing here");
            let warning = if limit < 2 { "truncated" } else { &warning };
            assert!(kept.text.contains(warning), "{what}");
            assert!(kept.text.starts_with(&lossy(&whole[..first])), "{what}");
            assert!(kept.text.ends_with(&lossy(tail)), "{what}");
        }
        Way::Given(_) => {
            assert!(kept.bytes == whole[..first], "{what}");
            assert_eq!(kept.stats.kept_bytes, first as u64, "{what}");
            let warning = kept.text.strip_prefix(&lossy(&whole[..first])).unwrap();
            assert!(warning.contains("truncated") && warning.ends_with('\n'), "{what}");
            assert!(warning.trim().lines().count() == 1, "{what}");
        }
    }
}

async fn assert_exact(way: Way, limit: usize, request: ExecutionRequest, whole: [&[u8]; 2]) {
    let engine = engine_that(way, limit);
    let result = soon("the end", engine.run(request)).await.unwrap();
    let is_too_long = whole.iter().any(|whole| whole.len() > limit);
    if way == Way::Given(FailExecution) && is_too_long {
        let Ending::OutputLimit { stream, limit: told } = result.ending else {
            panic!("{:?}", result.ending);
        };
        let index = usize::from(stream == OutputStream::Stderr);
        assert_eq!(told, limit);
        assert!(whole[index].len() > limit, "{stream} was not too long");
        let kept = &streams(&result)[index];
        let first = head(whole[index], limit);
        assert!(kept.bytes == whole[index][..first], "limit {limit} of {}", whole[index].len());
        assert!(kept.stats.seen_bytes > limit as u64);
        return;
    }
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    for (kept, whole) in streams(&result).iter().zip(whole) {
        assert_kept(kept, whole, way, limit);
    }
}

#[tokio::test]
async fn fifty_megabytes_on_both_streams_are_exact_everywhere() {
    const LENGTH: usize = 50_000_000;
    let dir = tempdir().unwrap();
    let [out, err] = ["out", "err"].map(|name| dir.path().join(name));
    let noise = [noise(0x9e37_79b9_7f4a_7c15, LENGTH), noise(0xd1b5_4a32_d192_ed03, LENGTH)];
    fs::write(&out, &noise[0]).unwrap();
    fs::write(&err, &noise[1]).unwrap();
    let whole = [&noise[0][..], &noise[1][..]];
    for way in WAYS {
        assert_exact(way, 1_000_001, both(&out, &err), whole).await;
    }
    assert_exact(Way::Given(TruncateWithWarning), LENGTH, both(&out, &err), whole).await;
}

/// Returns texts with lengths near the edges of chunks, and limits near both.
fn any_text_and_limit() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let edge = prop_oneof![Just(1), Just(100), Just(4096), Just(65_536), Just(131_072)];
    let letters =
        prop_oneof![Just("a"), Just("é"), Just("€"), Just("😀"), Just("\n"), Just("\u{0}")];
    let pattern = prop::collection::vec(letters, 1..40);
    (pattern, edge.clone(), -9..10_i64, edge, -9..10_i64, any::<bool>()).prop_map(
        |(pattern, length, more, limit, above, near_the_end)| {
            let near = |edge: i64, by: i64| (edge + by).max(1) as usize;
            let length = near(length, more);
            let pattern = pattern.concat().into_bytes();
            let text: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
            let limit = if near_the_end { length as i64 } else { limit };
            (text, near(limit, above))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..Default::default() })]

    #[test]
    fn limits_are_exact_at_every_edge(
        (out, limit) in any_text_and_limit(),
        (err, _) in any_text_and_limit(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempdir().unwrap();
        let files = ["out", "err"].map(|name| dir.path().join(name));
        fs::write(&files[0], &out).unwrap();
        fs::write(&files[1], &err).unwrap();
        for way in WAYS {
            let request = both(&files[0], &files[1]);
            runtime.block_on(assert_exact(way, limit, request, [&out, &err]));
        }
    }
}

#[tokio::test]
async fn result_from_json_has_its_text() {
    let engine = engine();
    let result = engine.run(shell(r"printf 'a\377\000b\n'; printf 'err\n' >&2")).await.unwrap();
    assert_eq!(&result.stdout_bytes()[..], b"a\xff\0b\n");
    assert_eq!(&result.stderr_bytes()[..], b"err\n");
    let again = engine.wait_for_completion(result.id).await.unwrap();
    assert_eq!(again.stdout_bytes().as_ptr(), result.stdout_bytes().as_ptr(), "shared");

    let json = serde_json::to_string(&result).unwrap();
    let read: ExecutionResult = serde_json::from_str(&json).unwrap();
    assert_eq!(read.stdout, "a\u{fffd}\0b\n");
    assert_eq!(&read.stdout_bytes()[..], read.stdout.as_bytes());
    assert_eq!(&read.stderr_bytes()[..], b"err\n");
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
}

#[tokio::test]
async fn merged_streams_are_exact() {
    let dir = tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    let noise = [noise(7, 300_000), noise(8, 300_000)];
    fs::write(&one, &noise[0]).unwrap();
    fs::write(&two, &noise[1]).unwrap();
    let line = format!(
        "cat '{one}'; cat '{two}' >&2; cat '{one}' >&2; cat '{two}'",
        one = one.display(),
        two = two.display()
    );
    let engine = engine();
    let options = ExecutionOptions::default().output(OutputMode::Merged);
    let id = engine.execute_with(shell(line), options).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert!(result.stdout_bytes() == noise.concat().repeat(2));
    assert_eq!(result.stderr_stats.seen_bytes, 0);
}

#[tokio::test]
async fn alternating_single_bytes_are_exact() {
    const TURNS: usize = 20_000;
    let program = "
import os
for turn in range(20000):
    os.write(1, bytes([turn % 251]))
    os.write(2, bytes([turn % 241]))
";
    let engine = engine();
    let id = engine.execute(ExecutionRequest::exec("python3", ["-c", program])).await.unwrap();
    let mut chunks = engine.subscribe_chunks(id).await.unwrap();
    let (mut received, mut missed) = (0, 0);
    while let Some(chunk) = soon("a chunk", chunks.next()).await {
        match chunk.content {
            ChunkContent::Output { bytes, .. } => received += bytes.len() as u64,
            ChunkContent::Event(ExecutionEvent::OutputMissed { bytes, .. }) => missed += bytes,
            _ => {}
        }
    }
    assert_eq!(received + missed, 2 * TURNS as u64);
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    let expected = |modulus| (0..TURNS).map(|turn| (turn % modulus) as u8).collect::<Vec<u8>>();
    assert!(result.stdout_bytes() == expected(251) && result.stderr_bytes() == expected(241));
}

// A million lines.

const LAST: u64 = 1_000_000;

/// Handler that checks that its lines are the numbers from 1 on.
#[derive(Default)]
struct Counts {
    /// Events between two pauses; 0 is no pause.
    pace: u64,
    next: AtomicU64,
    wrong: AtomicU64,
}

#[async_trait]
impl EventHandler for Counts {
    async fn handle_event(&self, event: ExecutionEvent) {
        if let ExecutionEvent::Stdout { line, .. } = event {
            let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
            if line.parse() != Ok(number) {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
            if self.pace > 0 && number.is_multiple_of(self.pace) {
                pause(Duration::from_millis(1)).await;
            }
        }
    }
}

/// Lines and bytes that a subscription received, and bytes that it missed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    lines: u64,
    bytes: u64,
    missed: u64,
}

/// Adds up a subscription and checks that each line is a number above the last one.
async fn account(mut records: Subscription, pause_after: Option<u64>) -> Account {
    let mut account = Account::default();
    let mut last = 0;
    while let Some(record) = soon("a record", records.next()).await {
        match record.event {
            ExecutionEvent::Stdout { line, .. } => {
                let number: u64 = line.parse().unwrap();
                assert!(number > last, "{number} comes after {last}");
                last = number;
                account.lines += 1;
                account.bytes += line.len() as u64 + 1;
                if pause_after.is_some_and(|lines| account.lines.is_multiple_of(lines)) {
                    pause(Duration::from_millis(1)).await;
                }
            }
            ExecutionEvent::OutputMissed { bytes, .. } => account.missed += bytes,
            _ => {}
        }
    }
    account
}

#[tokio::test]
async fn million_lines_reach_handlers_once_and_subscriptions_count_all() {
    let [fast, slow] = [0, 20_000].map(|pace| Arc::new(Counts { pace, ..Default::default() }));
    let engine = engine_with(|config| config.max_output_size_bytes = 100_000)
        .with_event_handler(fast.clone())
        .with_event_handler(slow.clone());
    let id = engine.execute(shell(format!("seq 1 {LAST}"))).await.unwrap();
    let [quick, lagging] =
        [engine.subscribe(id).await.unwrap(), engine.subscribe(id).await.unwrap()];
    let quick = tokio::spawn(account(quick, None));
    let lagging = tokio::spawn(account(lagging, Some(100)));
    until("half of the lines are delivered", || fast.next.load(Ordering::Relaxed) > LAST / 2).await;
    let late = tokio::spawn(account(engine.subscribe(id).await.unwrap(), None));

    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!((result.ending, result.lines_missed), (Ending::Exited { code: 0 }, 0));
    for handler in [&fast, &slow] {
        until("all lines are delivered", || handler.next.load(Ordering::Relaxed) == LAST).await;
        assert_eq!(handler.wrong.load(Ordering::Relaxed), 0);
    }
    let written = result.stdout_stats.seen_bytes;
    let after_the_end = account(engine.subscribe(id).await.unwrap(), None).await;
    for account in [quick, lagging, late] {
        let account = soon("a subscription", account).await.unwrap();
        assert_eq!(account.bytes + account.missed, written, "{account:?}");
        assert!(account.lines >= after_the_end.lines, "{account:?}");
    }
    assert_eq!(after_the_end.bytes + after_the_end.missed, written, "{after_the_end:?}");
    assert!(after_the_end.bytes <= 100_000 && after_the_end.bytes > 99_990);
}
