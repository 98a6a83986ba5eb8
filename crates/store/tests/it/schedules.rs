//! Schedules: a run and the next moment are one transaction, and values are sealed as long as a schedule exists.

use std::fs;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use execution_engine::{ExecutionOptions, ExecutionRequest};
use execution_engine_store::{
    AcceptedSchedule, DueRuns, MissedPolicy, NewExecution, NewSchedule, OverlapPolicy, Query,
    ScheduleRun, Store, StoredSchedule,
};
use uuid::Uuid;

use crate::support::{end, open};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

pub(crate) fn new(overlap: OverlapPolicy) -> NewSchedule {
    NewSchedule {
        owner: 1000,
        key: None,
        body: b"body".to_vec(),
        name: None,
        every: "1s".into(),
        time_zone: "UTC".into(),
        missed: MissedPolicy::RunOnce,
        overlap,
        next_at: at(1),
        request: ExecutionRequest::shell("true").env("TOKEN", "hidden-value"),
        options: ExecutionOptions::default(),
        inherited_names: Vec::new(),
        pinned: false,
        created_at: at(0),
        most: 3,
    }
}

async fn create(store: &Store, new: NewSchedule) -> StoredSchedule {
    match store.create_schedule(new).await.unwrap() {
        AcceptedSchedule::Created(stored) => *stored,
        other => panic!("{other:?}"),
    }
}

/// Returns a run for each of the moments up to a second.
fn due(schedule: Uuid, expected: i64, until: i64) -> DueRuns {
    let run = |second| {
        let run = ScheduleRun { id: schedule, moment: Some(at(second)) };
        let request = ExecutionRequest::shell("true");
        NewExecution {
            schedule: Some(run),
            ..NewExecution::new(1000, request, ExecutionOptions::default())
        }
    };
    DueRuns {
        schedule,
        expected: at(expected),
        next_at: Some(at(until + 1)),
        missed: 0,
        runs: (expected..=until).map(run).collect(),
        most_unended: 3,
    }
}

#[tokio::test]
async fn moment_is_run_for_once_also_by_another_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = create(&store, new(OverlapPolicy::Allow)).await.id;
    let accepted = store.run_schedule(due(id, 1, 1)).await.unwrap();
    let run = ScheduleRun { id, moment: Some(at(1)) };
    assert_eq!(accepted.iter().map(|run| run.schedule).collect::<Vec<_>>(), [Some(run)]);
    assert_eq!(store.run_schedule(due(id, 1, 1)).await.unwrap(), [], "it is at another moment");
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.run_schedule(due(id, 1, 1)).await.unwrap(), []);
    let stored = store.schedule(id).await.unwrap().unwrap();
    assert_eq!((stored.runs, stored.next_at), (1, Some(at(2))));
    assert_eq!(stored.last_run, Some(accepted[0].id));
    let query = Query { schedule: Some(id), ..Query::default() };
    assert_eq!(store.list(query).await.unwrap().items, accepted);
    store.pause_schedule(id, true, None).await.unwrap();
    assert_eq!(store.run_schedule(due(id, 2, 2)).await.unwrap(), [], "it is paused");
    store.pause_schedule(id, false, Some(at(9))).await.unwrap();
    store.pause_schedule(id, false, Some(at(10))).await.unwrap();
    let (found, next) = store.due_schedules(at(8)).await.unwrap();
    assert_eq!((found.len(), next), (0, Some(at(9))), "what goes on already stays as it is");
    assert_eq!(store.due_schedules(at(9)).await.unwrap().0[0].id, id);
    store.remove_schedule(id).await.unwrap();
    assert_eq!(store.run_schedule(due(id, 9, 9)).await.unwrap(), [], "it is gone");
    let gone = store.remove_schedule(id).await.unwrap_err();
    assert_eq!(gone.code(), "unknown_schedule");
    let by_hand = due(id, 1, 1).runs.remove(0);
    assert_eq!(store.accept(by_hand).await.unwrap_err().code(), "unknown_schedule");
    assert_eq!(store.stats().await.unwrap().executions(), 1);
}

#[tokio::test]
async fn runs_that_overlap_are_left_out_or_wait_and_are_never_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (policy, accepted, left_out) in
        [(OverlapPolicy::Skip, 1, 4), (OverlapPolicy::Queue, 3, 2), (OverlapPolicy::Allow, 3, 2)]
    {
        let id = create(&store, new(policy)).await.id;
        let runs = store.run_schedule(due(id, 1, 5)).await.unwrap();
        let stored = store.schedule(id).await.unwrap().unwrap();
        assert_eq!((runs.len(), stored.overlaps.count), (accepted, left_out), "{policy:?}");
        assert!(stored.overlaps.last_at.is_some());
        let waits = policy == OverlapPolicy::Queue;
        for two in runs.windows(2) {
            let earlier = if waits { vec![two[0].id] } else { Vec::new() };
            assert_eq!(two[1].after_ended, earlier, "{policy:?}");
        }
        for run in &runs {
            end(&store, run.id, 0).await;
        }
        assert_eq!(store.run_schedule(due(id, 6, 6)).await.unwrap().len(), 1, "none is left");
    }
}

#[tokio::test]
async fn same_key_or_id_is_the_same_schedule_and_names_are_taken_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let named = |key: &str, name: &str| NewSchedule {
        key: Some(key.into()),
        name: Some(name.into()),
        ..new(OverlapPolicy::Skip)
    };
    let first = named("k", "one");
    let id = create(&store, first.clone()).await.id;
    let existing = AcceptedSchedule::Existing(id);
    assert_eq!(store.create_schedule(named("k", "one")).await.unwrap(), existing);
    let same_id = NewSchedule { key: None, ..first };
    assert_eq!(store.create_schedule(same_id.clone()).await.unwrap(), existing);
    for key in [None, Some("free".to_string())] {
        let other = NewSchedule { body: b"other".to_vec(), key, ..same_id.clone() };
        let reused = store.create_schedule(other).await.unwrap();
        assert_eq!(reused, AcceptedSchedule::IdReused(id));
    }
    let other = NewSchedule { body: b"other".to_vec(), ..named("k", "one") };
    let reused = store.create_schedule(other).await.unwrap();
    assert_eq!(reused, AcceptedSchedule::KeyReused(id));
    let taken = store.create_schedule(named("l", "one")).await.unwrap();
    assert_eq!(taken, AcceptedSchedule::NameTaken(id));
    for number in 0..2 {
        create(&store, named(&format!("n{number}"), &format!("n{number}"))).await;
    }
    let many = store.create_schedule(named("m", "m")).await.unwrap();
    assert_eq!(many, AcceptedSchedule::TooMany);
    assert_eq!(store.find_schedules("one").await.unwrap(), [id]);
    assert_eq!(store.find_schedules(&id.to_string()[..8]).await.unwrap(), [id]);
    assert!(store.find_schedules("nobody").await.unwrap().is_empty());
    assert_eq!(store.schedules().await.unwrap().len(), 3);
}

/// Returns `true` if a file of a directory has a text in it.
fn has(dir: &Path, text: &[u8]) -> bool {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .any(|path| fs::read(path).unwrap().windows(text.len()).any(|window| window == text))
}

#[tokio::test]
async fn values_are_sealed_and_are_removed_with_the_schedule() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = create(&store, new(OverlapPolicy::Allow)).await.id;
    let stored = store.schedule(id).await.unwrap().unwrap();
    assert_eq!(stored.env_names, ["TOKEN"]);
    assert!(stored.request.env.is_empty());
    let (request, _) = store.whole_schedule(id).await.unwrap();
    assert_eq!(request.env["TOKEN"], "hidden-value");
    assert!(!has(dir.path(), b"hidden-value"));
    store.note_schedule_error(id, "the limits are refused".into(), at(7)).await.unwrap();
    let stored = store.schedule(id).await.unwrap().unwrap();
    assert_eq!(stored.error.as_deref(), Some("the limits are refused"));
    assert_eq!(stored.error_at, Some(at(0) + TimeDelta::seconds(7)));
    drop(store);

    let sealed: Vec<u8> = {
        let connection = rusqlite::Connection::open(dir.path().join("exeng.db")).unwrap();
        connection.query_row("SELECT sealed FROM schedules", [], |row| row.get(0)).unwrap()
    };
    let key = fs::read(dir.path().join("key")).unwrap();
    fs::write(dir.path().join("key"), [7; 32]).unwrap();
    let store = open(dir.path());
    let error = store.whole_schedule(id).await.unwrap_err();
    assert!(error.code() == "other_key" && error.to_string().contains("schedule"), "{error}");
    drop(store);
    fs::write(dir.path().join("key"), key).unwrap();
    let store = open(dir.path());
    store.whole_schedule(id).await.unwrap();
    assert!(has(dir.path(), &sealed));
    store.remove_schedule(id).await.unwrap();
    assert_eq!(store.whole_schedule(id).await.unwrap_err().code(), "unknown_schedule");
    store.close();
    assert!(!has(dir.path(), &sealed), "it is erased");
}
