//! `exeng fleet init` and the servers that are refused.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::*;

#[tokio::test]
async fn init_can_be_repeated_and_changes_nothing() {
    let fleet = Fleet::start().await;
    let before = fleet.told(&["fleet", "status", "--json"]);
    fleet.told(&["fleet", "init"]);
    assert_eq!(fleet.told(&["fleet", "status", "--json"]), before);
    let other = fleet.output(&["fleet", "init", "--shards", "3"]);
    let (_, err) = texts(&other);
    assert!(other.status.code() == Some(125) && err.contains("shards"), "{err}");
    fleet.told(&["fleet", "init", "--pool", "blue", "--tenant", "blue"]);
    let status = fleet.told(&["fleet", "status"]);
    assert!(
        status.contains("blue: 0 workers") && status.contains("default: 0 workers"),
        "{status}"
    );
}

#[tokio::test]
async fn the_age_of_records_is_chosen_once() {
    let fleet = Fleet::without_setup().await;
    fleet.told(&["fleet", "init", "--age", "6h"]);
    fleet.told(&["fleet", "init"]);
    assert!(fleet.told(&["fleet", "status"]).contains("kept 6 h"));
    let other = fleet.output(&["fleet", "init", "--age", "7h"]);
    assert!(other.status.code() == Some(125) && texts(&other).1.contains("_age_s"), "{other:?}");
}

#[test]
fn servers_that_anyone_could_be_are_refused_without_a_connection() {
    for words in [&["worker"][..], &["fleet", "init"], &["run", "--", "true"]] {
        let refused =
            exeng(&[&["--on", "nats://192.0.2.1:4222"], words].concat()).output().unwrap();
        let (_, err) = texts(&refused);
        assert_eq!(refused.status.code(), Some(125), "{words:?}: {err}");
        assert!(err.contains("tls://") && err.contains("--nkey"), "{err}");
    }
    let none = exeng(&["worker"]).output().unwrap();
    assert!(texts(&none).1.contains("--on"), "{none:?}");
    let other = exeng(&["--on", "nats://127.0.0.1:1", "gc"]).output().unwrap();
    assert!(texts(&other).1.contains("leave --on out"), "{other:?}");
    // Whose executions, those of the fleet or of this machine, is not clear.
    for words in [&["export"][..], &["gc"], &["schedule", "ls"], &["group", "ls"]] {
        let refused = exeng(words).env("EXENG_ON", "nats://127.0.0.1:1").output().unwrap();
        assert_eq!(refused.status.code(), Some(125), "{words:?}");
        assert!(texts(&refused).1.contains("unset EXENG_ON"), "{refused:?}");
    }
}

#[tokio::test]
async fn workers_of_a_pool_with_keys_need_them() {
    let fleet = Fleet::without_setup().await;
    let keys = fleet.home.path().join("keys");
    let init = ["fleet", "init", "--keys", keys.to_str().unwrap()];
    fleet.told(&init);
    fleet.told(&init);
    let file = keys.join("worker-default.keys");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let without = fleet.output(&["worker"]);
    assert_eq!(without.status.code(), Some(125));
    assert!(texts(&without).1.contains("--keys"), "{without:?}");
    let _worker = fleet.worker(&["--keys", file.to_str().unwrap()]);
    let out = fleet.told(&["run", "--env", "SECRET=sealed", "--shell", "printf %s $SECRET"]);
    assert_eq!(out, "sealed");
}

#[tokio::test]
async fn pools_with_and_without_keys_are_no_pools_of_one_tenant() {
    let fleet = Fleet::start().await;
    let keys = fleet.home.path().join("keys");
    let init = |words: &[&str]| {
        let words = [&["fleet", "init"], words, &["--keys", keys.to_str().unwrap()]].concat();
        let output = fleet.output(&words);
        (output.status.code(), texts(&output).1)
    };
    for words in [&["--pool", "blue"][..], &[], &["--pool", "blue", "--pool", "default"]] {
        let (code, err) = init(words);
        assert!(code == Some(125) && err.contains("pool default"), "{words:?}: {err}");
        assert!(!keys.exists(), "{words:?} left a directory");
    }
    let (code, err) = init(&["--pool", "blue", "--tenant", "blue"]);
    assert_eq!(code, Some(0), "{err}");
    // Without keys for the tenant that has some.
    let refused = fleet.output(&["fleet", "init", "--pool", "red", "--tenant", "blue"]);
    assert!(texts(&refused).1.contains("pool blue with keys and pool red without"), "{refused:?}");
    assert_eq!(refused.status.code(), Some(125));
}

#[tokio::test]
async fn pools_have_labels_and_quotas_of_tenants_stay() {
    let fleet = Fleet::start().await;
    let gpu = ["fleet", "init", "--pool", "gpu:zone=a,kind=gpu"];
    fleet.told(&gpu);
    fleet.told(&gpu);
    assert!(fleet.told(&["fleet", "status"]).contains("labels kind=gpu zone=a"));
    let refused = |words: &[&str]| {
        let output = fleet.output(&[&["fleet", "init"], words].concat());
        assert_ne!(output.status.code(), Some(0), "{words:?}");
        texts(&output).1
    };
    assert!(refused(&["--pool", "gpu:zone=b"]).contains("with other labels"));
    let err = refused(&["--max-queue", "7"]);
    assert!(err.contains("--max-queue: tenant default is there with 100000"), "{err}");
    let err = refused(&["--max-running", "7"]);
    assert!(err.contains("--max-running: tenant default is there with 1000"), "{err}");
    let worker = fleet.output(&["worker", "--tenant", "nope"]);
    assert!(
        texts(&worker)
            .1
            .contains("--tenant nope: no pool of the fleet serves it; they serve default"),
        "{worker:?}"
    );
    let worker = fleet.worker(&["--label", "zone=a", "--label", "kind=gpu", "--pool", "gpu"]);
    drop(worker);
}

#[test]
fn what_can_be_no_fleet_is_refused_with_its_option() {
    let refused = |words: &[&str]| {
        let output = exeng(words).output().unwrap();
        assert_ne!(output.status.code(), Some(0), "{words:?}");
        texts(&output).1
    };
    let on = ["--on", "nats://127.0.0.1:1", "fleet", "init"];
    for (words, part) in [
        (["--shards", "0"], "1..=256"),
        (["--replicas", "2"], "may be 1, 3 or 5"),
        (["--pool", "a b"], "the name is \"a b\"; use 1 to"),
        (["--pool", "a:b"], "NAME=VALUE"),
        (["--tenant", "a.b"], "the name is \"a.b\"; use 1 to"),
        (["--max-queue", "0"], "1..="),
        (["--age", "59m"], "may be 1h or more"),
    ] {
        let err = refused(&[&on[..], &words].concat());
        assert!(err.contains(part) && err.contains(words[0]), "{words:?}: {err}");
    }
    for url in ["nats://", "nats://host:port", "nats://a,,", "http://127.0.0.1:4222"] {
        let err = refused(&["--on", url, "ls"]);
        assert!(err.contains("is no address of a server; write nats://HOST:PORT"), "{url}: {err}");
    }
}
