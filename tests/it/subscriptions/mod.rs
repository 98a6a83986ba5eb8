//! Subscriptions: published records are replayed, live ones follow, each once and in order, and missed
//! bytes are counted.

mod all_executions;
mod lag;
mod output;
mod polling;
mod replay;

use std::fs;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Wake, Waker};
use std::thread;

use execution_engine::*;
use futures_lite::StreamExt as _;
use tempfile::tempdir;
use test_support::*;
use tokio::sync::oneshot;

/// Writes pseudo-random pieces to both streams, cut anywhere and sometimes with a pause between them.
const PIECES: &str = r"
import os, random, sys, time
kind, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
letters = ['a', 'b', 'c', '\n', '\r', '\r\n', '\u20ac', '\U0001f600']
bytes_ = [bytes([b]) for b in b'ab\n\r\xe2\x82\xac\xf0\x9f\x98\x80\x80\x80']
left = {1: b'', 2: b''}
for _ in range(count):
    fd = r.choice((1, 2))
    left[fd] += r.choice(letters).encode() if kind == 'text' else r.choice(bytes_)
    if r.random() < 0.3:
        cut = r.randint(0, len(left[fd]))
        os.write(fd, left[fd][:cut])
        left[fd] = left[fd][cut:]
        if r.random() < 0.1:
            time.sleep(0.012)
for fd in (1, 2):
    os.write(fd, left[fd])
";

fn pieces(kind: &str, seed: u32, count: u32) -> ExecutionRequest {
    let [seed, count] = [seed, count].map(|number| number.to_string());
    ExecutionRequest::exec("python3", ["-c", PIECES, kind, &seed, &count])
}

/// Returns all records to the end.
async fn all(records: Subscription) -> Vec<EventRecord> {
    soon("the last record", records.collect()).await
}

async fn all_chunks(records: ChunkSubscription) -> Vec<ChunkRecord> {
    soon("the last chunk", records.collect()).await
}

/// Returns the next record that satisfies a condition, and drops those before it.
async fn next_that(records: &mut Subscription, is: impl Fn(&EventRecord) -> bool) -> EventRecord {
    soon("the record", records.find(|record| is(record))).await.expect("it has ended")
}

fn line_of(record: &EventRecord) -> Option<(OutputStream, &str)> {
    match &record.event {
        ExecutionEvent::Stdout { line, .. } => Some((OutputStream::Stdout, line)),
        ExecutionEvent::Stderr { line, .. } => Some((OutputStream::Stderr, line)),
        _ => None,
    }
}

fn lines(records: &[EventRecord], of: OutputStream) -> Vec<&str> {
    let lines = records.iter().filter_map(line_of);
    lines.filter(|(stream, _)| *stream == of).map(|(_, line)| line).collect()
}

/// Joins the pieces of a stream.
fn text(records: &[EventRecord], of: OutputStream) -> String {
    let of_stream = records.iter().filter_map(|record| Some((line_of(record)?, record.partial)));
    of_stream
        .filter(|((stream, _), _)| *stream == of)
        .flat_map(|((_, line), partial)| [line, if partial { "" } else { "\n" }])
        .collect()
}

/// Returns how many bytes were missed according to the records.
fn missed(records: &[EventRecord]) -> u64 {
    let missed = |record: &EventRecord| match record.event {
        ExecutionEvent::OutputMissed { bytes, .. } => Some(bytes),
        _ => None,
    };
    records.iter().filter_map(missed).sum()
}

/// Returns how many bytes of output were received; each line counts one byte more.
fn received(records: &[EventRecord]) -> u64 {
    let length = |record| line_of(record).map(|(_, line)| line.len() as u64 + 1);
    records.iter().filter_map(length).sum()
}

/// Checks the order of the records, which holds for every execution.
fn assert_in_order(records: &[EventRecord]) {
    for pair in records.windows(2) {
        assert!(pair[0].sequence < pair[1].sequence, "{pair:?}");
        assert!(pair[0].timestamp <= pair[1].timestamp, "{pair:?}");
    }
    assert!(records.last().is_some_and(|last| last.event.is_terminal()));
}

/// Checks that the lines of a stream are rising numbers.
fn assert_numbered(
    records: &[EventRecord],
    of: OutputStream,
    range: std::ops::RangeInclusive<u64>,
) {
    let mut last = range.start() - 1;
    for line in lines(records, of) {
        let number: u64 = line.parse().unwrap_or_else(|_| panic!("{line:?} is no number"));
        assert!(number > last && range.contains(&number), "{number} comes after {last}");
        last = number;
    }
}

fn limited(limit: usize) -> ExecutionConfig {
    ExecutionConfig { max_output_size_bytes: limit, ..Default::default() }
}

/// Returns the bytes of both streams after a sequence number.
fn bytes_after(chunks: &[ChunkRecord], after: u64) -> [Vec<u8>; 2] {
    let mut streams = [Vec::new(), Vec::new()];
    for chunk in chunks {
        if let ChunkContent::Output { stream, bytes } = &chunk.content {
            let begin = chunk.sequence - bytes.len() as u64;
            let passed = after.saturating_sub(begin).min(bytes.len() as u64) as usize;
            streams[usize::from(*stream == OutputStream::Stderr)].extend(&bytes[passed..]);
        }
    }
    streams
}
