//! Groups that a client has set.

use execution_engine_store::{GroupChange, StoredGroup};

use crate::support::open;

fn group(name: &str, max_running: Option<u32>, paused: bool) -> StoredGroup {
    StoredGroup { name: name.to_string(), max_running, paused }
}

#[tokio::test]
async fn what_is_set_of_a_group_is_kept_and_what_is_left_out_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.groups().await.unwrap(), []);
    let limit = |limit| GroupChange { max_running: Some(limit), paused: None };
    let paused = |paused| GroupChange { max_running: None, paused: Some(paused) };
    let set = async |name, change| store.set_group(name, change).await.unwrap();
    assert_eq!(set("gpu", limit(Some(2))).await, group("gpu", Some(2), false));
    assert_eq!(set("gpu", paused(true)).await, group("gpu", Some(2), true));
    assert_eq!(set("gpu", limit(None)).await, group("gpu", None, true));
    assert_eq!(set("a b/\u{e4}", paused(true)).await, group("a b/\u{e4}", None, true));
    assert_eq!(set("gpu", limit(Some(u32::MAX))).await.max_running, Some(u32::MAX));
    drop(store);

    let store = open(dir.path());
    let all = [group("a b/\u{e4}", None, true), group("gpu", Some(u32::MAX), true)];
    assert_eq!(store.groups().await.unwrap(), all);
    assert!(store.remove_group("gpu").await.unwrap());
    assert!(!store.remove_group("gpu").await.unwrap(), "it is gone");
    assert_eq!(store.groups().await.unwrap(), &all[..1]);
}
