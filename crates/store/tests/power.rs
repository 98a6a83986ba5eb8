//! Power failures of the store: what its caller was told is there whatever the disk has kept of the rest.
//!
//! `EXENG_POWER_POINTS` is the number of failures.

#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use chrono::Utc;
use execution_engine::{Ending, ExecutionOptions, ExecutionRequest, ExecutionStatus};
use execution_engine_journal::{JournalEvent, JournalWriter, Kind};
use execution_engine_store::{
    Accepted, EndedExecution, NewExecution, OutputPlace, Store, StoreConfig,
};
use serde_json::json;
use service_judge::disk::{self, Disk, Kept};
use service_judge::preload::command;
use service_judge::recording::{Recorder, mark};
use uuid::Uuid;

const ROLE: &str = "STORE_POWER_LOG";
const CLIENTS: u64 = 4;
const EXECUTIONS_OF_A_CLIENT: u64 = 25;
const SMALL: usize = 5_000;
/// More than one frame of an archive.
const LARGE: usize = 600_000;

fn points() -> usize {
    std::env::var("EXENG_POWER_POINTS").map_or(60, |text| text.parse().expect("a number"))
}

/// Takes an execution through its life, and marks what the store has told.
async fn live(store: &Store, dir: &Path, log: &Path, is_large: bool) {
    let request = ExecutionRequest::shell("true").env("TOKEN", "value").tag("t");
    let id = request.id;
    let new = NewExecution::new(1000, request, ExecutionOptions::default());
    assert!(matches!(store.accept(new).await.unwrap(), Accepted::Created(_)));
    mark(log, &format!("accepted {id}"));
    assert_eq!(store.dispatch(vec![id], "k").await.unwrap(), [id]);
    mark(log, &format!("dispatched {id}"));
    store.erase_env(id).unwrap();
    store.started(id, Utc::now()).unwrap();

    let path = dir.join("journals").join(id.to_string());
    let mut journal = JournalWriter::create(&path).unwrap();
    let bytes = if is_large { LARGE } else { SMALL };
    journal.append(Kind::Stdout, 1, 1, &vec![b'x'; bytes]).unwrap();
    let end = JournalEvent::Ended { result: json!({}) };
    let length = journal.append_event(1, 2, &end).unwrap();
    let output = if is_large {
        File::open(&path).unwrap().sync_data().unwrap();
        File::open(dir.join("journals")).unwrap().sync_all().unwrap();
        OutputPlace::Journal { path: path.clone(), bytes: length }
    } else {
        OutputPlace::Inline(std::fs::read(&path).unwrap())
    };
    let ended = EndedExecution {
        id,
        ending: Ending::Exited { code: 3 },
        result: json!({}),
        stdout_bytes: bytes as u64,
        stderr_bytes: 0,
        attempts: 1,
        started_at: Some(Utc::now()),
        ended_at: Utc::now(),
        duration_ms: Some(5),
        output,
    };
    assert!(store.ended(ended).await.unwrap());
    mark(log, &format!("ended {id} {bytes}"));
    assert_eq!(store.archive(id).await.unwrap(), is_large);
    std::fs::remove_file(&path).unwrap();
}

#[test]
#[ignore = "the other test runs it, in a process of its own that is recorded"]
fn writer() {
    let Some(log) = std::env::var_os(ROLE) else { panic!("{ROLE} is not set") };
    let log = Path::new(&log);
    let dir = log.parent().unwrap().join("state");
    std::fs::create_dir(dir.join("journals")).unwrap();
    File::open(&dir).unwrap().sync_all().unwrap();
    let store = Store::open(&dir, StoreConfig::default()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for number in 0..EXECUTIONS_OF_A_CLIENT {
                    runtime.block_on(live(&store, &dir, log, number % 5 == 0));
                }
            });
        }
    });
    store.close();
}

fn record(dir: &Path) -> Disk {
    let recorder = Recorder::new(dir);
    let mut writer: Command = command(std::env::current_exe().unwrap());
    writer.args(["writer", "--exact", "--ignored", "--nocapture"]).env(ROLE, recorder.log());
    recorder.attach(&mut writer);
    let output = writer.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let disk = Disk::new(recorder.entries()).unwrap();
    let all = disk.after(disk.points(), Kept::Everything);
    assert_eq!(disk::differences(&all, &disk::read(recorder.root())), [""; 0], "not all was seen");
    std::fs::remove_dir_all(recorder.root()).unwrap();
    disk
}

/// Returns what is wrong with the store that a failure left in a directory.
async fn faults<'a>(dir: &Path, told: impl Iterator<Item = &'a str>) -> Vec<String> {
    let told: Vec<_> = told.collect();
    let store = match Store::open(dir, StoreConfig::default()) {
        Ok(store) => store,
        Err(error) => return vec![format!("it does not open: {error}")],
    };
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    for mark in told.iter().rev() {
        let words: Vec<_> = mark.split(' ').collect();
        let id: Uuid = words[1].parse().unwrap();
        // The last mark of an execution says most.
        if !seen.insert(id) {
            continue;
        }
        let stored = match store.get(id).await {
            Ok(Some(stored)) => stored,
            other => {
                faults.push(format!("{mark}: {other:?}"));
                continue;
            }
        };
        let is_right = match words[0] {
            "accepted" => true,
            "dispatched" => stored.status != ExecutionStatus::Pending,
            _ => stored.exit_code == Some(3),
        };
        if !is_right {
            faults.push(format!("{mark}: {stored:?}"));
        }
        if let [_, _, bytes] = words[..] {
            let bytes: usize = bytes.parse().unwrap();
            let output = match store.output(id).await {
                Ok(Some(output)) => output.read_stream(None, 0, usize::MAX),
                other => {
                    faults.push(format!("{mark}: output: {other:?}"));
                    continue;
                }
            };
            match output {
                Ok(output) if output == vec![b'x'; bytes] => {}
                Ok(output) => faults.push(format!("{mark}: {} bytes of output", output.len())),
                Err(error) => faults.push(format!("{mark}: output: {error}")),
            }
        }
    }
    store.close();
    faults.extend(disk::integrity(&dir.join("exeng.db")).err());
    faults
}

#[tokio::test]
async fn what_the_store_has_told_survives_a_power_failure() {
    let dir = tempfile::tempdir().unwrap();
    let disk = record(dir.path());
    let state = dir.path().canonicalize().unwrap().join("state");
    let mut all = Vec::new();
    let points = disk::choose_points(&disk, points(), 1);
    for (number, point) in points.iter().enumerate() {
        let kept = match number % 3 {
            0 => Kept::Nothing,
            1 => Kept::Random(*point as u64),
            _ => Kept::Everything,
        };
        // The rows name the journals by their paths.
        service_judge::service::private_dir(&state);
        disk::write(&disk.after(*point, kept), &state);
        let found = faults(&state, disk.marks(*point)).await;
        all.extend(found.into_iter().map(|fault| format!("point {point}, {kept:?}: {fault}")));
        std::fs::remove_dir_all(&state).unwrap();
    }
    assert!(all.is_empty(), "{} faults: {:#?}", all.len(), &all[..all.len().min(20)]);
    assert!(points.len() > 50, "only {} points", points.len());
}
