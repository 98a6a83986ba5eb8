//! A database of a later version, and a disk that is full.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use execution_engine::*;
use execution_engine_server::*;
use test_support::{soon, until};

use crate::support::*;

#[tokio::test]
async fn database_of_a_later_version_is_left_as_it_is() {
    let home = Home::new();
    home.open().await.close().await;
    let path = home.state().join("exeng.db");
    // The place of `user_version` in the header of SQLite.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&999_u32.to_be_bytes(), 60).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Service::open(home.options()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NewerSchema);
    assert!(error.detail.contains("999"), "{error}");
    assert!(fs::read(&path).unwrap() == before);
    // The lock is free again.
    let error = Service::open(home.options()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NewerSchema);
}

#[tokio::test]
async fn file_of_another_program_is_left_as_it_is() {
    let home = Home::new();
    home.open().await.close().await;
    let path = home.state().join("exeng.db");
    fs::write(&path, "my diary").unwrap();
    let error = Service::open(home.options()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ForeignDatabase, "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"my diary");
}

/// A file system of a few megabytes.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// Mounts one; None where this is not allowed.
    #[expect(
        clippy::disallowed_methods,
        reason = "prepares the machine, runs no program under test"
    )]
    fn mount(at: &'a Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=12m,mode=0700", "exeng-test"]).arg(at);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    #[expect(clippy::disallowed_methods, reason = "restores the machine")]
    fn drop(&mut self) {
        // As long as they can be found.
        kill_keepers(self.0);
        // Lazily: a keeper that was just killed may still hold a file.
        let _gone = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

/// Fills a file system to the last byte.
fn fill(dir: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(dir.join("ballast")).unwrap();
    for size in [65536, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[tokio::test]
async fn full_disk_refuses_new_work_and_keeps_what_runs() {
    let home = Home::new();
    let state = home.state();
    let Some(_disk) = SmallDisk::mount(&state) else {
        println!("SKIPPED: no file system can be mounted here");
        return;
    };
    let service = home.open().await;
    let (go, log) = (home.file("go"), home.file("log"));
    let line = format!(
        "echo one; until [ -e {} ]; do sleep 0.01; done; echo two; echo ran >> {}; exit 6",
        go.display(),
        log.display()
    );
    let running = submit(&service, shell(line)).await;
    started(&service, running).await;
    let done = submit(&service, shell("echo done")).await;
    ended(&service, done).await;

    fill(&state);
    let error = loop {
        // What is in the log of the database already may hold a few more.
        match service.submit(shell("true"), None, OWNER).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!((error.code, error.code.http_status()), (ErrorCode::StoreFull, 507), "{error}");
    assert!(error.fix.is_some() && error.code.retry_after().is_some());
    let status = service.status().await;
    assert!(
        !status.store.writable && status.store.reason.is_some() && status.store.since.is_some()
    );
    // What is stored can be read, and what runs goes on and ends.
    assert_eq!(output(&service, done, None).await, b"done\n");
    fs::write(&go, "").unwrap();
    until("the program has ended", || log.exists()).await;
    let view = service.wait(running, Some(Duration::from_millis(500))).await.unwrap();
    assert_eq!(view.status, ExecutionStatus::Running, "nothing is told that is not stored");

    fs::remove_file(state.join("ballast")).unwrap();
    let view = ended(&service, running).await;
    assert_eq!(view.exit_code, Some(6), "{view:?}");
    assert_eq!(fs::read_to_string(log).unwrap(), "ran\n");
    let told = output(&service, running, Some(OutputStream::Stdout)).await;
    let missed: u64 = events_after(&service, running, 0).await.iter().map(missed_bytes).sum();
    assert_eq!(told.len() as u64 + missed, 8, "{told:?}");
    let after = submit(&service, shell("echo after")).await;
    assert_eq!(ended(&service, after).await.status, ExecutionStatus::Completed);
    assert!(service.status().await.store.writable);
    service.close().await;
}

#[tokio::test]
async fn pause_on_a_full_disk_is_shown_and_stored_when_there_is_room() {
    let home = Home::new();
    let state = home.state();
    let Some(_disk) = SmallDisk::mount(&state) else {
        println!("SKIPPED: no file system can be mounted here");
        return;
    };
    let service = home.open().await;
    let id = submit(&service, shell("exec sleep 600")).await;
    started(&service, id).await;
    fill(&state);
    while service.submit(shell("true"), None, OWNER).await.is_ok() {}
    assert!(!service.status().await.store.writable);

    assert!(service.pause(id).await.unwrap().paused, "its keeper has done it");
    assert!(service.get(id).await.unwrap().paused);
    // A list shows what is stored.
    let is_listed_paused = async || {
        let page = service.list(Query::default()).await.unwrap();
        page.executions.iter().any(|it| it.id == id && it.paused)
    };
    assert!(!is_listed_paused().await);
    fs::remove_file(state.join("ballast")).unwrap();
    soon("it is stored", async {
        while !is_listed_paused().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!service.resume(id).await.unwrap().paused);
    assert!(!is_listed_paused().await);
    service.stop_execution(id, StopMode::Firm).await.unwrap();
    ended(&service, id).await;
    service.close().await;
}

#[tokio::test]
async fn ending_that_a_keeper_could_only_tell_is_not_lost_with_it() {
    let home = Home::new();
    let state = home.state();
    let Some(_disk) = SmallDisk::mount(&state) else {
        println!("SKIPPED: no file system can be mounted here");
        return;
    };
    let service = home.open().await;
    let go = home.file("go");
    // The first page of the journal is as good as full, so that its end has no room in it.
    let line = format!(
        "head -c 3900 /dev/zero; until [ -e {} ]; do sleep 0.01; done; seq 1 10000; exit 6",
        go.display()
    );
    let running = submit(&service, shell(line)).await;
    let mut events = service.events(running, 0).await.unwrap();
    let mut seen = Vec::new();
    while bytes_of(&seen, OutputStream::Stdout).len() < 3900 {
        seen.push(events.next().await.unwrap().unwrap());
    }
    let keeper = home.keeper().await;
    fill(&state);
    fs::write(&go, "").unwrap();
    let has_ended = async || {
        while service.status().await.running > 0 {
            test_support::pause(Duration::from_millis(10)).await;
        }
    };
    soon("its keeper tells that it has ended", has_ended()).await;
    kill_keeper(&keeper).await;
    fs::remove_file(state.join("ballast")).unwrap();

    let view = ended(&service, running).await;
    assert_eq!(view.exit_code, Some(6), "{view:?}");
    let told = output(&service, running, Some(OutputStream::Stdout)).await;
    let missed: u64 = events_after(&service, running, 0).await.iter().map(missed_bytes).sum();
    let lines = (1..=10_000).map(|number| format!("{number}\n").len() as u64);
    let all = 3900 + lines.sum::<u64>();
    assert_eq!(told.len() as u64 + missed, all, "{} bytes were kept", told.len());
    assert!(missed > 0);
    service.close().await;
}

fn missed_bytes(event: &Event) -> u64 {
    match event.kind {
        EventKind::Missed { stdout_bytes, stderr_bytes, .. } => stdout_bytes + stderr_bytes,
        _ => 0,
    }
}
