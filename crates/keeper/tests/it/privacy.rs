//! Nothing of a keeper is for others, and no value of an environment is anywhere.

use std::ffi::OsString;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use execution_engine::*;
use execution_engine_keeper::*;

use crate::support::*;

/// Returns all entries below a directory, and the directory.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_path_buf()];
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(entries(&path));
        } else {
            all.push(path);
        }
    }
    all
}

#[tokio::test]
async fn files_are_private_whatever_the_umask() {
    for umask in ["0", "022", "0777"] {
        let line = format!("umask {umask}; exec \"$0\" \"$@\"");
        let through = ["sh", "-c", &line].map(OsString::from).to_vec();
        let keeper = TestKeeper::start_with(Setup { through, ..Setup::default() });
        let client = keeper.connect().await;
        run_to_end(&client, "echo x").await;
        let all = entries(&keeper.dir);
        assert!(all.len() >= 6, "{all:?}");
        for path in all {
            let found = std::fs::symlink_metadata(&path).unwrap();
            let mode = if found.is_dir() { 0o700 } else { 0o600 };
            let kind = found.file_type();
            assert!(kind.is_dir() || kind.is_file() || kind.is_socket());
            assert_eq!(found.permissions().mode() & 0o7777, mode, "umask {umask}: {path:?}");
        }
    }
}

#[tokio::test]
async fn values_of_an_environment_are_nowhere() {
    const SECRETS: [&[u8]; 2] = [b"hunter2-of-the-request", b"hunter2-of-the-options"];
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let with_secrets = |mut spec: StartSpec| {
        spec.request.env.insert("A".into(), String::from_utf8(SECRETS[0].to_vec()).unwrap());
        spec.options = spec.options.env("B", std::str::from_utf8(SECRETS[1]).unwrap());
        spec
    };
    let runs = with_secrets(shell("test -n \"$A$B\""));
    let mut refused = with_secrets(shell("x"));
    refused.request.command = ExecutionRequest::program("no-such-program-here").command;
    let mut invalid = with_secrets(shell("x"));
    invalid
        .request
        .env
        .insert("NOT=A=NAME".into(), String::from_utf8(SECRETS[0].to_vec()).unwrap());
    for spec in [runs, refused, invalid] {
        let answer = start_spec(&client, &spec).await;
        let told = format!("{answer:?} {spec:?}");
        ended(&notices, spec.request.id).await;
        assert!(!told.contains("hunter2"), "{told}");
    }
    client.drain().await.unwrap();
    for path in entries(&keeper.dir) {
        let content = std::fs::read(&path).unwrap_or_default();
        for secret in SECRETS {
            let is_there = content.windows(secret.len()).any(|window| window == secret);
            assert!(!is_there, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn state_directory_may_have_a_long_path() {
    let state = tempfile::tempdir().unwrap();
    let deep = state.path().join("d".repeat(120)).join("keepers");
    std::fs::create_dir_all(&deep).unwrap();
    let dir = deep.join("0123abcd");
    let keeper = TestKeeper::start_in(state, dir, Setup::default()).unwrap();
    let client = keeper.connect().await;
    let id = run_to_end(&client, "echo x").await;
    assert!(result(&keeper.records(id)).success);
    assert_eq!(keepers(deep.parent().unwrap()).unwrap().len(), 1);
}
