//! Values of environments: in no file once their execution has ended, in no log, and for no other user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use execution_engine::*;
use execution_engine_server::*;
use test_support::until;

use crate::support::*;

const SECRET: &str = "hunter2-5f2b9c";

fn secret(line: &str) -> NewExecution {
    let mut new = shell(line);
    new.request.env.insert("TOKEN".to_string(), SECRET.to_string());
    new.options = new.options.env("OTHER", SECRET).stdin(StdinSource::bytes(SECRET));
    new
}

/// Returns the files below the state directory that have the value.
fn with_secret(home: &Home) -> Vec<PathBuf> {
    let has = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
    home.contents().into_iter().filter(|(_, bytes)| has(bytes)).map(|(path, _)| path).collect()
}

#[tokio::test]
async fn values_are_nowhere_after_the_end() {
    let home = Home::new().max_running(1);
    let service = home.open().await;
    let go = home.file("go");
    let has_all = r#"test "${#TOKEN} ${#OTHER} $(cat | wc -c)" = "14 14 14""#;
    let wait = format!("until [ -e {} ]; do sleep 0.01; done; {has_all}", go.display());
    let running = submit(&service, secret(&wait)).await;
    started(&service, running).await;
    // One that waits has them sealed.
    let queued = submit(&service, secret(has_all)).await;
    let stopped = submit(&service, secret("true")).await;
    let missing = service.submit(secret("true"), Some("key"), OWNER).await.unwrap().execution.id;
    assert_eq!(with_secret(&home), [] as [&Path; 0]);
    service.stop_execution(stopped, StopMode::Polite).await.unwrap();
    fs::write(go, "").unwrap();
    for id in [running, queued, missing] {
        let view = ended(&service, id).await;
        assert_eq!(view.status, ExecutionStatus::Completed, "{view:?}");
        assert!(!format!("{view:?}").contains(SECRET));
        assert_eq!(view.env_names, ["OTHER", "PATH", "TOKEN"]);
    }
    assert_eq!(with_secret(&home), [] as [&Path; 0]);
    service.close().await;
    assert_eq!(with_secret(&home), [] as [&Path; 0]);
}

/// Checks that only the owner may read anything below a directory.
fn assert_private(path: &Path) {
    // What is written and removed meanwhile is no subject.
    let Ok(mode) = fs::symlink_metadata(path).map(|found| found.mode()) else { return };
    assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    if path.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| assert_private(&entry.path()));
    }
}

#[tokio::test]
async fn nobody_else_may_read_anything_whatever_the_umask() {
    if !test_support::host::passed_apart(test_support::test_name!()).await {
        for umask in [0, 0o277] {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
            let home = Home::new();
            // The directory of the test is no subject here.
            let parent = home.state().parent().unwrap().to_path_buf();
            fs::set_permissions(parent, fs::Permissions::from_mode(0o700)).unwrap();
            let service = home.open().await;
            let id = submit(&service, secret("seq 1 100000")).await;
            ended(&service, id).await;
            let running = submit(&service, secret("echo x; sleep 600")).await;
            started(&service, running).await;
            assert_private(&home.state());
            let is_archive = |path: PathBuf| path.extension().is_some_and(|it| it == "zst");
            until("the archive", || home.contents().into_keys().any(is_archive)).await;
            assert_private(&home.state());
            service.close().await;
        }
    }
}
