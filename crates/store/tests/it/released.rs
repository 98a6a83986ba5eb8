//! Databases of released schemas are migrated.
//!
//! `tests/released/vN.db.zst` is a database of schema N as the version wrote it that was released with it.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use execution_engine::{Ending, ExecutionRequest, ExecutionStatus};
use execution_engine_store::{
    GroupChange, NewExecution, OutputPlace, OverlapPolicy, PlanStop, Query, StepOf, Store,
    TokenScope,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::plans;
use crate::schedules;
use crate::support::{accept, accept_shell, check_integrity, end, ended, new, open};
use crate::tokens::token;

fn released() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/released")
}

fn start_at() -> DateTime<Utc> {
    DateTime::from_timestamp(4_000_000_000, 0).unwrap()
}

/// Makes what a database of a released schema has.
async fn fill(dir: &Path) {
    let store = open(dir);
    let waits = ExecutionRequest::shell("make all").tag("nightly").env("TOKEN", "secret");
    let inherited_names = vec!["TOKEN".to_string()];
    let waits = NewExecution {
        key: Some("k".into()),
        inherited_names,
        start_at: Some(start_at()),
        ..new(waits)
    };
    let id = accept(&store, waits).await.id;
    store.set_paused(id, true).await.unwrap();
    let id = accept(&store, new(ExecutionRequest::shell("exit 3").label("a", "b"))).await.id;
    store.dispatch(vec![id], "keeper").await.unwrap();
    let place = OutputPlace::Inline(b"its journal".to_vec());
    store.ended(ended(id, Ending::Exited { code: 3 }, place)).await.unwrap();
    let id = accept_shell(&store, "sleep 100").await;
    let lost = Ending::Lost { reason: "the keeper died".into() };
    store.ended(ended(id, lost, OutputPlace::None)).await.unwrap();
    store.pin(id, true).await.unwrap();
    fill_groups(&store).await;
    // Schema 4.
    assert!(store.create_token(token("phone", 7, TokenScope::Run)).await.unwrap());
}

/// Makes what schema 3 has beside executions.
async fn fill_groups(store: &Store) {
    let limit = GroupChange { max_running: Some(Some(2)), paused: Some(true) };
    store.set_group("gpu", limit).await.unwrap();
    store.create_schedule(schedules::new(OverlapPolicy::Queue)).await.unwrap();
    let plan = plans::accept_plan(store).await;
    let of = StepOf { plan: plan.id, round: 1, step: 4, event: 0 };
    store.end_step_unstarted(of, Ending::Cancelled).await.unwrap();
    store.stop_plan(plan.id, PlanStop::Cancel).await.unwrap();
}

async fn check_groups(store: &Store, is_there: bool) {
    let groups = store.groups().await.unwrap();
    let groups: Vec<_> = groups.iter().map(|it| (&*it.name, it.max_running, it.paused)).collect();
    let expected = [("gpu", Some(2), true)];
    assert_eq!(groups, expected[..usize::from(is_there)]);
    let schedules = store.schedules().await.unwrap();
    let schedules: Vec<_> = schedules.iter().map(|it| (&*it.every, it.overlap)).collect();
    assert_eq!(schedules, [("1s", OverlapPolicy::Queue)][..usize::from(is_there)]);
    let unfinished = store.unfinished_plans().await.unwrap();
    assert_eq!(unfinished.len(), usize::from(is_there));
    for id in unfinished {
        let plan = store.plan(id).await.unwrap().unwrap();
        assert_eq!(plan.steps[0].ending, Some(Ending::Cancelled));
        assert_eq!((plan.stops[0].event, plan.round), (2, 1));
        store.end_plan(id, ExecutionStatus::Cancelled, serde_json::json!({})).await.unwrap();
        store.resume_plan(id, vec![4]).await.unwrap();
        assert_eq!(store.plan(id).await.unwrap().unwrap().steps.len(), 1);
    }
}

/// Returns the tables and indexes of a database, and its schema.
fn schema(database: &Path) -> (i64, Vec<String>) {
    let connection = Connection::open(database).unwrap();
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let mut query = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql NOT NULL").unwrap();
    let all = query.query_map([], |row| row.get(0)).unwrap();
    (version, all.collect::<Result<_, _>>().unwrap())
}

#[tokio::test]
async fn there_is_a_database_of_each_schema() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path()).await;
    let database = dir.path().join("exeng.db");
    let (version, current) = schema(&database);
    let file = released().join(format!("v{version}.db.zst"));
    if std::env::var_os("EXENG_STORE_WRITE_RELEASED").is_some() {
        let packed = zstd::encode_all(&*fs::read(&database).unwrap(), 19).unwrap();
        fs::write(&file, packed).unwrap();
    }
    for version in 1..=version {
        let file = released().join(format!("v{version}.db.zst"));
        let is_there = file.exists();
        assert!(
            is_there,
            "{file:?} is missing; EXENG_STORE_WRITE_RELEASED=1 writes it once, before the release"
        );
    }
    // A migration that was released must not be changed: others would have another schema of the same number.
    let unpacked = unpack(&file);
    assert_eq!(schema(&unpacked.path().join("exeng.db")), (version, current));
}

/// Unpacks a database into a state directory.
fn unpack(file: &Path) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bytes = zstd::decode_all(fs::File::open(file).unwrap()).unwrap();
    fs::write(dir.path().join("exeng.db"), bytes).unwrap();
    dir
}

#[tokio::test]
async fn released_databases_are_migrated_and_lose_nothing() {
    let mut files = 0;
    for entry in fs::read_dir(released()).unwrap() {
        let file = entry.unwrap().path();
        files += 1;
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let dir = unpack(&file);
        let store = open(dir.path());
        let all = store.list(Query::default()).await.unwrap().items;
        let seen: Vec<_> = all.iter().map(|stored| (&*stored.command, stored.status)).collect();
        let lost = ("sleep 100", ExecutionStatus::Lost);
        let failed = ("exit 3", ExecutionStatus::Failed);
        let waits = ("make all", ExecutionStatus::Pending);
        assert_eq!(seen, [lost, failed, waits], "{file:?}");
        assert!(all[0].pinned);
        let output = store.output(all[1].id).await.unwrap().unwrap();
        assert_eq!(output.end(), 11);
        assert_eq!(all[2].env_names, ["TOKEN"]);
        // Schema 1 knows none of these.
        let is_newer = !file.ends_with("v1.db.zst");
        assert_eq!(all[2].paused, is_newer, "{file:?}");
        assert_eq!(all[2].inherited_names.is_some(), is_newer, "{file:?}");
        assert_eq!(all[2].start_at, is_newer.then(start_at), "{file:?}");
        check_groups(&store, !matches!(&*name, "v1.db.zst" | "v2.db.zst")).await;
        let expected = [token("phone", 7, TokenScope::Run)];
        let has_tokens = !matches!(&*name, "v1.db.zst" | "v2.db.zst" | "v3.db.zst");
        assert_eq!(store.tokens().await.unwrap(), expected[..usize::from(has_tokens)], "{file:?}");
        // Its key is not there.
        assert_eq!(store.whole(all[2].id).await.unwrap_err().code(), "other_key");

        let by_tag = Query { tags: vec!["nightly".into()], ..Query::default() };
        assert_eq!(store.list(by_tag).await.unwrap().items.len(), 1);
        store.set_paused(all[2].id, true).await.unwrap();
        assert!(store.get(all[2].id).await.unwrap().unwrap().paused);
        end(&store, all[2].id, 0).await;
        assert!(!store.get(all[2].id).await.unwrap().unwrap().paused, "what has ended is not");
        store.remove(all[1].id).await.unwrap();
        let next = accept(&store, new(ExecutionRequest::shell("true"))).await;
        assert_eq!(next.seq, 4);
        drop(store);
        check_integrity(dir.path());
    }
    assert!(files > 0);
}
