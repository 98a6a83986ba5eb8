//! Processes that are killed in the middle of a write.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use execution_engine::{Ending, ExecutionRequest};
use execution_engine_journal::Kind;
use execution_engine_store::{
    Accepted, Hooks, NewExecution, OutputPlace, Store, StoreConfig, StoredExecution, StoredPlace,
};
use rustix::process::{Signal, getpid, kill_process};
use test_support::host::{request, role};
use test_support::{engine, run, test_name, text};
use uuid::Uuid;

use crate::support::{accept_shell, check_integrity, ended, files, journal, new, open};

/// Ends this process at once, as a crash does.
fn die() {
    kill_process(getpid(), Signal::KILL).unwrap();
    // The signal is on its way.
    loop {
        std::thread::park();
    }
}

/// Runs the calling test in a role of its own, which has to die by SIGKILL.
async fn dies(test: &str, role: &str) {
    let result = run(&engine(), request(test, role)).await;
    let is_killed = matches!(result.ending, Ending::Signaled { signal: 9, .. });
    assert!(is_killed, "{role}: {:?}\n{}\n{}", result.ending, result.stdout, result.stderr);
}

/// Opens a store that kills this process at a step of an operation.
fn mortal(dir: &Path, operation: &str, step: &str) -> Store {
    let (operation, step) = (operation.to_string(), step.to_string());
    let fault = move |at: &str, reached: &str| -> io::Result<()> {
        if at == operation && reached == step {
            die();
        }
        Ok(())
    };
    let hooks = Hooks::default().fault(fault);
    Store::open(dir, StoreConfig { hooks, ..StoreConfig::default() }).unwrap()
}

/// Id of the execution that the steps below are about.
const ID: Uuid = Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef);

fn the_execution() -> NewExecution {
    let request = ExecutionRequest { id: ID, ..ExecutionRequest::shell("true") };
    let request = request.env("TOKEN", "hidden-value").tag("t");
    NewExecution { key: Some("key".into()), ..new(request) }
}

fn journal_of(dir: &Path) -> PathBuf {
    dir.join("journal")
}

/// Takes an execution through its whole life.
async fn live(store: &Store, dir: &Path) {
    store.accept(the_execution()).await.unwrap();
    store.dispatch(vec![ID], "k").await.unwrap();
    store.erase_env(ID).unwrap();
    store.started(ID, chrono::Utc::now()).unwrap();
    let path = journal_of(dir);
    let bytes = journal(&path, [(Kind::Stdout, vec![7; 300_000])]);
    let place = OutputPlace::Journal { path: path.clone(), bytes };
    store.ended(ended(ID, Ending::Exited { code: 0 }, place)).await.unwrap();
    store.archive(ID).await.unwrap();
    store.pin(ID, true).await.unwrap();
    store.pin(ID, false).await.unwrap();
    store.remove(ID).await.unwrap();
}

/// What is to be seen after a crash at each step.
type Seen = fn(Option<StoredExecution>) -> bool;

fn is_running(stored: Option<StoredExecution>) -> bool {
    stored.is_some_and(|stored| !stored.is_ended() && stored.keeper.is_some())
}

fn output_is(stored: Option<StoredExecution>, place: StoredPlace) -> bool {
    stored.is_some_and(|stored| stored.output == place)
}

const STEPS: &[(&str, &str, Seen)] = &[
    ("accept", "applied", |stored| stored.is_none()),
    ("accept", "committed", |stored| stored.is_some_and(|stored| stored.keeper.is_none())),
    ("dispatch", "applied", |stored| stored.is_some_and(|stored| stored.keeper.is_none())),
    ("dispatch", "committed", is_running),
    ("lazy", "applied", is_running),
    ("ended", "applied", is_running),
    ("ended", "committed", |stored| output_is(stored, StoredPlace::Journal)),
    ("archive_announced", "committed", |stored| output_is(stored, StoredPlace::Journal)),
    ("archive_announced", "done", |stored| output_is(stored, StoredPlace::Journal)),
    ("archive_written", "done", |stored| output_is(stored, StoredPlace::Journal)),
    ("archive_renamed", "done", |stored| output_is(stored, StoredPlace::Journal)),
    ("archive", "applied", |stored| output_is(stored, StoredPlace::Journal)),
    ("archive", "committed", |stored| output_is(stored, StoredPlace::Archive)),
    ("pin", "applied", |stored| stored.is_some_and(|stored| !stored.pinned)),
    ("pin", "committed", |stored| stored.is_some_and(|stored| stored.pinned)),
    ("remove", "applied", |stored| stored.is_some()),
    ("remove", "committed", |stored| stored.is_none()),
];

#[tokio::test]
async fn crash_at_each_step_leaves_all_or_nothing_of_it() {
    if let Some(role) = role() {
        let [operation, step, dir] = &role[..] else { panic!("{role:?}") };
        let dir = Path::new(dir);
        live(&mortal(&dir.join("state"), operation, step), dir).await;
        return;
    }
    for (operation, step, seen) in STEPS {
        let dir = tempfile::tempdir().unwrap();
        dies(test_name!(), &format!("{operation} {step} {}", text(dir.path()))).await;
        let state = dir.path().join("state");
        check_integrity(&state);
        let store = open(&state);
        let stored = store.get(ID).await.unwrap();
        assert!(seen(stored.clone()), "after a crash at {operation}, {step}: {stored:?}");
        check_whole(&store, stored.as_ref(), dir.path()).await;
    }
}

/// Checks that a store is whole after a crash, and that the life can go on.
async fn check_whole(store: &Store, stored: Option<&StoredExecution>, dir: &Path) {
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.executions(), u64::from(stored.is_some()));
    if let Some(output) = store.output(ID).await.unwrap() {
        let read = output.read_stream(None, 0, usize::MAX).unwrap();
        assert!(read == vec![7; 300_000]);
    }
    if stored.is_none_or(|stored| !stored.is_ended()) {
        let again = store.accept(the_execution()).await.unwrap();
        assert_eq!(again == Accepted::Existing(ID), stored.is_some(), "the same call finds out");
        let _ = std::fs::remove_file(journal_of(dir));
        live(store, dir).await;
    } else {
        store.archive(ID).await.unwrap();
        store.pin(ID, false).await.unwrap();
        store.remove(ID).await.unwrap();
    }
    store.close();
    let left = files(&dir.join("state").join("outputs"));
    assert!(left.is_empty(), "nobody owns {:?}", left[0].0);
}

/// Writes executions from many threads, notes which are acknowledged, and dies after a number of them.
fn write_until_death(dir: &Path, acknowledged: usize) {
    let store = open(&dir.join("state"));
    let notes =
        OpenOptions::new().append(true).create(true).open(dir.join("acknowledged")).unwrap();
    let (notes, count) = (Arc::new(notes), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (store, notes, count) = (store.clone(), notes.clone(), count.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                loop {
                    let id = runtime.block_on(accept_shell(&store, "true"));
                    note(&notes, "accepted", id);
                    let place = OutputPlace::Inline(vec![9; 10_000]);
                    let ended = ended(id, Ending::Exited { code: 0 }, place);
                    runtime.block_on(store.ended(ended)).unwrap();
                    note(&notes, "ended", id);
                    if count.fetch_add(1, Ordering::Relaxed) == acknowledged {
                        die();
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Notes an acknowledgement in a file, which survives the process.
fn note(mut notes: &File, what: &str, id: Uuid) {
    notes.write_all(format!("{what} {id}\n").as_bytes()).unwrap();
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_in_a_crash() {
    if let Some(role) = role() {
        let [dir, acknowledged] = &role[..] else { panic!("{role:?}") };
        write_until_death(Path::new(dir), acknowledged.parse().unwrap());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Each process finds what those before it have left.
    for acknowledged in [0, 3, 40, 150, 400] {
        dies(test_name!(), &format!("{} {acknowledged}", text(dir.path()))).await;
    }
    check_integrity(&dir.path().join("state"));
    let store = open(&dir.path().join("state"));
    let notes = std::fs::read_to_string(dir.path().join("acknowledged")).unwrap();
    let mut accepted = 0;
    for note in notes.lines() {
        let (what, id) = note.split_once(' ').unwrap();
        let stored = store.get(id.parse().unwrap()).await.unwrap();
        let stored = stored.unwrap_or_else(|| panic!("{note} is lost"));
        accepted += usize::from(what == "accepted");
        if what == "ended" {
            assert!(stored.is_ended(), "{note} is lost");
            let output = store.output(stored.id).await.unwrap().unwrap();
            assert_eq!(output.end(), 10_000);
        }
    }
    assert!(accepted >= 593, "{accepted}");
    // Each of 8 threads may have had one that was accepted and not acknowledged.
    let stats = store.stats().await.unwrap();
    assert!(stats.executions() <= accepted as u64 + 5 * 8, "{} of {accepted}", stats.executions());
}
