//! What is forgotten, and what stays.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use execution_engine::{Ending, ExecutionRequest};
use execution_engine_journal::Kind;
use execution_engine_store::{
    Hooks, NewExecution, OutputPlace, Query, Removed, RetentionLimits, Store, StoreConfig,
};
use uuid::Uuid;

use crate::support::{
    accept, accept_shell, check_integrity, end, ended, files, journal, new, open,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that the test sets.
#[derive(Clone)]
struct Clock(Arc<Mutex<DateTime<Utc>>>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())))
    }

    fn hooks(&self) -> Hooks {
        let clock = self.clone();
        Hooks::default().clock(move || *clock.0.lock().unwrap())
    }

    fn add(&self, time: TimeDelta) {
        *self.0.lock().unwrap() += time;
    }
}

async fn ids(store: &Store) -> Vec<Uuid> {
    let page = store.list(Query { limit: 1000, ..Query::default() }).await.unwrap();
    page.items.into_iter().rev().map(|stored| stored.id).collect()
}

async fn ended_shell(store: &Store) -> Uuid {
    let id = accept_shell(store, "true").await;
    end(store, id, 0).await;
    id
}

#[tokio::test]
async fn those_that_ended_first_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let config = StoreConfig { max_count: 2, hooks: clock.hooks(), ..StoreConfig::default() };
    let store = Store::open(dir.path(), config).unwrap();
    let waits = accept_shell(&store, "true").await;
    let late = accept_shell(&store, "true").await;
    let pinned =
        accept(&store, NewExecution { pinned: true, ..new(ExecutionRequest::shell("a")) }).await.id;
    end(&store, pinned, 0).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        clock.add(TimeDelta::seconds(1));
        others.push(ended_shell(&store).await);
    }
    clock.add(TimeDelta::seconds(1));
    end(&store, late, 0).await;
    assert_eq!(store.retention_pass().await.unwrap().by_count.executions, 4);
    assert_eq!(ids(&store).await, [waits, late, pinned, others[4]]);
    assert_eq!(store.retention_pass().await.unwrap().all().executions, 0);

    assert_eq!(store.remove(pinned).await.unwrap_err().code(), "pinned");
    store.pin(pinned, false).await.unwrap();
    store.pin(others[4], true).await.unwrap();
    store.pin(others[4], true).await.unwrap();
    ended_shell(&store).await;
    assert_eq!(store.retention_pass().await.unwrap().by_count.executions, 1);
    assert!(!ids(&store).await.contains(&pinned), "it ended first");
    assert_eq!(store.stats().await.unwrap().removable, 2);
    assert_eq!(store.pin(pinned, true).await.unwrap_err().code(), "not_found");
}

#[tokio::test]
async fn age_is_measured_from_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let config = StoreConfig { max_age: 3 * DAY, hooks: clock.hooks(), ..StoreConfig::default() };
    let store = Store::open(dir.path(), config).unwrap();
    let long = accept_shell(&store, "sleep").await;
    let mut removed = 0;
    for day in 0..5 {
        ended_shell(&store).await;
        clock.add(TimeDelta::days(1));
        if day == 3 {
            end(&store, long, 0).await;
        }
        removed += store.retention_pass().await.unwrap().by_age.executions;
    }
    // Five days have passed: those that ended on the days 0 and 1 are older than three days.
    assert_eq!(removed, 2);
    assert!(ids(&store).await.contains(&long));
}

#[tokio::test]
async fn clock_that_was_wrong_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let config =
        || StoreConfig { max_age: 90 * DAY, hooks: clock.hooks(), ..StoreConfig::default() };
    let store = Store::open(dir.path(), config()).unwrap();
    let before = ended_shell(&store).await;
    clock.add(TimeDelta::days(3650));
    assert_eq!(store.retention_pass().await.unwrap().all().executions, 0);
    let during = ended_shell(&store).await;
    // The clock is put right, and a restart sees another jump.
    clock.add(TimeDelta::days(-3650));
    let after = ended_shell(&store).await;
    drop(store);
    clock.add(TimeDelta::days(1000));
    let store = Store::open(dir.path(), config()).unwrap();
    assert_eq!(store.retention_pass().await.unwrap().all().executions, 0);
    assert_eq!(ids(&store).await, [before, during, after], "in the order of acceptance");
    // Real time goes on.
    for _ in 0..100 {
        clock.add(TimeDelta::days(1));
        store.retention_pass().await.unwrap();
    }
    assert_eq!(ids(&store).await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn bytes_are_limited_and_the_disk_gets_them_back() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let max_bytes = 3 << 20;
    let store = Store::open(&state, StoreConfig { max_bytes, ..StoreConfig::default() }).unwrap();
    let mut noise = 1u32;
    for number in 0..150 {
        let id = accept_shell(&store, "true").await;
        // No compression makes these smaller.
        let mut bytes = vec![0; 50_000];
        bytes.fill_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        });
        let place = if number % 2 == 0 {
            OutputPlace::Inline(bytes)
        } else {
            let path = dir.path().join(format!("journal{number}"));
            let bytes = journal(&path, [(Kind::Stdout, bytes)]);
            OutputPlace::Journal { path, bytes }
        };
        store.ended(ended(id, Ending::Exited { code: 0 }, place)).await.unwrap();
        store.archive(id).await.unwrap();
    }
    let before = store.stats().await.unwrap();
    assert!(before.database_bytes > max_bytes && before.file_bytes > max_bytes, "{before:?}");
    let removed = store.retention_pass().await.unwrap();
    assert!(removed.by_bytes.executions > 70, "{removed:?}");
    assert_eq!(removed.by_bytes, removed.all());
    let left = ids(&store).await;
    assert!(left.len() > 20, "no more than needed: {}", left.len());
    store.close();
    let on_disk: usize = files(&state).iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(on_disk as u64 <= max_bytes + max_bytes / 10 + (1 << 20), "{on_disk}");
    check_integrity(&state);

    let store = open(&state);
    for id in left {
        assert!(store.output(id).await.unwrap().is_some());
    }
    let archives =
        files(&state.join("outputs")).iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
    assert_eq!(store.stats().await.unwrap().file_bytes, archives);
}

const ALL: RetentionLimits =
    RetentionLimits { max_age: Duration::MAX, max_count: u64::MAX, max_bytes: u64::MAX };

/// Returns the numbers by reason.
fn numbers(removed: &Removed) -> [u64; 3] {
    [removed.by_age, removed.by_count, removed.by_bytes].map(|part| part.executions)
}

#[tokio::test]
async fn preview_says_what_a_pass_within_other_limits_removes() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let config = StoreConfig { hooks: clock.hooks(), ..StoreConfig::default() };
    let store = Store::open(dir.path().join("state"), config).unwrap();
    accept_shell(&store, "waits").await;
    let pinned =
        accept(&store, NewExecution { pinned: true, ..new(ExecutionRequest::shell("a")) }).await.id;
    end(&store, pinned, 0).await;
    let mut outputs = 0;
    for number in 0..30 {
        let id = accept_shell(&store, "true").await;
        let place = if number % 2 == 0 {
            outputs += 7000;
            OutputPlace::Inline(vec![b'x'; 7000])
        } else {
            let path = dir.path().join(format!("journal{number}"));
            let bytes = journal(&path, [(Kind::Stdout, vec![b'x'; 9000])]);
            outputs += bytes;
            OutputPlace::Journal { path, bytes }
        };
        store.ended(ended(id, Ending::Exited { code: 0 }, place)).await.unwrap();
        clock.add(TimeDelta::hours(1));
    }
    // Nothing is committed, and the clock has gone on.
    for (limits, expected) in [
        (ALL, [0, 0, 0]),
        (RetentionLimits { max_age: Duration::from_secs(25 * 3600), ..ALL }, [5, 0, 0]),
        (RetentionLimits { max_count: 22, ..ALL }, [0, 8, 0]),
        (
            RetentionLimits { max_age: Duration::from_secs(20 * 3600), max_count: 18, ..ALL },
            [10, 2, 0],
        ),
        (RetentionLimits { max_count: 0, ..ALL }, [0, 30, 0]),
    ] {
        let preview = store.retention_preview(limits).await.unwrap();
        assert_eq!(numbers(&preview), expected, "{limits:?}");
    }
    let all = store.retention_preview(RetentionLimits { max_count: 0, ..ALL }).await.unwrap();
    assert_eq!((all.all().bytes, ids(&store).await.len()), (outputs, 32), "nothing is removed");

    let limits = RetentionLimits { max_age: Duration::from_secs(25 * 3600), max_count: 20, ..ALL };
    let preview = store.retention_preview(limits).await.unwrap();
    assert_eq!(store.retention_pass_within(limits).await.unwrap(), preview);
    assert_eq!(numbers(&preview), [5, 5, 0]);
    assert_eq!(ids(&store).await.len(), 22);
    assert_eq!(store.retention_preview(limits).await.unwrap(), Removed::default());
}

#[tokio::test]
async fn preview_of_bytes_is_near_what_a_pass_removes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for _ in 0..400 {
        let id = accept_shell(&store, "true").await;
        let output = OutputPlace::Inline(vec![b'x'; 9_000]);
        store.ended(ended(id, Ending::Exited { code: 0 }, output)).await.unwrap();
    }
    let limits = RetentionLimits { max_bytes: 2 << 20, ..ALL };
    let preview = store.retention_preview(limits).await.unwrap();
    let removed = store.retention_pass_within(limits).await.unwrap();
    let (told, done) = (numbers(&preview)[2], numbers(&removed)[2]);
    assert!(done > 100 && told.abs_diff(done) <= done / 4, "{preview:?} {removed:?}");
}
