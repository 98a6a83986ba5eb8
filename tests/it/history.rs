//! The history: what it is told, what it answers, and what happens when it is slow, broken or stuck.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use execution_engine::*;
use test_support::*;

/// History in memory.
#[derive(Default)]
struct TestHistory {
    entries: Mutex<Vec<(HistoryEntry, HistoryOutput)>>,
    fails: AtomicBool,
    panics: AtomicBool,
    /// Held by a test to keep calls from returning.
    gate: Mutex<()>,
    flushed: AtomicBool,
    /// What it is given of output while that is read.
    live: Option<Arc<TestSink>>,
}

/// Sink that fails or panics when it is told to.
#[derive(Default)]
struct TestSink {
    bytes: Mutex<Vec<u8>>,
    fails: AtomicBool,
    panics: AtomicBool,
}

#[async_trait]
impl OutputSink for TestSink {
    async fn write(&self, chunk: OutputChunk) -> io::Result<()> {
        assert!(!self.panics.load(Ordering::SeqCst), "the sink of this test panics");
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("the test's disk is full"));
        }
        self.bytes.lock().unwrap().extend_from_slice(&chunk.bytes);
        Ok(())
    }
}

impl TestHistory {
    fn all(&self) -> Vec<HistoryEntry> {
        self.entries.lock().unwrap().iter().map(|(entry, _)| entry.clone()).collect()
    }

    fn store(&self, entry: &HistoryEntry, output: &HistoryOutput) -> io::Result<()> {
        drop(self.gate.lock());
        assert!(!self.panics.load(Ordering::SeqCst), "the history of this test panics");
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("the test's disk is full"));
        }
        let mut entries = self.entries.lock().unwrap();
        entries.retain(|(other, _)| other.id() != entry.id());
        entries.push((travelled(entry), travelled(output)));
        Ok(())
    }
}

/// Returns a value as it is after it was stored as JSON.
fn travelled<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

impl History for TestHistory {
    fn accepted(&self, entry: &HistoryEntry) -> io::Result<()> {
        assert!(entry.result.is_none() && !entry.is_ended(), "{entry:?}");
        self.store(entry, &HistoryOutput::default())
    }

    fn ended(&self, entry: &HistoryEntry, output: &HistoryOutput) -> io::Result<()> {
        self.store(entry, output)
    }

    fn live_output(&self, entry: &HistoryEntry) -> Option<Arc<dyn OutputSink>> {
        assert!(entry.result.is_none() && !entry.is_ended(), "{entry:?}");
        self.live.clone().map(|sink| sink as _)
    }

    fn remove(&self, id: Uuid) -> io::Result<bool> {
        let mut entries = self.entries.lock().unwrap();
        let before = entries.len();
        entries.retain(|(entry, _)| entry.id() != id);
        Ok(entries.len() < before)
    }

    fn get(&self, id: Uuid) -> io::Result<Option<HistoryEntry>> {
        Ok(self.all().into_iter().find(|entry| entry.id() == id))
    }

    fn output(&self, id: Uuid) -> io::Result<Option<HistoryOutput>> {
        let entries = self.entries.lock().unwrap();
        Ok(entries.iter().find(|(entry, _)| entry.id() == id).map(|(_, output)| output.clone()))
    }

    fn list(&self, query: &HistoryQuery) -> io::Result<HistoryPage> {
        let mut entries = self.all();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.accepted_at));
        let from: usize = match &query.cursor {
            None => 0,
            Some(cursor) => cursor.parse().map_err(|_| io::ErrorKind::InvalidInput)?,
        };
        let found: Vec<_> = entries.into_iter().filter(|entry| query.matches(entry)).collect();
        let to = found.len().min(from + query.limit);
        let next = (to < found.len()).then(|| to.to_string());
        Ok(HistoryPage { entries: found[from.min(to)..to].to_vec(), next })
    }

    fn flush(&self) -> io::Result<()> {
        self.flushed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// Creates an engine with this history that keeps so much output and forgets at once.
fn engine_for(history: &Arc<TestHistory>, kept: usize) -> ExecutionEngine {
    let config = ExecutionConfig {
        max_output_size_bytes: kept,
        max_in_memory_executions: 1,
        ..Default::default()
    };
    let builder = ExecutionEngine::builder().config(config);
    builder.history(Arc::clone(history) as _).build().unwrap()
}

/// Returns what a result says, without what a history does not have.
fn comparable(mut result: ExecutionResult) -> ExecutionResult {
    (result.stdout_overflow_file, result.stderr_overflow_file) = (None, None);
    result
}

#[tokio::test]
async fn another_engine_answers_as_the_first_one_did() {
    let line =
        "for i in 1 2 3; do echo out $i; sleep 0.05; echo err $i >&2; sleep 0.05; done; exit 3";
    for (kept, cut) in [(1_000_000, false), (10, false), (10, true)] {
        let history = Arc::new(TestHistory::default());
        let mut builder = ExecutionEngine::builder().history(Arc::clone(&history) as _);
        builder =
            builder.config(ExecutionConfig { max_output_size_bytes: kept, ..Default::default() });
        let first = if cut { builder.keep_head_and_tail() } else { builder }.build().unwrap();
        let request = shell(line).tag("nightly").label("branch", "main");
        let options =
            ExecutionOptions::default().retry(RetryPolicy::new(2).initial_delay(Duration::ZERO));
        let result = travelled(&run_with(&first, request, options).await);
        let summary = first.get_summary(result.id).await.unwrap();
        let whole = |engine: ExecutionEngine| async move {
            let query = OutputQuery::default().max_bytes(1_000_000);
            engine.read_output(result.id, query).await.unwrap()
        };
        let page = whole(first.clone()).await;
        first.shutdown(Duration::from_secs(1)).await;
        assert!(history.flushed.load(Ordering::SeqCst));

        let second = engine_for(&history, 1000);
        let id = result.id;
        assert_eq!(second.get_status(id).await, Ok(ExecutionStatus::Failed));
        assert_eq!(second.get_summary(id).await, Ok(travelled(&summary)));
        let again = second.wait_for_completion(id).await.unwrap();
        assert_eq!(again, comparable(result.clone()), "{kept} {cut}");
        assert_eq!(second.get_result(id).await, Ok(Some(again)));
        let past = whole(second.clone()).await;
        assert_eq!(
            (past.text(), past.next, past.ended),
            (page.text(), page.next, true),
            "{kept} {cut}"
        );

        // The same in small pages, from any cursor.
        let (mut cursor, mut bytes) = (OutputCursor::default(), Vec::new());
        loop {
            let query = OutputQuery::after(cursor).max_bytes(8);
            let page = second.read_output(id, query).await.unwrap();
            bytes.extend_from_slice(&page.bytes());
            cursor = page.next;
            if page.ended {
                break;
            }
        }
        assert_eq!(bytes, page.bytes());
    }
}

#[tokio::test]
async fn what_memory_has_forgotten_is_found_at_once() {
    let history = Arc::new(TestHistory::default());
    let engine = engine_for(&history, 1000);
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(run(&engine, shell(format!("echo {number}"))).await.id);
    }
    assert_eq!(engine.list_executions().await.len(), 1);
    for (number, id) in ids.iter().enumerate() {
        let result = engine.get_result(*id).await.unwrap().unwrap();
        assert_eq!(result.stdout, format!("{number}\n"));
    }
    let status = engine.history_status().unwrap();
    assert_eq!((status.waiting, status.failed, status.last_error), (0, 0, None));
    engine.remove_execution(ids[0]).await.unwrap();
    let missing = Err(ExecutionError::NotFound(ids[0]));
    assert_eq!(engine.get_status(ids[0]).await, missing);
    assert_eq!(engine.remove_execution(ids[0]).await, missing.map(drop));
}

#[tokio::test]
async fn a_history_is_listed_in_pages() {
    let history = Arc::new(TestHistory::default());
    let engine = engine_for(&history, 1000);
    let before = chrono::Utc::now();
    for number in 0..5 {
        let tag = if number % 2 == 0 { "even" } else { "odd" };
        let request = shell(format!("Exit {number}")).tag(tag).label("number", number.to_string());
        run(&engine, request).await;
    }
    let list = |query: HistoryQuery| {
        let engine = engine.clone();
        async move {
            let page = engine.list_history(query).await.unwrap();
            let of = |entry: &HistoryEntry| entry.request.metadata.labels["number"].clone();
            (page.entries.iter().map(of).collect::<Vec<_>>(), page.next)
        }
    };
    let all = HistoryQuery::default;
    let (first, next) = list(all().limit(2)).await;
    assert_eq!(first, ["4", "3"]);
    let (second, next) = list(all().limit(2).cursor(next.unwrap())).await;
    assert_eq!(second, ["2", "1"]);
    assert_eq!(list(all().limit(2).cursor(next.unwrap())).await, (vec!["0".to_string()], None));
    assert_eq!(list(all().tag("odd")).await.0, ["3", "1"]);
    assert_eq!(list(all().tag("odd").tag("even")).await.0, [""; 0]);
    assert_eq!(list(all().label("number", "2")).await.0, ["2"]);
    assert_eq!(list(all().text("exit 3")).await.0, ["3"]);
    assert_eq!(list(all().status(ExecutionStatus::Failed)).await.0.len(), 5);
    assert_eq!(list(all().status(ExecutionStatus::Lost)).await.0, [""; 0]);
    assert_eq!(list(all().until(before)).await.0, [""; 0]);
    assert_eq!(list(all().since(before)).await.0.len(), 5);
    for limit in [0, 1001] {
        let refused = engine.list_history(all().limit(limit)).await.unwrap_err();
        assert!(matches!(refused, ExecutionError::Validation(_)), "{refused:?}");
    }
    let refused = engine.list_history(all().cursor("mine")).await.unwrap_err();
    assert_eq!(refused.error_code(), "history_failed");
    let none = test_support::engine().list_history(all()).await;
    assert_eq!(none, Err(ExecutionError::NoHistory));
}

#[tokio::test]
async fn it_is_told_of_acceptance_and_of_no_secret() {
    let history = Arc::new(TestHistory::default());
    let engine = engine_for(&history, 1000);
    let request = shell("exec sleep 1000").env("TOKEN", "s3cr3t-a");
    let options = ExecutionOptions::default().env("KEY", "s3cr3t-b");
    let id = engine.execute_with(request, options).await.unwrap();
    until("the acceptance", || !history.all().is_empty()).await;
    let entry = history.all().remove(0);
    assert_eq!((entry.summary.status, entry.id()), (ExecutionStatus::Pending, id));
    assert_eq!(entry.env_names, ["KEY", "TOKEN"]);
    let lost = entry.into_lost("the host was killed");
    let result = lost.result.as_ref().unwrap();
    let reason = "the host was killed".to_string();
    assert_eq!(result.ending, Ending::Lost { reason });
    assert_eq!(
        (lost.summary.status, result.status),
        (ExecutionStatus::Lost, ExecutionStatus::Lost)
    );
    engine.cancel(id).await.unwrap();
    let ended = ended(&engine, id).await;
    engine.shutdown(Duration::ZERO).await;
    let entry = history.all().remove(0);
    assert_eq!(entry.summary.status, ended.status);
    assert_eq!(entry.clone().into_lost("too late"), entry, "what has ended is not lost");
    let stored = serde_json::to_string(&entry).unwrap();
    assert!(!stored.contains("s3cr3t"), "{stored}");
}

#[tokio::test]
async fn a_request_that_is_refused_leaves_nothing() {
    let history = Arc::new(TestHistory::default());
    let engine = engine_for(&history, 1000);
    let dir = tempfile::tempdir().unwrap();
    // Refused when its log is opened, which is after its admission.
    let refused = engine.execute(shell("true").output_log(dir.path())).await;
    assert!(matches!(refused, Err(ExecutionError::Log { .. })), "{refused:?}");
    engine.shutdown(Duration::ZERO).await;
    assert_eq!(history.all(), []);
}

#[tokio::test]
async fn a_history_has_output_before_the_end_and_cannot_harm_it() {
    let (live, host) = (Arc::new(TestSink::default()), Arc::new(TestSink::default()));
    let history = TestHistory { live: Some(Arc::clone(&live)), ..TestHistory::default() };
    let builder = ExecutionEngine::builder().history(Arc::new(history));
    let engine = builder.output_sink(Arc::clone(&host) as _).build().unwrap();
    let id = engine.execute(shell("echo begun; exec sleep 1000")).await.unwrap();
    until("its output is there", || *live.bytes.lock().unwrap() == b"begun\n").await;
    assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Running);
    engine.cancel(id).await.unwrap();
    ended(&engine, id).await;
    for flag in [&live.fails, &live.panics] {
        flag.store(true, Ordering::SeqCst);
        let result = run(&engine, shell("echo more")).await;
        assert_eq!((result.stdout.as_str(), result.output_error), ("more\n", None));
        flag.store(false, Ordering::SeqCst);
    }
    assert_eq!(*live.bytes.lock().unwrap(), b"begun\n");
    assert_eq!(*host.bytes.lock().unwrap(), b"begun\nmore\nmore\n");
}

#[tokio::test]
async fn what_is_not_stored_is_counted() {
    let history = Arc::new(TestHistory::default());
    let engine = engine_for(&history, 1000);
    for (flag, reason) in [(&history.fails, "disk is full"), (&history.panics, "panicked")] {
        flag.store(true, Ordering::SeqCst);
        let before = engine.history_status().unwrap().failed;
        assert!(run(&engine, shell("true")).await.success);
        // It is asked after the calls before.
        engine.list_history(HistoryQuery::default()).await.unwrap();
        let status = engine.history_status().unwrap();
        assert_eq!(status.failed, before + 2, "{status:?}");
        assert!(status.last_error.unwrap().contains(reason));
        flag.store(false, Ordering::SeqCst);
    }
    let result = run(&engine, shell("echo stored")).await;
    engine.shutdown(Duration::ZERO).await;
    assert_eq!(history.all().iter().map(HistoryEntry::id).collect::<Vec<_>>(), [result.id]);
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "it is what keeps the history from going on")]
async fn a_slow_history_holds_endings_back_and_loses_none() {
    // More than may wait to be stored.
    const MANY: usize = 300;
    let history = Arc::new(TestHistory::default());
    let config = ExecutionConfig { max_concurrent_executions: MANY, ..Default::default() };
    let builder = ExecutionEngine::builder().config(config);
    let engine = builder.history(Arc::clone(&history) as _).build().unwrap();
    let closed = history.gate.lock().unwrap();
    for _ in 0..MANY {
        engine.execute(shell("true")).await.unwrap();
    }
    // All programs have ended, and only those with room for their ending.
    until("the endings with room", || at_once(engine.running_count()) <= MANY - 256).await;
    assert_eq!(at_once(engine.running_count()), MANY - 256);
    drop(closed);
    soon("all endings", engine.shutdown(PATIENCE)).await;
    let all = history.all();
    assert!(all.len() == MANY && all.iter().all(HistoryEntry::is_ended), "{}", all.len());
    assert_eq!(engine.history_status().unwrap().failed, 0);
}

#[tokio::test]
async fn a_dropped_engine_stores_what_has_ended() {
    let history = Arc::new(TestHistory::default());
    let engine = engine_for(&history, 1000);
    let id = engine.execute(shell("exec sleep 1000")).await.unwrap();
    drop(engine);
    until("the flush", || history.flushed.load(Ordering::SeqCst)).await;
    let entry = history.all().remove(0);
    assert_eq!((entry.id(), entry.summary.status), (id, ExecutionStatus::Cancelled));
}
