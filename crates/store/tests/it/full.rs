//! A disk that is full, or fails.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use execution_engine::{
    Ending, ExecutionEngine, ExecutionOptions, ExecutionRequest, ExecutionStatus, History,
    OutputStream, StdinSource,
};
use execution_engine_store::{Health, Hooks, OutputPlace, Store, StoreConfig, StoreHistory};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use test_support::{soon, until};
use uuid::Uuid;

use crate::history::reopen;
use crate::support::{accept, accept_shell, check_integrity, end, ended, new, open};

const PROBE: Duration = Duration::from_millis(20);

/// A disk that can be broken.
#[derive(Clone, Default)]
struct Disk(Arc<AtomicBool>);

impl Disk {
    fn open(&self, dir: &Path, kind: io::ErrorKind) -> Store {
        Store::open(dir, self.config(kind)).unwrap()
    }

    fn config(&self, kind: io::ErrorKind) -> StoreConfig {
        let disk = self.clone();
        let fault = move |_: &str, step: &str| match step {
            "applied" if disk.0.load(Ordering::SeqCst) => Err(kind.into()),
            _ => Ok(()),
        };
        let hooks = Hooks::default().fault(fault);
        StoreConfig { hooks, probe_interval: PROBE, ..StoreConfig::default() }
    }

    fn set_broken(&self, is_broken: bool) {
        self.0.store(is_broken, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn failing_disk_refuses_writes_until_it_works_again() {
    for (kind, code) in
        [(io::ErrorKind::StorageFull, "store_full"), (io::ErrorKind::Other, "store_read_only")]
    {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let store = disk.open(dir.path(), kind);
        let before = accept_shell(&store, "true").await;
        disk.set_broken(true);
        for _ in 0..3 {
            let error = store.accept(new(ExecutionRequest::shell("true"))).await.unwrap_err();
            assert_eq!((error.code(), error.is_unwritable()), (code, true));
        }
        let refused = ended(before, Ending::Cancelled, OutputPlace::None);
        assert_eq!(store.ended(refused).await.unwrap_err().code(), code);
        let Health::ReadOnly { not_kept, is_full, reason, .. } = store.health() else {
            panic!("{:?}", store.health());
        };
        assert_eq!((not_kept, is_full), (4, code == "store_full"));
        assert!(!reason.is_empty());
        assert!(store.get(before).await.unwrap().is_some(), "reads go on");
        assert_eq!(store.stats().await.unwrap().executions(), 1);

        // What no caller waits for is kept meanwhile.
        store.dispatch(vec![before], "k").await.unwrap_err();
        disk.set_broken(false);
        soon("the store is writable", store.writable()).await.unwrap();
        assert_eq!(store.health(), Health::Writable);
        end(&store, before, 0).await;
        accept_shell(&store, "true").await;
        drop(store);
        check_integrity(dir.path());
        assert_eq!(open(dir.path()).stats().await.unwrap().executions(), 2);
    }
}

#[tokio::test]
async fn what_nobody_waits_for_is_stored_when_the_disk_works_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = disk.open(dir.path(), io::ErrorKind::StorageFull);
    let id = accept(&store, new(ExecutionRequest::shell("true").env("A", "b"))).await.id;
    disk.set_broken(true);
    store.erase_env(id).unwrap();
    store.accept(new(ExecutionRequest::shell("true"))).await.unwrap_err();
    assert_eq!(store.whole(id).await.unwrap().0.env["A"], "b");
    disk.set_broken(false);
    soon("the store is writable", store.writable()).await.unwrap();
    assert!(store.whole(id).await.unwrap().0.env.is_empty());
}

/// A small file system that is gone with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Returns None where the test may not mount.
    fn new(size: &std::ffi::CStr) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        match mount("exeng-test", dir.path(), "tmpfs", MountFlags::empty(), Some(size)) {
            Ok(()) => Some(Self(dir)),
            Err(error) => {
                println!("SKIPPED: a file system cannot be mounted here: {error}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}

#[tokio::test]
async fn full_disk_loses_nothing_and_recovers_by_itself() {
    let Some(disk) = SmallDisk::new(c"size=6m,mode=700") else { return };
    let dir = disk.0.path();
    let config = StoreConfig { probe_interval: PROBE, ..StoreConfig::default() };
    let store = Store::open(dir.join("state"), config.clone()).unwrap();
    let id = accept_shell(&store, "true").await;
    let mut kept = vec![id];
    // Fills what is left, in pieces that get smaller.
    let filler = dir.join("filler");
    std::fs::write(&filler, vec![1; 3 << 20]).unwrap();
    let error = loop {
        let request = ExecutionRequest::shell("x".repeat(50_000));
        let id = request.id;
        match store.accept(new(request)).await {
            Ok(_) => kept.push(id),
            Err(error) => break error,
        }
        assert!(kept.len() < 1000, "the disk is never full");
    };
    assert_eq!(error.code(), "store_full", "{error}");
    assert!(matches!(store.health(), Health::ReadOnly { is_full: true, .. }));
    let big = ended(id, Ending::Exited { code: 0 }, OutputPlace::Inline(vec![1; 60_000]));
    assert!(store.ended(big.clone()).await.unwrap_err().is_unwritable());
    for id in &kept {
        assert!(store.get(*id).await.unwrap().is_some());
    }

    std::fs::remove_file(&filler).unwrap();
    soon("the store is writable", store.writable()).await.unwrap();
    assert!(store.ended(big).await.unwrap());
    drop(store);
    check_integrity(&dir.join("state"));
    let store = Store::open(dir.join("state"), config).unwrap();
    assert_eq!(store.stats().await.unwrap().executions(), kept.len() as u64);
    for id in &kept {
        assert!(store.get(*id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn directory_that_cannot_be_written_is_a_clear_error() {
    let Some(disk) = SmallDisk::new(c"size=8m,mode=700") else { return };
    let state = disk.0.path().join("state");
    let id = accept_shell(&open(&state), "true").await;
    let remount = |flags| rustix::mount::mount_remount(disk.0.path(), flags, c"").unwrap();
    remount(MountFlags::RDONLY);
    let error = Store::open(&state, StoreConfig::default()).unwrap_err();
    assert_eq!(error.code(), "store_read_only", "{error}");
    assert_eq!(
        Store::open(disk.0.path().join("new"), StoreConfig::default()).unwrap_err().code(),
        "store_read_only"
    );
    remount(MountFlags::empty());
    assert!(open(&state).get(id).await.unwrap().is_some());
}

/// Returns how many files of live output this process has open below a directory.
fn open_live(dir: &Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths = all.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    paths.filter(|path| path.starts_with(dir) && is_live(path)).count()
}

fn is_live(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "journal-live")
}

/// Lets an execution end while the disk takes no ending, and returns the history as the next opening has it.
async fn end_refused(dir: &Path, disk: &Disk, engine: ExecutionEngine, id: Uuid) -> StoreHistory {
    let status = || engine.history_status().unwrap();
    until("the history has what came before", || status().waiting == 0).await;
    let failed = status().failed;
    disk.set_broken(true);
    engine.close_stdin(id).await.unwrap();
    soon("it ends", engine.wait_for_completion(id)).await.unwrap();
    until("its ending is refused", || status().failed == failed + 1).await;
    until("its file is closed", || open_live(dir) == 0).await;
    soon("the engine ends", engine.shutdown(Duration::from_secs(5))).await;
    drop(engine);
    reopen(dir, StoreConfig::default()).await
}

/// Starts a line with an input that is written to.
async fn piped(engine: &ExecutionEngine, line: &str) -> Uuid {
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    engine.execute_with(ExecutionRequest::shell(line), options).await.unwrap()
}

fn engine_on(dir: &Path, disk: &Disk) -> ExecutionEngine {
    let history = StoreHistory::open_with(dir, disk.config(io::ErrorKind::StorageFull)).unwrap();
    ExecutionEngine::builder().history(Arc::new(history)).build().unwrap()
}

#[tokio::test]
async fn live_output_of_an_ending_that_is_refused_is_closed_and_kept() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::default());
    let engine = engine_on(dir.path(), &disk);
    let id = piped(&engine, "echo kept; cat >&2").await;
    until("its output is in a file", || open_live(dir.path()) == 1).await;
    let history = end_refused(dir.path(), &disk, engine, id).await;
    assert_eq!(history.get(id).unwrap().unwrap().summary.status, ExecutionStatus::Lost);
    assert_eq!(history.output(id).unwrap().unwrap().pieces[0].bytes, "kept\n");
}

#[tokio::test]
async fn output_that_a_full_disk_refused_is_counted_when_there_is_room_again() {
    let Some(small) = SmallDisk::new(c"size=8m,mode=700") else { return };
    let (state, filler) = (small.0.path().join("state"), small.0.path().join("filler"));
    let disk = Disk::default();
    let engine = engine_on(&state, &disk);
    let line = "printf begin; read a; head -c 4000000 /dev/zero; read b; \
                printf end; cat";
    let id = piped(&engine, line).await;
    let journal = |id: Uuid| state.join(format!("outputs/{id}.journal-live"));
    let has = |id: Uuid, text: &[u8]| {
        let bytes = std::fs::read(journal(id)).unwrap_or_default();
        bytes.windows(text.len()).any(|part| part == text)
    };
    until("the begin is written", || has(id, b"begin")).await;
    let full = std::fs::write(&filler, vec![1; 8 << 20]).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    engine.write_stdin(id, "\n").await.unwrap();
    let marker = engine.execute(ExecutionRequest::shell("echo marker; sleep 1000")).await.unwrap();
    until("output before that is refused", || journal(marker).exists()).await;
    std::fs::remove_file(&filler).unwrap();
    engine.cancel(marker).await.unwrap();
    engine.write_stdin(id, "\n").await.unwrap();
    until("the end is written", || has(id, b"end")).await;

    let history = end_refused(&state, &disk, engine, id).await;
    let entry = history.get(id).unwrap().unwrap();
    assert_eq!(entry.summary.status, ExecutionStatus::Lost);
    let stats = entry.summary.stdout_stats;
    assert_eq!(stats.seen_bytes, 5 + 4_000_000 + 3);
    assert!(stats.kept_bytes < stats.seen_bytes, "nothing was refused");
    let pieces = history.output(id).unwrap().unwrap().pieces;
    let last = pieces.iter().rfind(|piece| piece.stream == OutputStream::Stdout).unwrap();
    assert_eq!(last.offset + last.bytes.len() as u64, stats.seen_bytes);
    assert!(last.bytes.ends_with(b"end"));
}
