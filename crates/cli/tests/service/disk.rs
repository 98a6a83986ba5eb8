//! Disks that are full or broken while the service runs: nothing is acknowledged that is not durable, what runs goes on,
//! and all is well when the cause is gone.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use service_judge::faults::Faults;
use service_judge::preload::command;
use service_judge::service::{PATIENCE, Server, Service, private_dir, until};

use crate::{ended, is_root, output, pause, post, service, shell, show, skip, submit, wait_for};

/// A file system in memory, until it is dropped.
pub(crate) struct Mount {
    path: PathBuf,
}

impl Mount {
    /// Mounts one; `None` where that is not allowed.
    pub(crate) fn new(path: &Path, options: &str) -> Option<Self> {
        let mut mount = command("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("mode=0700,{options}"), "tmpfs"]).arg(path);
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then(|| Self { path: path.to_path_buf() })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // What still has a file open there keeps only itself.
        let _unmounted = command("umount").arg("-l").arg(&self.path).output();
    }
}

/// Submits until it is refused with `store_full`. Returns the ids of those that were accepted.
fn submit_until_refused(service: &Service) -> Vec<String> {
    let start = Instant::now();
    let mut accepted = Vec::new();
    loop {
        let answer = post(service, &shell("exit 7"));
        let json = answer.json();
        match answer.status {
            201 => accepted.push(json["id"].as_str().unwrap().to_string()),
            507 => {
                assert_eq!(json["code"], "store_full", "{json}");
                assert!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
                return accepted;
            }
            status => panic!("{status}: {json}"),
        }
        assert!(start.elapsed() < PATIENCE, "it is never refused");
    }
}

/// Waits until a submit is accepted, and for its end.
fn works_again(service: &Service) {
    until("an accepted submit", || match post(service, &shell("exit 7")) {
        answer if answer.status == 201 => {
            let id = answer.json()["id"].as_str().unwrap().to_string();
            ended(service, &id)["exit_code"] == 7
        }
        _ => {
            pause();
            false
        }
    });
}

/// Returns how much output an execution says that could not be kept.
fn missed_of_stdout(view: &Value) -> usize {
    let why = view["output_error"].as_str().unwrap_or_default();
    why.split_once(" bytes of stdout").map_or(0, |(count, _)| count.parse().unwrap())
}

/// Checks that new work is done, and that another service knows how this execution ended: with 5.
fn is_well_and_remembers(service: &Service, server: Server, id: &str) {
    works_again(service);
    server.kill();
    let server = service.serve();
    assert_eq!(show(service, id)["exit_code"], 5);
    service.stop_all(Some(server));
}

/// Fills the file system of a file.
fn fill(file: &Path) {
    let mut ballast = fs::File::create(file).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while ballast.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

#[test]
fn full_disk_refuses_new_work_and_keeps_what_runs() {
    if !is_root() {
        return skip("a small disk needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    fs::create_dir(service.state()).unwrap();
    let Some(mount) = Mount::new(service.state(), "size=8M") else {
        return skip("no file system can be mounted here");
    };
    let server = service.serve();
    let go = dir.path().join("go");
    // More than the room that the file system has given to the journal already.
    let after = "head -c 100000 /dev/zero | tr '\\0' x";
    let line = format!("echo before; {}; {after}; exit 5", wait_for(&go));
    let running = submit(&service, &line);
    until("its first output", || show(&service, &running)["bytes"]["stdout"] == 7);

    let ballast = service.state().join("ballast");
    fill(&ballast);
    let accepted = submit_until_refused(&service);
    assert_eq!(service.socket().get("/v1/executions").unwrap().status, 200, "reading goes on");
    assert_eq!(show(&service, &running)["status"], "running");
    fs::write(&go, "").unwrap();
    // It ends although nothing of that can be kept yet.
    let marker = dir.path().to_str().unwrap();
    until("its end", || {
        let all = service_judge::service::processes_with(marker);
        !all.iter().any(|(_, arguments)| arguments.contains("echo before"))
    });

    fs::remove_file(&ballast).unwrap();
    let view = ended(&service, &running);
    assert_eq!(view["exit_code"], 5, "{view}");
    let kept = output(&service, &running, "stdout");
    let whole = [b"before\n", &[b'x'; 100_000][..]].concat();
    assert!(whole.starts_with(&kept), "{} bytes: {view}", kept.len());
    assert_eq!(view["bytes"]["stdout"], kept.len(), "{view}");
    assert!(kept.len() < whole.len(), "the disk was not full");
    assert_eq!(kept.len() + missed_of_stdout(&view), whole.len(), "{view}");
    for follow in [&["logs", "--raw"][..], &["logs", "--raw", "-f"]] {
        let logs = service.run(&[follow, &[running.as_str()]].concat());
        assert!(logs.stdout == kept, "{} bytes", logs.stdout.len());
        let said = String::from_utf8(logs.stderr).unwrap();
        assert!(said.contains(view["output_error"].as_str().unwrap()), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    works_again(&service);
    for id in &accepted {
        assert_eq!(ended(&service, id)["exit_code"], 7);
    }
    service.stop_all(Some(server));
    drop(mount);
}

#[test]
fn full_disk_is_told_to_whoever_starts_the_service() {
    if !is_root() {
        return skip("a small disk needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(dir.path(), "size=8M") else {
        return skip("no file system can be mounted here");
    };
    let service = service(dir.path());
    let ballast = dir.path().join("ballast");
    fill(&ballast);
    let refused = service.run(&["submit", "--", "true"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(125), "{said}");
    assert!(said.contains("disk is full") || said.contains("No space left"), "{said}");
    assert!(!said.contains("without a word"), "{said}");
    fs::remove_file(&ballast).unwrap();
    service.print(&["submit", "--wait", "--", "true"]);
    service.stop_all(None);
    drop(mount);
}

const EIO: i32 = 5;

/// Returns a service whose disk and clock do what a test wants.
pub(crate) fn with_faults(dir: &Path) -> (Service, Arc<Faults>) {
    let root = dir.join("state");
    private_dir(&root);
    let faults = Arc::new(Faults::new(dir, &root));
    let attached = Arc::clone(&faults);
    (service(dir).attach(move |command| attached.attach(command)), faults)
}

#[test]
fn failed_synchronization_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (service, faults) = with_faults(dir.path());
    let server = service.serve();
    let go = dir.path().join("go");
    let running = submit(&service, &format!("{}; echo text; exit 5", wait_for(&go)));
    until("its start", || show(&service, &running)["status"] == "running");

    faults.fail_syncs(EIO);
    let accepted = submit_until_refused(&service);
    assert!(accepted.is_empty(), "acknowledged without a synchronization: {accepted:?}");
    assert_eq!(show(&service, &running)["status"], "running");
    fs::write(&go, "").unwrap();
    faults.fail_syncs(0);
    assert_eq!(ended(&service, &running)["exit_code"], 5);
    assert_eq!(output(&service, &running, "stdout"), b"text\n");
    is_well_and_remembers(&service, server, &running);
}

#[test]
fn failed_writes_refuse_new_work_and_are_counted_as_missed_output() {
    let dir = tempfile::tempdir().unwrap();
    let (service, faults) = with_faults(dir.path());
    let server = service.serve();
    let go = dir.path().join("go");
    let line = format!("echo before; {}; echo after; exit 5", wait_for(&go));
    let running = submit(&service, &line);
    until("its first output", || show(&service, &running)["bytes"]["stdout"] == 7);

    faults.fail_writes(EIO);
    let accepted = submit_until_refused(&service);
    assert!(accepted.is_empty(), "acknowledged without a write: {accepted:?}");
    assert_eq!(show(&service, &running)["status"], "running");
    fs::write(&go, "").unwrap();
    let marker = dir.path().to_str().unwrap();
    until("its end", || {
        let all = service_judge::service::processes_with(marker);
        !all.iter().any(|(_, arguments)| arguments.contains("echo after"))
    });
    faults.fail_writes(0);
    let view = ended(&service, &running);
    assert_eq!(view["exit_code"], 5, "{view}");
    assert_eq!(view["bytes"]["stdout"], 7, "{view}");
    assert_eq!(missed_of_stdout(&view), 6, "{view}");
    assert_eq!(output(&service, &running, "stdout"), b"before\n");
    is_well_and_remembers(&service, server, &running);
}
