//! What the store costs when much is in it. The number of executions is small here; `EXENG_STORE_ROWS` sets another, for
//! measurements in a release build.

use std::time::{Duration, Instant};

use execution_engine::{Ending, ExecutionRequest, ExecutionStatus};
use execution_engine_store::{OutputPlace, Query, Store, StoreConfig};

use crate::support::{accept, accept_shell, check_integrity, ended, new, open};

/// Number of executions, and whether times are to be judged.
fn rows() -> (u64, bool) {
    match std::env::var("EXENG_STORE_ROWS") {
        Ok(rows) => (rows.parse().expect("EXENG_STORE_ROWS is a number"), true),
        Err(_) => (3_000, false),
    }
}

/// Returns the execution with a number: one of a hundred fails, one of ten has the rare tag, and each has the common one.
fn request(number: u64) -> ExecutionRequest {
    let request = ExecutionRequest::shell(format!("make target-{number} --jobs 4"));
    let request = request.tag("all").label("branch", format!("b{}", number % 1000));
    if number.is_multiple_of(10) { request.tag("rare") } else { request }
}

async fn fill(store: &Store, rows: u64) {
    let clients = 64;
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in (client..rows).step_by(clients as usize) {
                    let id = accept(&store, new(request(number))).await.id;
                    let code = i32::from(number % 100 == 0);
                    let place = OutputPlace::Inline(vec![b'x'; 200]);
                    store.ended(ended(id, Ending::Exited { code }, place)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn queries() -> Vec<(&'static str, Query)> {
    let failed = vec![ExecutionStatus::Failed];
    let tag = |tag: &str| vec![tag.to_string()];
    let lost = vec![ExecutionStatus::Lost];
    let none = Query::default;
    vec![
        ("all", none()),
        ("status failed", Query { status: failed.clone(), ..none() }),
        ("status lost (none)", Query { status: lost.clone(), ..none() }),
        ("tag all", Query { tags: tag("all"), ..none() }),
        ("tag all, status failed", Query { tags: tag("all"), status: failed.clone(), ..none() }),
        ("tag rare, status failed", Query { tags: tag("rare"), status: failed, ..none() }),
        ("tag all, status lost (none)", Query { tags: tag("all"), status: lost, ..none() }),
        ("tag unknown", Query { tags: tag("unknown"), ..none() }),
        ("label", Query { labels: vec![("branch".into(), "b7".into())], ..none() }),
    ]
}

/// Returns the time below which 99 of 100 calls were, and the median.
fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() * 99 / 100], times[times.len() / 2])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_and_opening_do_not_depend_on_how_much_is_stored() {
    let (rows, is_judged) = rows();
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig { max_count: u64::MAX, ..StoreConfig::default() };
    let store = Store::open(dir.path(), config).unwrap();
    let begin = Instant::now();
    fill(&store, rows).await;
    let stats = store.stats().await.unwrap();
    println!(
        "{rows} executions in {:?}: {} writes in {} commits, {} bytes each",
        begin.elapsed(),
        stats.writes,
        stats.commits,
        stats.bytes() / rows,
    );
    for (name, query) in queries() {
        let mut times = Vec::new();
        for _ in 0..200 {
            let begin = Instant::now();
            let page = store.list(query.clone()).await.unwrap();
            times.push(begin.elapsed());
            assert!(page.items.len() <= 100);
        }
        let (p99, median) = percentiles(times);
        println!("{name}: p99 {p99:?}, median {median:?}");
        assert!(!is_judged || p99 < Duration::from_millis(20), "{name}: {p99:?}");
    }
    for text in ["target-1 ", "nowhere"] {
        let begin = Instant::now();
        let query = Query { text: Some(text.into()), ..Query::default() };
        let found = store.list(query).await.unwrap().items.len();
        println!("text {text:?}: {found} in {:?}", begin.elapsed());
    }
    drop(store);
    let begin = Instant::now();
    let store = open(dir.path());
    let open = begin.elapsed();
    println!("opened in {open:?}");
    assert!(!is_judged || open < Duration::from_secs(1), "{open:?}");
    assert_eq!(store.stats().await.unwrap().executions(), rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_do_not_keep_the_log_from_being_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..200 {
        accept_shell(&store, &format!("echo {number}")).await;
    }
    // Readers that never stop: one of them always is in a transaction.
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                loop {
                    let query = Query { text: Some("nowhere".into()), ..Query::default() };
                    store.list(query).await.unwrap();
                }
            })
        })
        .collect();
    let mut largest = 0;
    for _ in 0..1500 {
        let id = accept_shell(&store, "true").await;
        let place = OutputPlace::Inline(vec![b'x'; 64 << 10]);
        store.ended(ended(id, Ending::Exited { code: 0 }, place)).await.unwrap();
        largest = largest.max(store.stats().await.unwrap().log_bytes);
    }
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    println!("the log had {largest} bytes at most");
    assert!(largest < 64 << 20, "{largest}");
    assert!(largest > 1 << 20, "the test writes enough: {largest}");
    drop(store);
    check_integrity(dir.path());
}
