//! The history of an engine, over restarts of its program.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use execution_engine::{
    Ending, ExecutionEngine, ExecutionRequest, ExecutionStatus, History, HistoryEntry,
    HistoryOutput, HistoryQuery, OutputCursor, OutputPart, OutputPiece, OutputQuery, OutputStream,
};
use execution_engine_store::{StoreConfig, StoreHistory};
use rustix::process::{Signal, getpid, kill_process};
use test_support::host::{request, role};
use test_support::{engine, run, test_name, text};
use uuid::Uuid;

use crate::support::{files, files_with};

/// Opens a history that an engine of this process may have had: its thread lets go of it a moment after its drop.
pub(crate) async fn reopen(dir: &Path, config: StoreConfig) -> StoreHistory {
    let mut history = None;
    test_support::until("the history is free", || {
        match StoreHistory::open_with(dir, config.clone()) {
            Ok(opened) => history = Some(opened),
            Err(error) => assert_eq!(error.code(), "in_use", "{error}"),
        }
        history.is_some()
    })
    .await;
    history.unwrap()
}

async fn with_history(dir: &Path) -> ExecutionEngine {
    let history = reopen(dir, StoreConfig::default()).await;
    ExecutionEngine::builder().history(Arc::new(history)).build().unwrap()
}

const DONE: Uuid = Uuid::from_u128(0xd0);
const FAILED: Uuid = Uuid::from_u128(0xf0);
const CUT_OFF: Uuid = Uuid::from_u128(0xc0);

fn done() -> ExecutionRequest {
    let line = r"printf 'out\377\n'; printf err >&2";
    let request = ExecutionRequest { id: DONE, ..ExecutionRequest::shell(line) };
    request.tag("nightly").label("branch", "main").env("TOKEN", "hidden-value")
}

/// The program: it runs what ends, and dies while another execution runs.
async fn live_and_die(dir: &Path) {
    let engine = with_history(dir).await;
    engine.run(done()).await.unwrap();
    // More than the database keeps inline.
    let failed = ExecutionRequest { id: FAILED, ..ExecutionRequest::shell("seq 100000; exit 3") };
    engine.run(failed).await.unwrap();
    let line = "awk 'BEGIN { while (n < 100000) print ++n }'; sleep 1000";
    let cut_off = ExecutionRequest { id: CUT_OFF, ..ExecutionRequest::shell(line) };
    engine.execute(cut_off).await.unwrap();
    let journal = format!("{CUT_OFF}.journal-live");
    let is_written = || files_with(dir, b"\n100000\n").iter().any(|path| path.contains(&journal));
    test_support::until("its output is written", is_written).await;
    // The history answers only when it has what came before.
    assert!(engine.history_status().unwrap().failed == 0);
    test_support::until("the start is stored", || engine_has(dir, CUT_OFF)).await;
    kill_process(getpid(), Signal::KILL).unwrap();
    std::future::pending::<()>().await;
}

/// Returns whether the database has an execution, as another process sees it.
fn engine_has(dir: &Path, id: Uuid) -> bool {
    let connection = rusqlite::Connection::open(dir.join("exeng.db")).unwrap();
    let count = "SELECT count(*) FROM executions WHERE id = ?1";
    connection.query_row(count, [id.as_bytes()], |row| row.get::<_, i64>(0)).unwrap() == 1
}

#[tokio::test]
async fn history_survives_the_death_of_its_program() {
    if let Some(role) = role() {
        live_and_die(Path::new(&role[0])).await;
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let result = run(&engine(), request(test_name!(), text(dir.path()))).await;
    let is_killed = matches!(result.ending, Ending::Signaled { signal: 9, .. });
    assert!(is_killed, "{:?}\n{}\n{}", result.ending, result.stdout, result.stderr);

    let engine = with_history(dir.path()).await;
    let result = engine.get_result(DONE).await.unwrap().unwrap();
    assert_eq!((result.status, result.exit_code), (ExecutionStatus::Completed, 0));
    assert_eq!(result.stdout, "out\u{fffd}\n");
    assert_eq!(result.stdout_bytes(), &b"out\xff\n"[..], "byte for byte");
    assert_eq!(result.stderr, "err");
    let result = engine.get_result(FAILED).await.unwrap().unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 3 });
    assert_eq!(result.stdout, test_support::numbers(100_000));
    let lost = engine.wait_for_completion(CUT_OFF).await.unwrap();
    assert!(matches!(lost.ending, Ending::Lost { .. }), "{:?}", lost.ending);
    assert_eq!(lost.status, ExecutionStatus::Lost);
    assert!(lost.stdout == test_support::numbers(100_000), "{} bytes", lost.stdout.len());
    assert_eq!(lost.stdout_stats.seen_bytes, lost.stdout.len() as u64);
    assert!(!files(dir.path()).iter().any(|(path, _)| path.ends_with("journal-live")));
    engine.shutdown(Duration::from_secs(5)).await;
    drop(engine);

    let history = reopen(dir.path(), StoreConfig::default()).await;
    let ids = |query: HistoryQuery| -> Vec<Uuid> {
        let page = history.list(&query).unwrap();
        page.entries.iter().map(|entry| entry.id()).collect()
    };
    let all = HistoryQuery::default;
    assert_eq!(ids(all()), [CUT_OFF, FAILED, DONE]);
    assert_eq!(ids(all().tag("nightly").label("branch", "main")), [DONE]);
    assert_eq!(ids(all().status(ExecutionStatus::Lost)), [CUT_OFF]);
    assert_eq!(ids(all().text("SEQ")), [FAILED]);
    for entry in history.list(&all()).unwrap().entries {
        assert!([all(), all().tag("nightly")].iter().any(|query| query.matches(&entry)));
    }
    let entry = history.get(DONE).unwrap().unwrap();
    assert_eq!(entry.env_names, ["TOKEN"]);
    assert!(entry.request.env.is_empty());
    assert_eq!(files_with(dir.path(), b"hidden-value"), Vec::<String>::new());

    let output = history.output(DONE).unwrap().unwrap();
    assert_eq!((output.end.stdout, output.end.stderr), (5, 3));
    let stdout = output.pieces.iter().filter(|piece| piece.stream == OutputStream::Stdout);
    let stdout: Vec<u8> = stdout.flat_map(|piece| piece.bytes.to_vec()).collect();
    assert_eq!(stdout, b"out\xff\n", "byte for byte");
    let bytes: Vec<(OutputStream, Bytes)> =
        output.pieces.into_iter().map(|piece| (piece.stream, piece.bytes)).collect();
    assert!(bytes.contains(&(OutputStream::Stderr, Bytes::from_static(b"err"))));

    assert!(history.remove(FAILED).unwrap());
    assert!(!history.remove(FAILED).unwrap());
    assert_eq!(history.get(FAILED).unwrap(), None);
    assert_eq!(history.output(FAILED).unwrap(), None);
}

#[tokio::test]
async fn one_process_at_a_time_has_a_history_open() {
    let dir = tempfile::tempdir().unwrap();
    let history = StoreHistory::open(dir.path()).unwrap();
    let error = StoreHistory::open(dir.path()).unwrap_err();
    assert_eq!(error.code(), "in_use");
    assert!(error.to_string().contains(text(dir.path())), "{error}");
    drop(history);
    StoreHistory::open(dir.path()).unwrap();
}

#[tokio::test]
async fn limits_hold_while_executions_end() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig { max_count: 5, ..StoreConfig::default() };
    let history = StoreHistory::open_with(dir.path(), config.clone()).unwrap();
    let engine = ExecutionEngine::builder().history(Arc::new(history)).build().unwrap();
    for _ in 0..70 {
        engine.run(ExecutionRequest::shell("true")).await.unwrap();
    }
    engine.shutdown(Duration::from_secs(5)).await;
    drop(engine);
    let history = reopen(dir.path(), StoreConfig { max_count: 100, ..config }).await;
    let left = history.list(&HistoryQuery::default().limit(1000)).unwrap().entries.len();
    assert!((5..5 + 32).contains(&left), "{left}");
}

#[tokio::test]
async fn what_the_engine_removes_is_removed_here_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let engine = with_history(dir.path()).await;
    let [kept, removed] = [0, 1].map(|_| ExecutionRequest::shell("echo hello"));
    let ids = [kept.id, removed.id];
    for request in [kept, removed] {
        engine.run(request).await.unwrap();
    }
    engine.remove_execution(ids[1]).await.unwrap();
    engine.shutdown(Duration::from_secs(5)).await;
    drop(engine);
    let engine = with_history(dir.path()).await;
    assert_eq!(engine.get_result(ids[0]).await.unwrap().unwrap().stdout, "hello\n");
    assert!(engine.get_result(ids[1]).await.is_err());
}

/// An entry as an engine makes it.
fn entry(id: Uuid) -> HistoryEntry {
    let request = ExecutionRequest { id, ..ExecutionRequest::shell("true") };
    serde_json::from_value(serde_json::json!({
        "summary": {
            "id": id, "status": "completed", "command": "true", "pid": 7,
            "started_at": "2026-01-02T03:04:05Z", "completed_at": "2026-01-02T03:04:06Z",
            "waited_ms": 0, "duration_ms": 1000, "attempts": 2,
            "stdout_stats": { "seen_bytes": 0, "kept_bytes": 0 },
            "stderr_stats": { "seen_bytes": 0, "kept_bytes": 0 },
            "truncated": true, "ending": { "type": "exited", "code": 0 },
            "metadata": { "tags": ["t"], "labels": {} },
        },
        "accepted_at": "2026-01-02T03:04:04.123456Z",
        "request": request,
        "options": {},
        "env_names": ["A"],
        "result": null,
    }))
    .unwrap()
}

#[test]
fn entry_and_output_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let history = StoreHistory::open(dir.path()).unwrap();
    let piece = |stream, offset, bytes: &[u8]| OutputPiece {
        stream,
        offset,
        bytes: Bytes::copy_from_slice(bytes),
    };
    let (out, err) = (OutputStream::Stdout, OutputStream::Stderr);
    for size in [10, 3 << 20] {
        let big = vec![b'x'; size];
        let end = 15 + size as u64;
        let pieces = vec![
            piece(out, 0, b"begin"),
            piece(err, 7, b""),
            piece(err, 7, b"part"),
            piece(out, 15, b""),
            piece(out, 15, &big),
            piece(out, end + 1, b""),
        ];
        let begin = OutputCursor { stdout: 5, stderr: 0 };
        let output =
            HistoryOutput { pieces, begin, end: OutputCursor { stdout: end + 1, stderr: 11 } };
        // Whether it was accepted before or not.
        let entry = entry(Uuid::new_v4());
        if size == 10 {
            history.accepted(&entry).unwrap();
            history.accepted(&entry).unwrap();
            assert_eq!(history.output(entry.id()).unwrap(), None);
        }
        history.ended(&entry, &output).unwrap();
        // An engine that uses an id again replaces what an earlier one has stored.
        history.ended(&entry, &HistoryOutput::default()).unwrap();
        history.ended(&entry, &output).unwrap();
        assert_eq!(history.get(entry.id()).unwrap().unwrap(), entry);
        let read = history.output(entry.id()).unwrap().unwrap();
        assert_eq!((read.begin, read.end), (output.begin, output.end));
        assert_eq!(joined(read.pieces), joined(output.pieces));
    }
    drop(history);
    // One archive, and no journal is left.
    assert_eq!(files(&dir.path().join("outputs")).len(), 1);
    let history = StoreHistory::open(dir.path()).unwrap();
    let all = history.list(&HistoryQuery::default()).unwrap().entries;
    assert_eq!(all.len(), 2);
    for entry in all {
        assert!(!history.output(entry.id()).unwrap().unwrap().pieces.is_empty());
    }
}

/// Returns an output of both streams with many gaps, larger than an archive's frames.
fn long_output() -> HistoryOutput {
    let (mut pieces, mut at) = (Vec::new(), [0, 0]);
    for number in 0..1500_u64 {
        let of = usize::from(number % 3 == 2);
        let stream = [OutputStream::Stdout, OutputStream::Stderr][of];
        if number % 50 == 49 {
            // Output that is missing, and the mark that says so.
            at[of] += 1000;
            pieces.push(OutputPiece { stream, offset: at[of], bytes: Bytes::new() });
        }
        let line = format!("{number} in words of \u{fc}nequal width\n");
        let bytes = Bytes::from(line.repeat(30 + number as usize % 70));
        let offset = at[of];
        at[of] += bytes.len() as u64;
        pieces.push(OutputPiece { stream, offset, bytes });
    }
    let [stdout, stderr] = at;
    HistoryOutput { pieces, begin: OutputCursor::default(), end: OutputCursor { stdout, stderr } }
}

/// A history that cannot read parts.
struct Whole(StoreHistory);

impl History for Whole {
    fn accepted(&self, entry: &HistoryEntry) -> std::io::Result<()> {
        self.0.accepted(entry)
    }
    fn ended(&self, entry: &HistoryEntry, output: &HistoryOutput) -> std::io::Result<()> {
        self.0.ended(entry, output)
    }
    fn remove(&self, id: Uuid) -> std::io::Result<bool> {
        self.0.remove(id)
    }
    fn get(&self, id: Uuid) -> std::io::Result<Option<HistoryEntry>> {
        self.0.get(id)
    }
    fn output(&self, id: Uuid) -> std::io::Result<Option<HistoryOutput>> {
        self.0.output(id)
    }
    fn list(&self, query: &HistoryQuery) -> std::io::Result<execution_engine::HistoryPage> {
        self.0.list(query)
    }
}

/// Reads an output in pages of this size; returns its parts, joined, and the cursors of all pages.
async fn pages(
    engine: &ExecutionEngine,
    id: Uuid,
    max_bytes: usize,
) -> (Vec<OutputPart>, Vec<OutputCursor>) {
    let (mut parts, mut cursors) = (Vec::<OutputPart>::new(), vec![OutputCursor::default()]);
    loop {
        let query = OutputQuery::after(cursors[cursors.len() - 1]).max_bytes(max_bytes);
        let page = engine.read_output(id, query).await.unwrap();
        for part in page.parts {
            match (parts.last_mut(), part) {
                (
                    Some(OutputPart::Output { stream, bytes }),
                    OutputPart::Output { stream: next, bytes: more },
                ) if *stream == next => *bytes = [&bytes[..], &more[..]].concat().into(),
                (_, part) => parts.push(part),
            }
        }
        cursors.push(page.next);
        if page.ended {
            return (parts, cursors);
        }
    }
}

#[tokio::test]
async fn pages_of_a_long_output_are_those_of_the_whole() {
    let (entry, output) = (entry(Uuid::new_v4()), long_output());
    let mut read = Vec::new();
    for is_whole in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let history = StoreHistory::open(dir.path()).unwrap();
        history.ended(&entry, &output).unwrap();
        let history: Arc<dyn History> =
            if is_whole { Arc::new(Whole(history)) } else { Arc::new(history) };
        let engine = ExecutionEngine::builder().history(history).build().unwrap();
        let (parts, cursors) = pages(&engine, entry.id(), 100_001).await;
        // In any order, as a view reads them.
        let mut again = Vec::new();
        for cursor in cursors.iter().rev() {
            let query = OutputQuery::after(*cursor).max_bytes(5000);
            again.push(engine.read_output(entry.id(), query).await.unwrap());
        }
        read.push((parts, cursors, again));
    }
    assert!(read[0].1.len() > 10, "{}", read[0].1.len());
    assert_eq!(read[0].0, read[1].0);
    assert_eq!(read[0].1, read[1].1);
    assert_eq!(read[0].2, read[1].2);
}

#[test]
fn a_part_has_no_more_than_what_was_asked_for_and_a_read_of_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let history = StoreHistory::open(dir.path()).unwrap();
    let (entry, output) = (entry(Uuid::new_v4()), long_output());
    history.ended(&entry, &output).unwrap();
    let length = |pieces: &[OutputPiece]| pieces.iter().map(|one| one.bytes.len()).sum::<usize>();
    let part = history.output_part(entry.id(), OutputCursor::default(), 1000).unwrap().unwrap();
    assert!(!part.is_last);
    let read = length(&part.output.pieces);
    assert!((1000..=256 << 10).contains(&read), "{read}");
    assert!(length(&output.pieces) > 2 * read);
    let rest = history.output_part(entry.id(), part.output.end, usize::MAX).unwrap().unwrap();
    assert!(rest.is_last);
    assert_eq!(read + length(&rest.output.pieces), length(&output.pieces));
    let none = history.output_part(entry.id(), output.end, 1000).unwrap().unwrap();
    assert!(none.is_last && none.output.pieces.is_empty(), "{none:?}");
    assert_eq!(history.output_part(Uuid::new_v4(), output.end, 1000).unwrap(), None);
}

/// Joins pieces that follow each other, which may be cut in other places.
fn joined(pieces: Vec<OutputPiece>) -> Vec<(OutputStream, u64, Vec<u8>)> {
    let mut all: Vec<(OutputStream, u64, Vec<u8>)> = Vec::new();
    for piece in pieces {
        match all.last_mut() {
            Some((stream, offset, bytes))
                if *stream == piece.stream
                    && !bytes.is_empty()
                    && *offset + bytes.len() as u64 == piece.offset =>
            {
                bytes.extend_from_slice(&piece.bytes);
            }
            _ => all.push((piece.stream, piece.offset, piece.bytes.to_vec())),
        }
    }
    all
}

#[test]
fn refused_request_is_removed_and_a_cursor_of_others_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let history = StoreHistory::open(dir.path()).unwrap();
    let entry = entry(Uuid::new_v4());
    history.accepted(&entry).unwrap();
    assert!(history.remove(entry.id()).unwrap());
    assert_eq!(history.get(entry.id()).unwrap(), None);
    let query = HistoryQuery::default().cursor("of another history");
    assert_eq!(history.list(&query).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
