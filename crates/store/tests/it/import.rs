//! Executions of another store.

use std::path::Path;

use execution_engine::{Ending, ExecutionRequest, StdinSource};
use execution_engine_store::{
    Imported, NewExecution, OutputPlace, Query, StoreError, StoredExecution, StoredPlace,
};

use crate::support::{accept, accept_shell, check_integrity, end, ended, new, open};

#[tokio::test]
async fn what_has_ended_elsewhere_is_stored_once_as_it_was() {
    let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let store = open(from.path());
    let request = ExecutionRequest::shell("make").tag("nightly").env("TOKEN", "secret");
    let mut new =
        NewExecution { pinned: true, inherited_names: vec!["TOKEN".into()], ..new(request) };
    new.options.stdin = StdinSource::bytes(&b"input"[..]);
    new.options.group = Some("gpu".to_string());
    let id = accept(&store, new).await.id;
    let before = store.get(id).await.unwrap().unwrap();
    store.ended(ended(id, Ending::Exited { code: 3 }, OutputPlace::None)).await.unwrap();
    let exported = store.get(id).await.unwrap().unwrap();
    // As an archive has it.
    let exported: StoredExecution =
        serde_json::from_str(&serde_json::to_string(&exported).unwrap()).unwrap();

    let store = open(to.path());
    accept_shell(&store, "true").await;
    let output = OutputPlace::Inline(b"its journal".to_vec());
    let import = async |execution: &StoredExecution| {
        store.import(7, execution.clone(), output.clone()).await
    };
    assert!(matches!(import(&before).await, Err(StoreError::NotEnded { id: of }) if of == id));
    assert_eq!(import(&exported).await.unwrap(), Imported::Created);
    let imported = store.get(id).await.unwrap().unwrap();
    assert!(imported.is_record_of(&exported));
    let expected =
        StoredExecution { seq: 2, owner: 7, output: StoredPlace::Database, ..exported.clone() };
    assert_eq!(imported, expected);
    assert_eq!(store.output(id).await.unwrap().unwrap().end(), 11);
    assert_eq!(store.stats().await.unwrap().removable, 0, "it is pinned");

    assert_eq!(import(&exported).await.unwrap(), Imported::Existing);
    store.pin(id, false).await.unwrap();
    assert_eq!(import(&exported).await.unwrap(), Imported::Existing, "a pin is no part of it");
    let other = StoredExecution { stdout_bytes: 1, ..exported.clone() };
    assert_eq!(import(&other).await.unwrap(), Imported::OtherExists);
    let waits = accept_shell(&store, "sleep 1").await;
    let other = StoredExecution { id: waits, ..exported };
    assert_eq!(import(&other).await.unwrap(), Imported::OtherExists);
    end(&store, waits, 0).await;
    store.remove(id).await.unwrap();
    drop(store);
    check_integrity(to.path());
}

/// All that is accepted later would count as accepted so late, and be looked at by each search by time.
#[tokio::test]
async fn what_comes_from_a_clock_that_is_ahead_is_not_the_latest_of_all() {
    let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let store = open(from.path());
    let id = accept_shell(&store, "make").await;
    end(&store, id, 0).await;
    let mut exported = store.get(id).await.unwrap().unwrap();
    exported.created_at += chrono::TimeDelta::days(400);

    let store = open(to.path());
    assert_eq!(
        store.import(7, exported.clone(), OutputPlace::None).await.unwrap(),
        Imported::Created
    );
    let here = accept_shell(&store, "true").await;
    let since = Some(chrono::Utc::now() - chrono::TimeDelta::hours(1));
    let page = store.list(Query { since, ..Query::default() }).await.unwrap();
    let found: Vec<_> = page.items.into_iter().map(|execution| execution.id).collect();
    assert_eq!(found, [here, id]);
    drop(store);
    let imported = latest_at(to.path());
    assert!(imported < exported.created_at, "{imported}");
    check_integrity(to.path());
}

/// Returns the latest time of acceptance that searches by time count on.
fn latest_at(dir: &Path) -> chrono::DateTime<chrono::Utc> {
    let database = rusqlite::Connection::open(dir.join("exeng.db")).unwrap();
    let latest = database.query_row("SELECT latest_at FROM totals", [], |row| row.get(0)).unwrap();
    chrono::DateTime::from_timestamp_micros(latest).unwrap()
}
