//! Watching an execution: what was published is told again and goes on live, each record once and in
//! order, and what a slow watcher misses is counted to the byte.

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

/// Writes pieces of what is made from a seed to both streams, cut anywhere and sometimes with a
/// silence between them.
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

/// All records to the end.
async fn all(records: Subscription) -> Vec<EventRecord> {
    soon("the last record", records.collect()).await
}

async fn all_chunks(records: ChunkSubscription) -> Vec<ChunkRecord> {
    soon("the last chunk", records.collect()).await
}

/// The next record that satisfies a condition; those before it are dropped.
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

/// The pieces of a stream put together.
fn text(records: &[EventRecord], of: OutputStream) -> String {
    let of_stream = records.iter().filter_map(|record| Some((line_of(record)?, record.partial)));
    of_stream
        .filter(|((stream, _), _)| *stream == of)
        .flat_map(|((_, line), partial)| [line, if partial { "" } else { "\n" }])
        .collect()
}

/// How many bytes were missed, by what the records say.
fn missed(records: &[EventRecord]) -> u64 {
    let missed = |record: &EventRecord| match record.event {
        ExecutionEvent::OutputMissed { bytes, .. } => Some(bytes),
        _ => None,
    };
    records.iter().filter_map(missed).sum()
}

/// How many bytes of output were received, where each line has one byte more.
fn received(records: &[EventRecord]) -> u64 {
    let length = |record| line_of(record).map(|(_, line)| line.len() as u64 + 1);
    records.iter().filter_map(length).sum()
}

/// Checks what holds for the records of every execution.
fn assert_in_order(records: &[EventRecord]) {
    for pair in records.windows(2) {
        assert!(pair[0].sequence < pair[1].sequence, "{pair:?}");
        assert!(pair[0].timestamp <= pair[1].timestamp, "{pair:?}");
    }
    assert!(records.last().is_some_and(|last| last.event.is_terminal()));
}

/// Checks that lines of a stream are numbers, each whole, none twice, in order.
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

// One execution.

#[tokio::test]
async fn it_begins_with_what_was_published_goes_on_live_and_ends() {
    use ExecutionStatus::{Failed, Pending, Running};
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("echo one; echo err >&2; {}; echo two; exit 3", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    let mut early = engine.subscribe(id).await.unwrap();
    next_that(&mut early, |record| line_of(record) == Some((OutputStream::Stderr, "err"))).await;

    let mut records = engine.subscribe(id).await.unwrap();
    let mut seen = vec![next_that(&mut records, |_| true).await];
    let ExecutionEvent::Started { execution_id, .. } = seen[0].event else { panic!("{seen:?}") };
    assert_eq!((execution_id, seen[0].execution_id), (id, id));
    while lines(&seen, OutputStream::Stderr).is_empty()
        || lines(&seen, OutputStream::Stdout).is_empty()
    {
        seen.push(next_that(&mut records, |_| true).await);
    }
    fs::write(go, "").unwrap();
    while let Some(record) = soon("the rest", records.next()).await {
        seen.push(record);
    }
    assert_eq!(soon("nothing more", records.next()).await, None);

    assert_in_order(&seen);
    assert_eq!(lines(&seen, OutputStream::Stdout), ["one", "two"]);
    assert_eq!(lines(&seen, OutputStream::Stderr), ["err"]);
    let begins = ExecutionEvent::StatusChanged { execution_id: id, from: Pending, to: Running };
    let ends = ExecutionEvent::StatusChanged { execution_id: id, from: Running, to: Failed };
    assert_eq!((&seen[1].event, &seen[seen.len() - 2].event), (&begins, &ends));
    let last = &seen.last().unwrap().event;
    assert!(matches!(last, ExecutionEvent::Completed { success: false, exit_code: 3, .. }));
}

#[tokio::test]
async fn who_comes_after_the_end_is_told_the_same() {
    let engine = engine();
    for line in ["seq 1 3000; seq 1 3000 >&2; printf last", "exit 3", "kill -9 $$"] {
        let id = engine.execute(shell(line)).await.unwrap();
        let live = all(engine.subscribe(id).await.unwrap()).await;
        assert_in_order(&live);
        assert!(all(engine.subscribe(id).await.unwrap()).await == live, "{line}");
    }
    let not_there = ExecutionRequest::exec("/dev/null/not/there", [""; 0]);
    let refused = engine.execute(not_there.clone()).await;
    assert!(refused.is_err(), "{refused:?}");
    let unknown = engine.subscribe(not_there.id).await.map(drop);
    assert_eq!(unknown, Err(ExecutionError::NotFound(not_there.id)));
    let unknown = engine.subscribe_chunks_from(not_there.id, 3).await.map(drop);
    assert_eq!(unknown, Err(ExecutionError::NotFound(not_there.id)));
}

#[tokio::test]
async fn one_that_could_not_be_started_has_two_records() {
    let dir = tempdir().unwrap();
    let program = dir.path().join("program");
    fs::write(&program, [0_u8; 64]).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&program, mode).unwrap();
    let engine = engine();
    let request = ExecutionRequest::exec(program.to_str().unwrap(), [""; 0]);
    let id = engine.execute(request).await.unwrap();
    let records = all(engine.subscribe(id).await.unwrap()).await;
    let [ExecutionEvent::StatusChanged { .. }, ExecutionEvent::Failed { .. }] =
        [&records[0].event, &records[1].event]
    else {
        panic!("{records:?}");
    };
    assert_in_order(&records);
    assert!(all(engine.subscribe(id).await.unwrap()).await == records);
}

#[tokio::test]
async fn who_comes_late_is_told_what_is_kept_and_how_much_is_not() {
    use OversizedOutputStrategy::{FailExecution, StreamToFile, TruncateWithWarning};
    let text = "aé€😀\n".repeat(40);
    for limit in (1..=13).chain([437, 438, 439]) {
        for strategy in [TruncateWithWarning, FailExecution, StreamToFile] {
            let engine = engine_with(|config| {
                config.max_output_size_bytes = limit;
                config.oversized_output_strategy = strategy;
            });
            // The other stream is kept as a whole, and has a line around the gap.
            let line = format!("printf b >&2; printf '{text}'; printf b >&2");
            let result = soon("the run", engine.run(shell(line))).await.unwrap();
            let kept = result.stdout_bytes();
            let records = all(engine.subscribe(result.id).await.unwrap()).await;
            assert_in_order(&records);
            let missed = missed(&records);
            let told: String = self::text(&records, OutputStream::Stdout);
            assert!(text.starts_with(&told), "{told:?} of {kept:?}");
            let [seen_out, seen_err] =
                [result.stdout_stats.seen_bytes, result.stderr_stats.seen_bytes];
            let err = self::text(&records, OutputStream::Stderr);
            assert_eq!(
                (told.len() + err.len()) as u64 + missed,
                seen_out + seen_err,
                "limit {limit}, {strategy:?}: {records:?}"
            );
            let whole_lines = kept.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            assert!(told.len() >= whole_lines, "limit {limit}, {strategy:?}: {records:?}");
            let chunks = all_chunks(engine.subscribe_chunks(result.id).await.unwrap()).await;
            assert!(bytes_after(&chunks, 0)[0] == kept, "limit {limit}, {strategy:?}");
        }
    }
}

/// A text whose lines end as those of events do.
fn without_returns(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    let plain = |line: &str| {
        line.strip_suffix('\n').map(|line| format!("{}\n", line.trim_end_matches('\r')))
    };
    lines.map(|line| plain(line).unwrap_or_else(|| line.to_string())).collect()
}

/// The bytes of both streams behind a place of the sequence.
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

#[tokio::test]
async fn the_pieces_of_a_stream_put_together_are_the_output_and_can_be_taken_up_anywhere() {
    for (seed, longest) in [(1, 4), (2, 5), (3, 7), (4, 64)] {
        let engine = ExecutionEngine::builder().max_line_bytes(longest).build().unwrap();
        let options = || ExecutionOptions::default().partial_lines_after(Duration::from_millis(4));
        let id = engine.execute_with(pieces("text", seed, 300), options()).await.unwrap();
        let live = all(engine.subscribe(id).await.unwrap()).await;
        assert_in_order(&live);
        let result = engine.wait_for_completion(id).await.unwrap();
        for (stream, expected) in
            [(OutputStream::Stdout, &result.stdout), (OutputStream::Stderr, &result.stderr)]
        {
            let told = without_returns(&text(&live, stream));
            assert_eq!(told, without_returns(expected), "seed {seed}, longest {longest}");
            assert!(lines(&live, stream).iter().all(|line| line.len() <= longest));
        }

        // Bytes that are no text, where nothing can be put together but everything taken up.
        let other = engine.execute_with(pieces("bytes", seed, 300), options()).await.unwrap();
        let other_live = all(engine.subscribe(other).await.unwrap()).await;
        assert_in_order(&other_live);
        for (id, live) in [(id, live), (other, other_live)] {
            let chunks = all_chunks(engine.subscribe_chunks(id).await.unwrap()).await;
            let result = engine.wait_for_completion(id).await.unwrap();
            assert!(bytes_after(&chunks, 0) == [result.stdout_bytes(), result.stderr_bytes()]);
            let places = live.iter().map(|record| record.sequence);
            for after in places.chain(chunks.iter().map(|chunk| chunk.sequence)) {
                let rest = all(engine.subscribe_from(id, after).await.unwrap()).await;
                let expected = live.iter().filter(|record| record.sequence > after);
                assert!(rest.iter().eq(expected), "after {after} of seed {seed}: {rest:#?}");
                let rest = engine.subscribe_chunks_from(id, after).await.unwrap();
                let rest = all_chunks(rest).await;
                assert!(bytes_after(&rest, 0) == bytes_after(&chunks, after), "after {after}");
                assert!(rest.iter().all(|chunk| chunk.sequence > after));
            }
        }
    }
}

#[tokio::test]
async fn the_sequence_orders_both_streams() {
    let engine = engine();
    let line = "while read line; do echo $line; read line; echo $line >&2; done";
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let id = engine.execute_with(shell(line), options).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    let mut last = 0;
    for number in 0..40 {
        engine.write_stdin(id, format!("{number}\n")).await.unwrap();
        let record = next_that(&mut records, |record| line_of(record).is_some()).await;
        let stream = if number % 2 == 0 { OutputStream::Stdout } else { OutputStream::Stderr };
        assert_eq!(line_of(&record), Some((stream, number.to_string().as_str())));
        assert!(record.sequence > last);
        last = record.sequence;
    }
    engine.close_stdin(id).await.unwrap();
    let again = all(engine.subscribe(id).await.unwrap()).await;
    let all_lines = again.iter().filter_map(line_of).map(|(_, line)| line.to_string());
    assert!(all_lines.eq((0..40).map(|number| number.to_string())));
}

#[tokio::test]
async fn merged_streams_are_one_in_exact_order() {
    let line = "i=0; while [ $i -lt 300 ]; do printf a; printf b >&2; echo c; i=$((i+1)); done";
    let options = ExecutionOptions::default().output(OutputMode::Merged);
    let engine = engine();
    let id = engine.execute_with(shell(line), options).await.unwrap();
    let records = all(engine.subscribe(id).await.unwrap()).await;
    assert_eq!(text(&records, OutputStream::Stdout), "abc\n".repeat(300));
    let result = engine.wait_for_completion(id).await.unwrap();
    assert_eq!((result.stdout, result.stderr), ("abc\n".repeat(300), String::new()));
}

#[tokio::test]
async fn it_can_be_taken_up_while_the_program_runs() {
    let engine = ExecutionEngine::builder().max_line_bytes(6).build().unwrap();
    for (kind, seed) in [("text", 11), ("bytes", 12)] {
        let options = ExecutionOptions::default().partial_lines_after(Duration::from_millis(4));
        let id = engine.execute_with(pieces(kind, seed, 400), options).await.unwrap();
        let mut records = engine.subscribe(id).await.unwrap();
        let (mut live, mut resumed) = (Vec::new(), Vec::new());
        while let Some(record) = soon("a record", records.next()).await {
            if live.len() % 5 == 0 {
                let rest = engine.subscribe_from(id, record.sequence).await.unwrap();
                resumed.push((record.sequence, tokio::spawn(all(rest))));
            }
            live.push(record);
        }
        assert_in_order(&live);
        for (after, rest) in resumed {
            let rest = soon("the rest", rest).await.unwrap();
            let expected = live.iter().filter(|record| record.sequence > after);
            assert!(rest.iter().eq(expected), "after {after} of {kind}: {rest:#?}");
        }
    }
}

#[tokio::test]
async fn a_place_that_has_not_been_reached_is_the_present() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("echo early; {}; echo late; printf later", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    let early = next_that(&mut records, |record| line_of(record).is_some()).await;

    let mut watching = Vec::new();
    for place in [early.sequence + 3, u64::MAX] {
        let rest = engine.subscribe_from(id, place).await.unwrap();
        let chunks = engine.subscribe_chunks_from(id, place).await.unwrap();
        watching.push((rest, chunks));
    }
    fs::write(&go, "").unwrap();
    for (rest, chunks) in watching {
        let rest = soon("the rest", all(rest)).await;
        assert_eq!(lines(&rest, OutputStream::Stdout), ["late", "later"]);
        let chunks = soon("the chunks", all_chunks(chunks)).await;
        assert_eq!(bytes_after(&chunks, 0)[0], b"late\nlater");
    }
    for place in [early.sequence + 100, u64::MAX] {
        let nothing = all(engine.subscribe_from(id, place).await.unwrap()).await;
        assert!(nothing.is_empty(), "{nothing:#?}");
    }
}

#[tokio::test]
async fn a_line_that_was_never_finished_takes_one_number_more() {
    let engine = engine();
    let id = engine.run(shell("echo one; printf two")).await.unwrap().id;
    let records = all(engine.subscribe(id).await.unwrap()).await;
    let numbers: Vec<u64> = records.iter().map(|record| record.sequence).collect();
    assert_eq!(numbers, [1, 2, 6, 10, 11, 12], "{records:#?}");
}

// Those who are slow.

#[tokio::test]
async fn who_lags_is_told_the_exact_number_of_bytes_it_missed_and_gets_whole_lines() {
    for (limit, window) in [(1000, 64 * 1024), (100_000, 5000), (1, 0), (1, 100)] {
        let builder = ExecutionEngine::builder().config(limited(limit)).replay_window(window);
        let engine = builder.build().unwrap();
        let line = "seq 100001 300000 & seq 400001 600000 >&2; wait";
        let id = engine.execute(shell(line)).await.unwrap();
        let mut records = engine.subscribe(id).await.unwrap();
        let mut seen = vec![soon("the first", records.next()).await.unwrap()];
        let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
        seen.extend(all(records).await);
        let written = result.stdout_stats.seen_bytes + result.stderr_stats.seen_bytes;
        assert_eq!(written, 2 * 200_000 * 7);
        assert_eq!(received(&seen) + missed(&seen), written, "window {window}");
        assert!(missed(&seen) > 0);
        assert_in_order(&seen);
        assert_numbered(&seen, OutputStream::Stdout, 100_001..=300_000);
        assert_numbered(&seen, OutputStream::Stderr, 400_001..=600_000);
        if window >= 64 * 1024 {
            // What the window holds at the end has the last line of one of them.
            let [out, err] =
                [OutputStream::Stdout, OutputStream::Stderr].map(|of| lines(&seen, of));
            assert!(out.ends_with(&["300000"]) || err.ends_with(&["600000"]), "window {window}");
        }
    }
}

#[tokio::test]
async fn a_line_whose_beginning_was_missed_is_missed_as_a_whole() {
    let dir = tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    let builder = ExecutionEngine::builder().config(limited(1)).replay_window(20);
    let engine = builder.build().unwrap();
    let line = format!(
        "printf %030d 7; {}; printf middle; printf 'err\n' >&2; {}; printf 'end\nwhole\n'",
        wait_for(&one),
        wait_for(&two)
    );
    let id = engine.execute(shell(line)).await.unwrap();
    let mut chunks = engine.subscribe_chunks(id).await.unwrap();
    let is_output = |chunk: &ChunkRecord| matches!(chunk.content, ChunkContent::Output { .. });
    soon("the beginning", chunks.find(is_output)).await.unwrap();
    fs::write(one, "").unwrap();
    let is_err = |chunk: &ChunkRecord| match &chunk.content {
        ChunkContent::Output { stream, .. } => *stream == OutputStream::Stderr,
        _ => false,
    };
    soon("the error", chunks.find(is_err)).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    let begins = next_that(&mut records, |record| missed(std::slice::from_ref(record)) > 0).await;
    fs::write(two, "").unwrap();
    let mut seen = vec![begins];
    seen.extend(all(records).await);
    assert_in_order(&seen);
    assert_eq!(lines(&seen, OutputStream::Stdout), ["whole"], "{seen:#?}");
    assert_eq!(received(&seen) + missed(&seen), 30 + 6 + 4 + 4 + 6, "{seen:#?}");
}

#[tokio::test]
async fn one_that_never_looks_does_not_hold_the_program_up() {
    let engine = engine_with(|config| config.max_output_size_bytes = 1000);
    let mut dashboard = engine.subscribe_all().await;
    let request = shell("head -c 50000000 /dev/zero");
    let id = engine.execute(request).await.unwrap();
    let [mut lines, mut chunks] =
        [engine.subscribe(id).await.unwrap(), engine.subscribe(id).await.unwrap()];
    // One has been asked once, and waits to be woken.
    soon("the first", lines.next()).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    assert_eq!(result.stdout_stats.seen_bytes, 50_000_000);
    soon("the first", chunks.next()).await.unwrap();
    soon("something", dashboard.next()).await.unwrap();
}

#[tokio::test]
async fn any_number_may_watch_and_each_is_told_everything() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("echo one; {}; seq 1 500", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    let mut watching = Vec::new();
    for number in 0..200 {
        let records = engine.subscribe(id).await.unwrap();
        if number % 2 == 0 {
            watching.push(tokio::spawn(all(records)));
        }
        drop(engine.subscribe_chunks(id).await.unwrap());
        drop(engine.subscribe_all().await);
    }
    fs::write(go, "").unwrap();
    let expected = all(engine.subscribe(id).await.unwrap()).await;
    assert_eq!(lines(&expected, OutputStream::Stdout).len(), 501);
    for watcher in watching {
        assert!(soon("a watcher", watcher).await.unwrap() == expected);
    }
}

#[test]
fn one_that_always_has_something_lets_others_have_their_turn() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = engine_with(|config| config.max_output_size_bytes = 1000);
        let id = engine.execute(shell("yes")).await.unwrap();
        let mut records = engine.subscribe(id).await.unwrap();
        let mut chunks = engine.subscribe_chunks(id).await.unwrap();
        let endless = async { while records.next().await.is_some() {} };
        let too = async { while chunks.next().await.is_some() {} };
        let others = tokio::time::sleep(Duration::from_millis(50));
        tokio::select! {
            () = endless => panic!("it has ended"),
            () = too => panic!("it has ended"),
            () = others => {}
        }
        engine.cancel(id).await.unwrap();
    });
}

// What is told of output.

#[tokio::test]
async fn without_stream_output_there_are_no_lines_but_chunks() {
    let engine = engine_with(|config| config.stream_output = false);
    let id = engine.execute(shell("seq 1 100")).await.unwrap();
    let records = all(engine.subscribe(id).await.unwrap()).await;
    assert_in_order(&records);
    assert_eq!((records.len(), received(&records), missed(&records)), (4, 0, 0), "{records:?}");
    let chunks = all_chunks(engine.subscribe_chunks(id).await.unwrap()).await;
    let result = engine.wait_for_completion(id).await.unwrap();
    assert!(bytes_after(&chunks, 0)[0] == result.stdout_bytes());
}

#[tokio::test]
async fn a_prompt_is_told_after_a_silence() {
    let options = ExecutionOptions::default()
        .stdin(StdinSource::Piped)
        .partial_lines_after(Duration::from_millis(20));
    let engine = engine();
    let line = "printf 'Name? '; read name; echo \"Hello $name\"";
    let id = engine.execute_with(shell(line), options).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    let prompt = next_that(&mut records, |record| line_of(record).is_some()).await;
    assert_eq!((line_of(&prompt), prompt.partial), (Some((OutputStream::Stdout, "Name? ")), true));
    engine.write_stdin(id, "you\n").await.unwrap();
    let greeting = next_that(&mut records, |record| line_of(record).is_some()).await;
    assert_eq!(
        (line_of(&greeting), greeting.partial),
        (Some((OutputStream::Stdout, "Hello you")), false)
    );
}

#[tokio::test]
async fn a_silence_inside_a_character_does_not_split_it() {
    let dir = tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    let options = ExecutionOptions::default().partial_lines_after(Duration::from_millis(10));
    let engine = engine();
    let line = format!(
        r"printf 'caf\303'; {}; printf '\251\360\237'; {}; printf '\230\200'",
        wait_for(&one),
        wait_for(&two)
    );
    let id = engine.execute_with(shell(line), options).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    for (expected, go) in [("caf", one), ("é", two)] {
        let piece = next_that(&mut records, |record| line_of(record).is_some()).await;
        assert_eq!(
            (line_of(&piece), piece.partial),
            (Some((OutputStream::Stdout, expected)), true)
        );
        fs::write(go, "").unwrap();
    }
    let last = next_that(&mut records, |record| line_of(record).is_some()).await;
    assert_eq!((line_of(&last), last.partial), (Some((OutputStream::Stdout, "😀")), true));
}

#[tokio::test]
async fn an_unfinished_line_is_told_as_soon_as_its_stream_is_closed() {
    let engine = engine();
    for (stream, fd) in [(OutputStream::Stdout, 1), (OutputStream::Stderr, 2)] {
        // Several times, because the writing and the closing may be noticed one after the other.
        for _ in 0..20 {
            let line = format!("printf unfinished >&{fd}; exec {fd}>&-; exec sleep 300");
            let id = engine.execute(shell(line)).await.unwrap();
            let mut records = engine.subscribe(id).await.unwrap();
            let told = next_that(&mut records, |record| line_of(record).is_some()).await;
            assert_eq!((line_of(&told), told.partial), (Some((stream, "unfinished")), true));
            assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Running);
            engine.cancel(id).await.unwrap();
        }
    }
}

#[tokio::test]
async fn without_being_asked_for_nothing_unfinished_is_told() {
    let engine = engine();
    let id = engine.execute(shell("printf 'one '; sleep 0.2; echo two")).await.unwrap();
    let records = all(engine.subscribe(id).await.unwrap()).await;
    assert_eq!(lines(&records, OutputStream::Stdout), ["one two"]);
}

#[tokio::test]
async fn a_longest_line_beyond_the_queue_of_a_handler_holds_nobody_up() {
    let recorder = Recorder::new();
    let engine = ExecutionEngine::builder()
        .max_line_bytes(2 * 1024 * 1024)
        .event_handler(recorder.clone())
        .build()
        .unwrap();
    let line = "head -c 900000 /dev/zero | tr '\\0' x; echo; echo next";
    let result = soon("the end", engine.run(shell(line))).await.unwrap();
    assert_eq!((result.ending, result.lines_missed), (Ending::Exited { code: 0 }, 0));
    let events = recorder.all_of(result.id).await;
    let lines = lines_of(&events, OutputStream::Stdout);
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [900_000, 4]);
}

#[tokio::test]
async fn a_line_without_end_comes_in_pieces_of_the_longest_length() {
    let engine = ExecutionEngine::builder().max_line_bytes(1000).build().unwrap();
    let line = "head -c 1000000 /dev/zero | tr '\\0' x";
    let id = engine.execute(shell(line)).await.unwrap();
    let records = all(engine.subscribe(id).await.unwrap()).await;
    let pieces = lines(&records, OutputStream::Stdout);
    assert_eq!(pieces.len(), 1000);
    assert!(pieces.iter().all(|piece| piece.len() == 1000));
    assert!(records.iter().all(|record| record.partial == line_of(record).is_some()));

    let unlimited = ExecutionEngine::builder().max_line_bytes(usize::MAX).build().unwrap();
    let id = unlimited.execute(shell(line)).await.unwrap();
    let records = all(unlimited.subscribe(id).await.unwrap()).await;
    let pieces = lines(&records, OutputStream::Stdout);
    assert_eq!(pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [1_000_000]);

    let refused = ExecutionEngine::builder().max_line_bytes(3).build().map(drop).unwrap_err();
    assert!(refused.to_string().contains("max_line_bytes"), "{refused}");
}

#[tokio::test]
async fn records_are_plain_data() {
    let engine = engine();
    let id = engine.execute(shell("echo one; printf two; exit 3")).await.unwrap();
    for record in all(engine.subscribe(id).await.unwrap()).await {
        let json = serde_json::to_string(&record).unwrap();
        let read: EventRecord = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert_eq!((read.sequence, read.partial), (record.sequence, record.partial));
        assert_eq!((read.timestamp, line_of(&read)), (record.timestamp, line_of(&record)));
    }
}

// Where it is polled.

#[test]
fn it_needs_no_runtime() {
    let engine = engine();
    let line = "for i in 1 2 3; do echo $i; sleep 0.02; done";
    let (id, lines) = futures_lite::future::block_on(async {
        let id = engine.execute(shell(line)).await.unwrap();
        let records = engine.subscribe(id).await.unwrap();
        let lines = records.filter_map(|record| Some(line_of(&record)?.1.to_string()));
        (id, lines.collect::<Vec<_>>().await)
    });
    assert_eq!(lines, ["1", "2", "3"]);
    let elsewhere = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { engine.subscribe(id).await.unwrap().count().await })
    });
    assert_eq!(elsewhere.join().unwrap(), 7);
}

#[tokio::test]
async fn one_that_moves_to_another_task_goes_on_there() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("echo one; {}; echo two", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    next_that(&mut records, |record| line_of(record).is_some()).await;
    let waiting = async { tokio::time::timeout(Duration::from_millis(1), records.next()).await };
    assert!(waiting.await.is_err(), "there is nothing new");
    let rest = tokio::spawn(all(records));
    fs::write(go, "").unwrap();
    let rest = soon("the rest", rest).await.unwrap();
    assert_eq!(lines(&rest, OutputStream::Stdout), ["two"]);
}

/// A task of somebody else's: it watches, too, and goes with the last who would wake it.
struct Task(#[expect(dead_code, reason = "it goes with the task")] Mutex<Subscription>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn a_task_that_goes_with_its_waker_may_watch_the_same_execution() {
    let engine = engine();
    let id = engine.execute(shell("exec sleep 1000")).await.unwrap();
    for is_dropped in [true, false] {
        let mut watched = engine.subscribe_from(id, u64::MAX).await.unwrap();
        let task = Task(Mutex::new(engine.subscribe(id).await.unwrap()));
        let (sender, turn) = oneshot::channel();
        // A thread that nobody waits for, should it never come back.
        thread::spawn(move || {
            let mut look = |waker: &Waker| {
                let next = pin!(watched.next());
                assert!(next.poll(&mut Context::from_waker(waker)).is_pending());
            };
            look(&Waker::from(Arc::new(task)));
            if !is_dropped {
                look(Waker::noop());
            }
            drop(watched);
            sender.send(()).unwrap();
        });
        soon("its turn", turn).await.unwrap();
    }
    engine.cancel(id).await.unwrap();
    soon("the end", engine.wait_for_completion(id)).await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_engine_is_told_to_those_who_watch() {
    let engine = engine();
    let id = engine.execute(shell("echo here; exec sleep 1000")).await.unwrap();
    let mut one = engine.subscribe(id).await.unwrap();
    let mut every = engine.subscribe_all().await;
    next_that(&mut one, |record| line_of(record).is_some()).await;
    drop(engine);
    for records in [&mut one, &mut every] {
        next_that(records, |record| matches!(record.event, ExecutionEvent::Cancelled { .. })).await;
        assert_eq!(soon("the end", records.next()).await, None);
    }
}

#[tokio::test]
async fn one_that_waits_in_the_queue_can_be_watched_before_it_starts() {
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
        .admission(Admission::Queue { max_waiting: 2 })
        .build()
        .unwrap();
    let first = engine.execute(ExecutionRequest::exec("sleep", ["1000"])).await.unwrap();
    let second = engine.execute(shell("echo second")).await.unwrap();
    let third = engine.execute(shell("echo third")).await.unwrap();
    let [waits, never] =
        [engine.subscribe(second).await.unwrap(), engine.subscribe(third).await.unwrap()];
    engine.cancel(third).await.unwrap();
    let never = all(never).await;
    assert!(matches!(never.last().unwrap().event, ExecutionEvent::Cancelled { .. }));
    engine.cancel(first).await.unwrap();
    let records = all(waits).await;
    assert_in_order(&records);
    assert_eq!(lines(&records, OutputStream::Stdout), ["second"]);
}

// All executions.

/// What a watcher of all was told of one execution.
fn of(records: &[EventRecord], id: Uuid) -> Vec<EventRecord> {
    records.iter().filter(|record| record.execution_id == id).cloned().collect()
}

/// What comes until so many executions have ended.
async fn until_ended(records: &mut Subscription, count: usize) -> Vec<EventRecord> {
    let mut seen = Vec::new();
    let ended =
        |seen: &[EventRecord]| seen.iter().filter(|record| record.event.is_terminal()).count();
    while ended(&seen) < count {
        seen.push(next_that(records, |_| true).await);
    }
    seen
}

#[tokio::test]
async fn who_watches_all_is_told_of_each_what_one_is_told_who_watches_it_alone() {
    let engine = engine();
    let mut every = engine.subscribe_all().await;
    let mut ids = Vec::new();
    for number in 0..30 {
        let line = format!("seq {number} 200; seq {number} 200 >&2; exit {number}");
        ids.push(engine.execute(shell(line)).await.unwrap());
    }
    let seen = until_ended(&mut every, ids.len()).await;
    for id in ids {
        let alone = all(engine.subscribe(id).await.unwrap()).await;
        assert!(of(&seen, id) == alone);
    }
}

#[tokio::test]
async fn who_watches_all_is_told_of_those_that_run_what_comes_from_now_on() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("echo before; {}; echo after", wait_for(&go));
    let old = engine.execute(shell(line)).await.unwrap();
    let mut alone = engine.subscribe(old).await.unwrap();
    next_that(&mut alone, |record| line_of(record).is_some()).await;

    let mut every = engine.subscribe_all().await;
    let new = engine.run(shell("echo new")).await.unwrap().id;
    fs::write(go, "").unwrap();
    let seen = until_ended(&mut every, 2).await;
    // The first line may have been on its way by then.
    assert_eq!(lines(&of(&seen, old), OutputStream::Stdout).last(), Some(&"after"));
    assert!(
        !of(&seen, old).iter().any(|record| matches!(record.event, ExecutionEvent::Started { .. }))
    );
    assert!(of(&seen, new) == all(engine.subscribe(new).await.unwrap()).await);
}

#[tokio::test]
async fn who_watches_all_too_slowly_is_told_how_many_executions_it_missed() {
    let engine = engine_with(|config| config.max_in_memory_executions = 2);
    let every = engine.subscribe_all().await;
    for number in 0..6 {
        engine.run(shell(format!("echo {number}"))).await.unwrap();
    }
    drop(engine);
    let seen: Vec<EventRecord> = soon("the end", every.collect()).await;
    let count = |record: &EventRecord| match record.event {
        ExecutionEvent::ExecutionsMissed { count } => Some(count),
        _ => None,
    };
    assert_eq!(seen.iter().filter_map(count).sum::<u64>(), 4, "{seen:#?}");
    assert!(
        seen.iter()
            .filter(|record| count(record).is_some())
            .all(|record| { record.execution_id.is_nil() && record.event.execution_id().is_nil() })
    );
    assert_eq!(lines(&seen, OutputStream::Stdout), ["4", "5"]);
}

#[tokio::test]
async fn who_watches_all_can_tell_executions_of_the_same_id_apart() {
    // The id is used again when so many records of the first execution have been taken.
    for taken in 0..=5 {
        let engine = engine();
        let mut every = engine.subscribe_all().await;
        let mut other = engine.subscribe_all().await;
        let id = Uuid::new_v4();
        engine.run(shell("echo first").id(id)).await.unwrap();
        until_ended(&mut other, 1).await;
        let mut seen = Vec::new();
        for _ in 0..taken {
            seen.extend(soon("a record", every.next()).await);
        }
        engine.remove_execution(id).await.unwrap();
        engine.run(shell("echo second").id(id)).await.unwrap();
        drop(engine);
        seen.extend(soon("the end", every.collect::<Vec<_>>()).await);

        // One that has been begun is told to its end, one that is forgotten before is missed.
        let missed = usize::from(taken == 0);
        let of_missed = |record: &&EventRecord| {
            matches!(record.event, ExecutionEvent::ExecutionsMissed { count: 1 })
        };
        assert_eq!(seen.iter().filter(of_missed).count(), missed, "{taken} taken: {seen:#?}");
        let expected = &["first", "second"][missed..];
        assert_eq!(lines(&seen, OutputStream::Stdout), expected, "{taken} taken: {seen:#?}");
        let ends = seen.iter().filter(|record| record.event.is_terminal()).count();
        assert_eq!(ends, expected.len(), "{taken} taken: {seen:#?}");
    }
}

#[tokio::test]
async fn who_watches_all_is_told_output_beyond_the_limit_too() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine_with(|config| config.max_output_size_bytes = 10);
    let mut every = engine.subscribe_all().await;
    let line = format!("echo first; {}; seq 1 20000", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    next_that(&mut every, |record| line_of(record).is_some()).await;
    fs::write(go, "").unwrap();
    // It looks again only when all is over.
    soon("the end", engine.wait_for_completion(id)).await.unwrap();
    let seen = until_ended(&mut every, 1).await;
    assert_eq!(missed(&seen), 0);
    assert_eq!(lines(&seen, OutputStream::Stdout).len(), 20_000);
    assert_numbered(&seen, OutputStream::Stdout, 1..=20_000);
}
