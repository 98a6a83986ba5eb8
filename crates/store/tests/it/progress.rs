//! Dispatch, start and ending.

use chrono::{DateTime, Utc};
use execution_engine::{Ending, ExecutionRequest, ExecutionStatus};
use execution_engine_store::{NewExecution, OutputPlace, StoredPlace};
use test_support::{at_once, until};
use uuid::Uuid;

use crate::support::{accept, accept_shell, end, ended, new, open};

#[tokio::test]
async fn dispatch_takes_those_that_wait() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let waits = accept_shell(&store, "true").await;
    let here = NewExecution { dispatch_to: Some("k1".into()), ..new(ExecutionRequest::shell("a")) };
    let here = accept(&store, here).await;
    assert_eq!((here.status, here.keeper.as_deref()), (ExecutionStatus::Running, Some("k1")));
    let elsewhere = accept_shell(&store, "true").await;
    assert_eq!(store.dispatch(vec![elsewhere], "k2").await.unwrap(), [elsewhere]);
    let over = accept_shell(&store, "true").await;
    end(&store, over, 0).await;

    let asked = vec![waits, here.id, elsewhere, over, Uuid::new_v4()];
    assert_eq!(store.dispatch(asked, "k1").await.unwrap(), [waits, here.id]);
    let unfinished = store.unfinished().await.unwrap();
    let ids: Vec<_> = unfinished.iter().map(|all| (all.id, all.keeper.clone().unwrap())).collect();
    let k = |name: &str| name.to_string();
    assert_eq!(ids, [(waits, k("k1")), (here.id, k("k1")), (elsewhere, k("k2"))]);
}

#[tokio::test]
async fn ending_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = accept_shell(&store, "exit 3").await;
    store.dispatch(vec![id], "k").await.unwrap();
    let started_at: DateTime<Utc> = "2026-01-02T03:04:05.678901Z".parse().unwrap();
    store.started(id, started_at).unwrap();
    let seen = || async {
        let stored = store.get(id).await.unwrap().unwrap();
        (stored.started_at == Some(started_at)).then_some(stored.attempts)
    };
    let attempts = loop {
        if let Some(attempts) = seen().await {
            break attempts;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(attempts, 1, "it is stored although nobody waits for it");

    let first = ended(id, Ending::Exited { code: 3 }, OutputPlace::Inline(b"journal".to_vec()));
    let first = execution_engine_store::EndedExecution { started_at: None, ..first };
    assert!(store.ended(first.clone()).await.unwrap());
    let stored = store.get(id).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.exit_code), (ExecutionStatus::Failed, Some(3)));
    assert_eq!(stored.ending, Some(first.ending));
    assert_eq!(stored.result, Some(first.result));
    assert_eq!((stored.started_at, stored.output), (Some(started_at), StoredPlace::Database));

    assert!(!store.ended(ended(id, Ending::Cancelled, OutputPlace::None)).await.unwrap());
    // A start that is told late changes nothing either.
    store.started(id, Utc::now()).unwrap();
    accept_shell(&store, "true").await;
    assert_eq!(store.get(id).await.unwrap().unwrap(), stored);
    let unknown = store.ended(ended(Uuid::new_v4(), Ending::Cancelled, OutputPlace::None)).await;
    assert_eq!(unknown.unwrap_err().code(), "not_found");
}

#[tokio::test]
async fn queued_execution_can_end_without_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = accept_shell(&store, "true").await;
    let cancelled = ended(id, Ending::Cancelled, OutputPlace::None);
    let cancelled =
        execution_engine_store::EndedExecution { started_at: None, attempts: 0, ..cancelled };
    assert!(store.ended(cancelled).await.unwrap());
    assert!(store.dispatch(vec![id], "k").await.unwrap().is_empty());
    let stored = store.get(id).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.attempts), (ExecutionStatus::Cancelled, 0));
    assert_eq!(store.output(id).await.unwrap().map(|output| output.end()), None);
}

#[tokio::test]
async fn every_status_is_counted_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let endings = [
        (Ending::Exited { code: 0 }, ExecutionStatus::Completed),
        (Ending::Exited { code: 1 }, ExecutionStatus::Failed),
        (Ending::Cancelled, ExecutionStatus::Cancelled),
        (Ending::TimedOut { timeout_ms: 5 }, ExecutionStatus::Timeout),
        (Ending::Lost { reason: "the keeper died".into() }, ExecutionStatus::Lost),
    ];
    for (ending, status) in endings.clone() {
        let id = accept_shell(&store, "true").await;
        store.ended(ended(id, ending.clone(), OutputPlace::None)).await.unwrap();
        let stored = store.get(id).await.unwrap().unwrap();
        assert_eq!((stored.status, stored.ending), (status, Some(ending)));
    }
    accept_shell(&store, "true").await;
    let running = accept_shell(&store, "true").await;
    store.dispatch(vec![running], "k").await.unwrap();
    drop(store);
    let stats = open(dir.path()).stats().await.unwrap();
    let others = [ExecutionStatus::Pending, ExecutionStatus::Running];
    for status in endings.map(|(_, status)| status).into_iter().chain(others) {
        assert_eq!(stats.count(status), 1, "{status}");
    }
    assert_eq!((stats.executions(), stats.removable), (7, 5));
}

#[tokio::test]
async fn execution_that_has_not_ended_cannot_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = accept_shell(&store, "true").await;
    assert_eq!(store.remove(id).await.unwrap_err().code(), "not_ended");
    store.dispatch(vec![id], "k").await.unwrap();
    assert_eq!(store.remove(id).await.unwrap_err().code(), "not_ended");
    end(&store, id, 0).await;
    store.remove(id).await.unwrap();
    assert_eq!(store.get(id).await.unwrap(), None);
    assert_eq!(store.remove(id).await.unwrap_err().code(), "not_found");
    assert_eq!(store.stats().await.unwrap().executions(), 0);
    // Its sequence is given to no other.
    let next = accept(&store, new(ExecutionRequest::shell("true"))).await;
    assert_eq!(next.seq, 2);
}

#[tokio::test]
async fn log_is_cut_off_when_the_store_is_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    accept_shell(&store, "true").await;
    let log = || at_once(store.stats()).unwrap().log_bytes;
    assert!(log() > 0);
    until("the log is cut off", || log() == 0).await;
}
