//! What the tests share.

use std::path::Path;

use chrono::Utc;
use execution_engine::{Ending, ExecutionOptions, ExecutionRequest};
use execution_engine_journal::{JournalEvent, JournalReader, JournalWriter, Kind};
use execution_engine_store::{
    Accepted, EndedExecution, NewExecution, OutputPlace, Store, StoreConfig, StoredExecution,
};
use serde_json::json;
use uuid::Uuid;

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, StoreConfig::default()).unwrap()
}

pub(crate) fn new(request: ExecutionRequest) -> NewExecution {
    let body = serde_json::to_vec(&request.command).unwrap();
    NewExecution { body, ..NewExecution::new(1000, request, ExecutionOptions::default()) }
}

/// Accepts an execution that is not known yet.
pub(crate) async fn accept(store: &Store, new: NewExecution) -> StoredExecution {
    match store.accept(new).await.unwrap() {
        Accepted::Created(created) => *created,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn accept_shell(store: &Store, line: &str) -> Uuid {
    accept(store, new(ExecutionRequest::shell(line))).await.id
}

pub(crate) fn ended(id: Uuid, ending: Ending, output: OutputPlace) -> EndedExecution {
    EndedExecution {
        id,
        ending,
        result: json!({ "success": false, "stdout": "" }),
        stdout_bytes: 0,
        stderr_bytes: 0,
        attempts: 1,
        started_at: Some(Utc::now()),
        ended_at: Utc::now(),
        duration_ms: Some(5),
        output,
    }
}

pub(crate) async fn end(store: &Store, id: Uuid, code: i32) {
    let ending = Ending::Exited { code };
    assert!(store.ended(ended(id, ending, OutputPlace::None)).await.unwrap());
}

/// Writes a journal, and returns its length.
pub(crate) fn journal(path: &Path, records: impl IntoIterator<Item = (Kind, Vec<u8>)>) -> u64 {
    let mut writer = JournalWriter::create(path).unwrap();
    writer.append_event(1, 1, &JournalEvent::Started { attempt: 1, pid: Some(7) }).unwrap();
    for (number, (kind, payload)) in records.into_iter().enumerate() {
        writer.append(kind, 1, number as i64, &payload).unwrap();
    }
    let ended = JournalEvent::Ended { result: json!({ "success": true }) };
    writer.append_event(1, 9, &ended).unwrap()
}

/// Returns the output of a stream in a journal that is in memory.
pub(crate) fn stream_of(journal: &[u8], kind: Kind) -> Vec<u8> {
    let reader = JournalReader::new(journal, "test");
    let records = reader.read(0, journal.len() as u64, usize::MAX).unwrap().records;
    let of_kind = records.into_iter().filter(|record| record.kind == kind);
    of_kind.flat_map(|record| record.payload.to_vec()).collect()
}

/// Returns all bytes of all files below a directory, with their names.
pub(crate) fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.append(&mut files(&path));
        } else {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
        }
    }
    all
}

/// Returns the files below a directory that contain some bytes.
pub(crate) fn files_with(dir: &Path, bytes: &[u8]) -> Vec<String> {
    let has = |content: &[u8]| content.windows(bytes.len()).any(|part| part == bytes);
    files(dir).into_iter().filter(|(_, content)| has(content)).map(|(name, _)| name).collect()
}

/// Checks the database with SQLite's own means.
pub(crate) fn check_integrity(dir: &Path) {
    let connection = rusqlite::Connection::open(dir.join("exeng.db")).unwrap();
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
