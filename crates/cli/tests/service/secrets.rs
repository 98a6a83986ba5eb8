//! Values of `env` are nowhere on disk after the end, and no file was ever readable by others.

use std::path::Path;

use service_judge::disk;
use service_judge::preload::command;
use service_judge::recording::{Entry, Recorder};
use service_judge::service::{Service, until};

use crate::{ended, output, post, shell, show, wait_for};

const SECRET: &str = "correct-horse-battery-staple";

/// Returns the files below a directory that contain the secret.
fn files_with_the_secret(dir: &Path) -> Vec<String> {
    let has_it = |content: &[u8]| content.windows(SECRET.len()).any(|at| at == SECRET.as_bytes());
    disk::read(dir).into_iter().filter(|(_, all)| has_it(all)).map(|(path, _)| path).collect()
}

#[test]
fn values_are_nowhere_on_disk_and_files_are_private_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(dir.path());
    // The recording sees what was written in between, too.
    let attached = recorder.clone();
    let exeng = env!("CARGO_BIN_EXE_exeng");
    let wrapper = dir.path().join("exeng-open");
    let script = format!("#!/bin/sh\numask 0\nexec '{exeng}' \"$@\"\n");
    std::fs::write(&wrapper, script).unwrap();
    assert!(command("chmod").arg("755").arg(&wrapper).status().unwrap().success());
    let service = Service::new(&wrapper, recorder.root());
    let service = service.attach(move |command| attached.attach(command));
    let server = service.serve();

    let go = dir.path().join("go");
    // It shows that the program has the value, without writing it.
    let mut body = shell(&format!("{}; printf %s \"$VALUE\" | wc -c", wait_for(&go)));
    body["request"]["env"]["VALUE"] = SECRET.into();
    let answer = post(&service, &body);
    assert_eq!(answer.status, 201);
    let id = answer.json()["id"].as_str().unwrap().to_string();
    until("its start", || show(&service, &id)["status"] == "running");
    assert_eq!(files_with_the_secret(recorder.root()), [""; 0], "while it runs");
    std::fs::write(&go, "").unwrap();
    ended(&service, &id);
    let printed = String::from_utf8(output(&service, &id, "stdout")).unwrap();
    assert_eq!(printed.trim(), SECRET.len().to_string());
    assert_eq!(files_with_the_secret(recorder.root()), [""; 0]);
    service.stop_all(Some(server));
    assert_eq!(files_with_the_secret(recorder.root()), [""; 0]);

    let log = std::fs::read(recorder.log()).unwrap();
    let written = log.windows(SECRET.len()).filter(|at| *at == SECRET.as_bytes()).count();
    assert_eq!(written, 0, "it was written to a file");
    let created: Vec<_> = recorder
        .entries()
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Create { path, mode, .. } => Some((path, mode)),
            _ => None,
        })
        .collect();
    assert!(created.iter().any(|(path, _)| path.starts_with("exeng.db")), "{created:?}");
    let open: Vec<_> = created.iter().filter(|(_, mode)| mode & 0o077 != 0).collect();
    assert!(open.is_empty(), "others can read these: {open:?}");
}
