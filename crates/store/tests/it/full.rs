//! A disk that is full, or fails.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use execution_engine::{Ending, ExecutionRequest};
use execution_engine_store::{Health, Hooks, OutputPlace, Store, StoreConfig};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use test_support::soon;

use crate::support::{accept, accept_shell, check_integrity, end, ended, new, open};

const PROBE: Duration = Duration::from_millis(20);

/// A disk that can be broken.
#[derive(Clone, Default)]
struct Disk(Arc<AtomicBool>);

impl Disk {
    fn open(&self, dir: &Path, kind: io::ErrorKind) -> Store {
        let disk = self.clone();
        let fault = move |_: &str, step: &str| match step {
            "applied" if disk.0.load(Ordering::SeqCst) => Err(kind.into()),
            _ => Ok(()),
        };
        let hooks = Hooks::default().fault(fault);
        let config = StoreConfig { hooks, probe_interval: PROBE, ..StoreConfig::default() };
        Store::open(dir, config).unwrap()
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

        // What nobody waits for is kept meanwhile.
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
