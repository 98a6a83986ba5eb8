//! Values of environments are sealed, and erased.

use execution_engine::{Ending, ExecutionOptions, ExecutionRequest, StdinSource};
use execution_engine_journal::Kind;
use execution_engine_store::{NewExecution, OutputPlace, Store};
use rusqlite::Connection;
use test_support::host::passed_apart;
use test_support::{at_once, soon, test_name, until};

use crate::support::{accept, accept_shell, end, ended, files, files_with, journal, new, open};

fn secret_execution() -> NewExecution {
    let request = ExecutionRequest::shell("deploy").env("API_TOKEN", "hidden-value-1");
    let options = ExecutionOptions::default()
        .env("DB_PASSWORD", "hidden-value-2")
        .stdin(StdinSource::bytes("hidden-value-3"));
    NewExecution { body: b"hidden-value-4".to_vec(), options, ..new(request) }
}

/// Returns what is sealed in the database, as it is on the disk.
fn sealed(dir: &std::path::Path) -> Vec<Vec<u8>> {
    let connection = Connection::open(dir.join("exeng.db")).unwrap();
    let mut query = connection.prepare("SELECT value FROM sealed").unwrap();
    let all = query.query_map([], |row| row.get(0)).unwrap();
    all.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn values_come_back_until_they_are_erased() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let new = secret_execution();
    let created = accept(&store, new.clone()).await;
    assert_eq!(created.env_names, ["API_TOKEN", "DB_PASSWORD"]);
    assert_eq!(created.stdin_bytes, Some(14));
    let shown = serde_json::to_string(&created).unwrap();
    assert!(!shown.contains("hidden-value"), "{shown}");
    assert_eq!(store.get(created.id).await.unwrap().unwrap(), created);

    let whole = store.whole(created.id).await.unwrap();
    assert_eq!(whole, (new.request, new.options));
    store.erase_env(created.id).unwrap();
    accept_shell(&store, "rides on this commit").await;
    let (request, options) = store.whole(created.id).await.unwrap();
    assert!(request.env.is_empty() && options.env.set.is_empty());
    assert_eq!(options.stdin, StdinSource::Null);
}

#[tokio::test]
async fn no_value_is_ever_on_the_disk_and_no_sealed_one_after_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let store = open(path);
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(accept(&store, secret_execution()).await.id);
    }
    let nowhere = |bytes: &[u8]| assert_eq!(files_with(path, bytes), Vec::<String>::new());
    nowhere(b"hidden-value");

    let sealed = sealed(path);
    assert_eq!(sealed.len(), 20);
    for value in &sealed {
        assert!(!files_with(path, value).is_empty(), "the test looks where they are");
    }
    // Half of them when the keeper has them, half at their end.
    for (number, id) in ids.iter().enumerate() {
        if number % 2 == 0 {
            store.erase_env(*id).unwrap();
        } else {
            let cancelled = ended(*id, Ending::Cancelled, OutputPlace::None);
            store.ended(cancelled).await.unwrap();
        }
    }
    until("the log is cut off", || at_once(store.stats()).unwrap().log_bytes == 0).await;
    for value in &sealed {
        // Not even in parts: SQLite may have moved pages.
        for part in value.chunks(16) {
            nowhere(part);
        }
    }
    nowhere(b"hidden-value");
    for id in ids {
        end_if_needed(&store, id).await;
        store.remove(id).await.unwrap();
    }
    drop(store);
    nowhere(b"hidden-value");
    nowhere(b"API_TOKEN");
}

async fn end_if_needed(store: &Store, id: uuid::Uuid) {
    if !store.get(id).await.unwrap().unwrap().is_ended() {
        end(store, id, 0).await;
    }
}

#[tokio::test]
async fn erased_values_leave_the_log_under_load_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = accept(&store, secret_execution()).await.id;
    let value = sealed(dir.path()).remove(0);
    store.erase_env(id).unwrap();
    let is_gone = || value.chunks(16).all(|part| files_with(dir.path(), part).is_empty());
    // No quiet: there is always another write.
    soon("the sealed value is gone", async {
        while !is_gone() {
            accept_shell(&store, "true").await;
        }
    })
    .await;
}

#[tokio::test]
async fn lost_key_file_loses_the_sealed_values_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    let new = NewExecution { key: Some("k".into()), ..secret_execution() };
    let id = {
        let store = open(dir.path());
        accept(&store, new.clone()).await.id
    };
    let former = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();

    let store = open(dir.path());
    let error = store.whole(id).await.unwrap_err();
    assert_eq!(error.code(), "other_key");
    let text = error.to_string();
    assert!(text.contains(&id.to_string()) && text.contains("key file"), "{text}");
    // A repeated key must neither run twice nor be taken for the same.
    assert_eq!(store.accept(new.clone()).await.unwrap_err().code(), "other_key");
    assert_eq!(store.get(id).await.unwrap().unwrap().env_names.len(), 2);
    let other = accept(&store, secret_execution()).await.id;
    assert_eq!(store.whole(other).await.unwrap().0.env["API_TOKEN"], "hidden-value-1");
    drop(store);

    // The former key makes the former values readable again.
    std::fs::write(&key, former).unwrap();
    let store = open(dir.path());
    assert_eq!(store.whole(id).await.unwrap(), (new.request, new.options));
    assert_eq!(store.whole(other).await.unwrap_err().code(), "other_key");
}

#[cfg(unix)]
#[tokio::test]
async fn no_file_can_be_read_by_others_whatever_the_umask() {
    // The umask is that of the process.
    if passed_apart(test_name!()).await {
        return;
    }
    for umask in [0, 0o777] {
        let dir = tempfile::tempdir().unwrap();
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        check_modes(dir.path()).await;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    }
}

#[cfg(unix)]
async fn check_modes(dir: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;

    let state = dir.join("deep/state");
    let store = open(&state);
    let id = accept(&store, secret_execution()).await.id;
    let path = dir.join("journal");
    let bytes = journal(&path, [(Kind::Stdout, vec![b'x'; 100_000])]);
    let place = OutputPlace::Journal { path, bytes };
    store.ended(ended(id, Ending::Exited { code: 0 }, place)).await.unwrap();
    assert!(store.archive(id).await.unwrap());

    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.join("deep")), 0o700);
    let all = files(&state);
    assert!(all.len() >= 4, "database, log, key, archive: {:?}", all.len());
    for (name, _) in all {
        assert_eq!(mode(name.as_ref()), 0o600, "{name}");
        assert_eq!(mode(std::path::Path::new(&name).parent().unwrap()), 0o700, "{name}");
    }
}
