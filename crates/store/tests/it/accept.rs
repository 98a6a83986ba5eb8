//! Acceptance, idempotency, and the grouping of commits.

use std::collections::HashSet;
use std::sync::{Arc, Barrier};

use execution_engine::{ExecutionOptions, ExecutionRequest, ExecutionStatus};
use execution_engine_store::{Accepted, NewExecution, Store, StoreConfig};
use uuid::Uuid;

use crate::support::{accept, accept_shell, check_integrity, end, new, open};

fn with_key(key: &str, line: &str) -> NewExecution {
    NewExecution { key: Some(key.to_string()), ..new(ExecutionRequest::shell(line)) }
}

#[tokio::test]
async fn accepted_execution_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let request = ExecutionRequest::shell("make all").tag("nightly").label("branch", "main");
    let options = ExecutionOptions::default().group("builds").priority(3);
    let created = {
        let store = open(dir.path());
        let after = vec![accept_shell(&store, "true").await];
        let new = NewExecution { options, after, ..new(request.clone()) };
        accept(&store, new).await
    };
    let store = open(dir.path());
    let stored = store.get(request.id).await.unwrap().unwrap();
    assert_eq!(stored, created, "what was answered is what is stored");
    assert_eq!(stored.request, request);
    assert_eq!((stored.status, stored.seq), (ExecutionStatus::Pending, 2));
    assert_eq!((stored.group.as_deref(), stored.priority), (Some("builds"), 3));
    assert_eq!(stored.after.len(), 1);
    assert_eq!(store.newest().await.unwrap(), Some(request.id));
    assert_eq!(store.get(Uuid::new_v4()).await.unwrap(), None);
}

#[tokio::test]
async fn same_key_is_the_same_execution() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = accept(&store, with_key("k", "make")).await.id;
    assert_eq!(store.accept(with_key("k", "make")).await.unwrap(), Accepted::Existing(first));
    let other = store.accept(with_key("k", "make clean")).await.unwrap();
    assert_eq!(other, Accepted::KeyReused(first));
    let other_owner = NewExecution { owner: 1001, ..with_key("k", "make") };
    assert!(matches!(store.accept(other_owner).await.unwrap(), Accepted::Created(_)));
    assert_eq!(store.stats().await.unwrap().executions(), 2);

    drop(store);
    let store = open(dir.path());
    assert_eq!(store.accept(with_key("k", "make")).await.unwrap(), Accepted::Existing(first));
    // The key lives as long as its execution.
    end(&store, first, 0).await;
    assert_eq!(store.accept(with_key("k", "make")).await.unwrap(), Accepted::Existing(first));
    store.remove(first).await.unwrap();
    assert!(matches!(store.accept(with_key("k", "make")).await.unwrap(), Accepted::Created(_)));
}

#[tokio::test]
async fn what_was_accepted_is_known_by_id_and_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = accept(&store, with_key("k", "make")).await;
    let (owner, other) = (first.owner, Uuid::new_v4());
    let known = async |owner, key: Option<&str>, id| {
        store.is_known(owner, key.map(str::to_string), id).await.unwrap()
    };
    assert!(known(owner, None, first.id).await);
    assert!(known(owner, Some("k"), other).await);
    assert!(!known(owner, None, other).await);
    assert!(!known(owner, Some("other"), other).await);
    assert!(!known(owner + 1, Some("k"), other).await);
}

#[tokio::test]
async fn same_id_is_the_same_execution() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let request = ExecutionRequest::shell("make");
    let id = accept(&store, new(request.clone())).await.id;
    assert_eq!(store.accept(new(request)).await.unwrap(), Accepted::Existing(id));
    let other = ExecutionRequest { id, ..ExecutionRequest::shell("make clean") };
    assert_eq!(store.accept(new(other.clone())).await.unwrap(), Accepted::IdReused(id));
    let with_key = NewExecution { key: Some("k".into()), ..new(other) };
    assert_eq!(store.accept(with_key).await.unwrap(), Accepted::IdReused(id), "its key is free");
}

#[test]
fn same_key_at_the_same_time_is_one_execution() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let barrier = Arc::new(Barrier::new(100));
    let threads: Vec<_> = (0..100)
        .map(|_| {
            let (store, barrier) = (store.clone(), barrier.clone());
            std::thread::spawn(move || {
                barrier.wait();
                match block_on(store.accept(with_key("same", "make"))).unwrap() {
                    Accepted::Created(created) => (true, created.id),
                    Accepted::Existing(id) => (false, id),
                    other => panic!("{other:?}"),
                }
            })
        })
        .collect();
    let answers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(answers.iter().filter(|(is_new, _)| *is_new).count(), 1);
    assert_eq!(answers.iter().map(|(_, id)| *id).collect::<HashSet<_>>().len(), 1);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn concurrent_writes_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (clients, each) = (64, 20);
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || {
                block_on(async {
                    for _ in 0..each {
                        accept_shell(&store, "true").await;
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let stats = block_on(store.stats()).unwrap();
    assert_eq!(stats.writes, clients * each);
    println!("{} writes in {} commits", stats.writes, stats.commits);
    assert!(stats.commits * 4 <= stats.writes, "{} commits for {}", stats.commits, stats.writes);
    drop(store);
    check_integrity(dir.path());
}

#[tokio::test]
async fn single_writer_does_not_wait_for_company() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for _ in 0..10 {
        accept_shell(&store, "true").await;
    }
    assert_eq!(store.stats().await.unwrap().commits, 10);
}

#[tokio::test]
async fn write_that_fails_takes_nothing_of_its_batch_along() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = accept_shell(&store, "true").await;
    let calls = (0..50).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let accepted = accept_shell(&store, "true").await;
            // One of two fails, in the same transactions.
            let refused = store.remove(id).await.unwrap_err();
            assert_eq!(refused.code(), "not_ended");
            accepted
        })
    });
    let calls: Vec<_> = calls.collect();
    for call in calls {
        let id = call.await.unwrap();
        assert!(store.get(id).await.unwrap().is_some());
    }
    assert_eq!(store.stats().await.unwrap().executions(), 51);
}

#[tokio::test]
async fn dropped_call_leaves_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = Uuid::new_v4();
    let request = ExecutionRequest { id, ..ExecutionRequest::shell("true") };
    {
        let mut call = std::pin::pin!(store.accept(new(request.clone())));
        // Polled once, then dropped.
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(call.as_mut().poll(context).is_pending())
        });
        assert!(polled.await || store.get(id).await.unwrap().is_some());
    }
    store.close();
    let store = open(dir.path());
    assert_eq!(store.accept(new(request)).await.unwrap(), Accepted::Existing(id));
}

#[tokio::test]
async fn prefix_finds_what_begins_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let with_id = |id: &str| {
        let id = Uuid::parse_str(id).unwrap();
        new(ExecutionRequest { id, ..ExecutionRequest::shell("true") })
    };
    let ids = [
        "a0000000-0000-4000-8000-000000000001",
        "a0000000-0000-4000-8000-000000000002",
        "ab000000-0000-4000-8000-000000000003",
    ];
    for id in ids {
        accept(&store, with_id(id)).await;
    }
    let found = async |prefix: &str| store.find_prefix(prefix).await.unwrap().len();
    assert_eq!(found("a").await, 2, "two at most");
    assert_eq!(found("AB").await, 1);
    assert_eq!(found("a0000000-0000-4").await, 2);
    assert_eq!(found(ids[0]).await, 1);
    assert_eq!(found("b").await, 0);
    assert_eq!(store.find_prefix("@last").await.unwrap_err().code(), "invalid_query");
}

#[test]
fn closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreConfig::default()).unwrap();
    store.close();
    block_on(async {
        assert_eq!(store.get(Uuid::new_v4()).await.unwrap_err().code(), "store_closed");
        let refused = store.accept(new(ExecutionRequest::shell("true"))).await;
        assert_eq!(refused.unwrap_err().code(), "store_closed");
    });
}
