//! Whose the executions of an earlier start of the app are.

use std::time::Duration;

use execution_engine::{ExecutionEngine, ExecutionRequest, OutputQuery};
use execution_engine_store::StoreHistory;
use tauri::test::{MockRuntime, mock_builder, mock_context, noop_assets};
use tauri::{App, Manager};

use super::*;
use crate::Builder;
use crate::builder::PluginState;

fn open(dir: &Path) -> OpenHistory {
    let dir = dir.to_path_buf();
    Box::new(move |_| Ok(Arc::new(StoreHistory::open(&dir)?)))
}

/// An engine with a history like that of the plugin, and the owners that it knows.
fn engine(dir: &Path, keep: Option<KeepInHistory>) -> (ExecutionEngine, Arc<Owners>) {
    let owners = Arc::<Owners>::default();
    let history = open(dir)(dir).unwrap();
    owners.set_history(Arc::clone(&history));
    let owned = OwnedHistory { history, owners: Arc::clone(&owners), keep };
    let engine = ExecutionEngine::builder().history(Arc::new(owned)).build().unwrap();
    (engine, owners)
}

/// Ends an engine and waits until its history can be opened again: its thread lets go a moment later.
#[expect(clippy::disallowed_methods, reason = "nothing announces what is waited for here")]
async fn close(engine: ExecutionEngine, owners: Arc<Owners>, dir: &Path) {
    engine.shutdown(Duration::from_secs(5)).await;
    drop((engine, owners));
    let is_free = async || StoreHistory::open(dir).is_ok();
    let free = async {
        while !is_free().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), free).await.expect("the history is free");
}

async fn owner(owners: &Owners, id: Uuid) -> Option<String> {
    owners.owner_ever(id).await.map(|page| page.webview.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_finds_its_executions_after_a_restart_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let (first, owners) = engine(dir.path(), None);
    // A page that claims to be another.
    let forged =
        |text: &str| ExecutionRequest::shell(text).label(WINDOW, "vault").label(WEBVIEW, "vault");
    let (of_page, given, of_app) = (forged("echo page"), forged("echo given"), forged("echo app"));
    let ids = [of_page.id, given.id, of_app.id];
    let claim = owners.claim_execution(&first, PageId::of_window("main"), of_page.id);
    let claim = claim.await.unwrap();
    first.run(of_page).await.unwrap();
    claim.accept();
    owners.give_execution(given.id, PageId::of_window("help"));
    first.run(given).await.unwrap();
    first.run(of_app).await.unwrap();
    close(first, owners, dir.path()).await;

    let (second, owners) = engine(dir.path(), None);
    assert_eq!(owner(&owners, ids[0]).await.as_deref(), Some("main"));
    assert_eq!(owner(&owners, ids[1]).await.as_deref(), Some("help"));
    assert_eq!(owner(&owners, ids[2]).await, None, "it belongs to the app");
    assert_eq!(owner(&owners, Uuid::new_v4()).await, None);
    let page = second.list_history(HistoryQuery::default()).await.unwrap();
    let owners_listed: Vec<_> =
        page.entries.iter().map(|entry| owner_of(entry).map(|page| page.window)).collect();
    assert_eq!(owners_listed, [None, Some("help".to_string()), Some("main".to_string())]);
    // Another window cannot take the id, and with it the place, of an earlier execution.
    let stolen = owners.claim_execution(&second, PageId::of_window("help"), ids[0]).await;
    assert!(stolen.is_err());
    drop(stolen);
    close(second, owners, dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_kept_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let keep: KeepInHistory =
        Box::new(|entry| !entry.request.metadata.tags.contains(&"private".to_string()));
    let (engine, owners) = engine(dir.path(), Some(keep));
    let private = ExecutionRequest::shell("echo hidden-word").tag("private");
    let id = private.id;
    engine.run(private).await.unwrap();
    engine.run(ExecutionRequest::shell("echo shown-word")).await.unwrap();
    let listed = engine.list_history(HistoryQuery::default()).await.unwrap().entries;
    assert_eq!(listed.len(), 1);
    assert_eq!(engine.get_result(id).await.unwrap().unwrap().stdout, "hidden-word\n");
    // Also not while it runs.
    let busy = || ExecutionRequest::shell(BUSY);
    for request in [busy().tag("private"), busy()] {
        let id = engine.execute(request).await.unwrap();
        let query = OutputQuery::default().wait(Duration::from_secs(60));
        let page = engine.read_output(id, query).await.unwrap();
        assert_eq!(page.parts.len(), 1, "{page:?}");
    }
    until_has(dir.path(), b"live 42").await;
    let count =
        |word: &[u8]| files(dir.path()).iter().filter(|bytes| contains(bytes, word)).count();
    assert_eq!(count(b"live 42"), 1);
    close(engine, owners, dir.path()).await;
    assert!(count(b"shown-word") > 0);
    assert_eq!(count(b"hidden-word"), 0);
}

/// Its output is not in its text.
const BUSY: &str = "echo live $((40 + 2)); exec sleep 1000";

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}

/// Returns the contents of all files of a directory.
fn files(dir: &Path) -> Vec<Vec<u8>> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let contents = paths.flat_map(|path| match path.is_dir() {
        true => files(&path),
        // It may be removed meanwhile.
        false => std::fs::read(path).into_iter().collect(),
    });
    contents.collect()
}

#[expect(clippy::disallowed_methods, reason = "nothing announces what is waited for here")]
async fn until_has(dir: &Path, word: &[u8]) {
    let found = async {
        while !files(dir).iter().any(|bytes| contains(bytes, word)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.expect("it is written");
}

fn app(builder: Builder) -> App<MockRuntime> {
    mock_builder().plugin(builder.build()).build(mock_context(noop_assets())).unwrap()
}

#[test]
fn an_app_without_its_history_runs_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let first = app(Builder::new().history_with(open(dir.path())));
    let plugin = first.state::<PluginState>();
    assert!(plugin.engine.history().is_some());
    assert_eq!(plugin.history_refused, None);

    // Another instance of the app.
    let second = app(Builder::new().history_with(open(dir.path())));
    let plugin = second.state::<PluginState>();
    let reason = plugin.history_refused.as_deref().unwrap();
    assert!(reason.contains("in use by another process"), "{reason}");
    assert!(plugin.engine.history().is_none());
    let run = plugin.engine.run(ExecutionRequest::shell("echo still here"));
    let result = tauri::async_runtime::block_on(run).unwrap();
    assert_eq!(result.stdout, "still here\n");
}

#[test]
fn a_history_cannot_be_given_to_an_engine_that_exists() {
    let engine = Arc::new(ExecutionEngine::builder().build().unwrap());
    let builder =
        Builder::new().engine(engine).history_with(|_| Err(io::Error::other("not asked")));
    let built = mock_builder().plugin(builder.build()).build(mock_context(noop_assets()));
    let error = built.err().unwrap().to_string();
    assert!(error.contains("EngineBuilder::history"), "{error}");
}
