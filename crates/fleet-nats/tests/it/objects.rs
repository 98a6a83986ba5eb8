//! Objects.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use execution_engine_fleet::{Cluster as _, ClusterError, ObjectKind, ObjectName};
use sha2::{Digest as _, Sha256};

use crate::common::*;

fn named(name: &str) -> ObjectName {
    ObjectName { tenant: "a".into(), kind: ObjectKind::Output, name: name.into() }
}

fn absent<T: std::fmt::Debug>(result: Result<T, ClusterError>) -> String {
    match result {
        Err(ClusterError::NoObject { what, .. }) => what,
        other => panic!("it is there: {other:?}"),
    }
}

#[tokio::test]
async fn any_part_of_an_object_is_read() {
    let (_servers, cluster) = fleet(1).await;
    // Not a multiple of anything.
    let bytes: Vec<u8> = (0..3_000_017_u32).map(|n| (n % 251) as u8).collect();
    let name = named("a/7 stdout: ü.*>");
    assert_eq!(cluster.put_object(&name, &mut &bytes[..]).await.unwrap(), bytes.len() as u64);
    let end = bytes.len() as u64;
    let parts =
        [(0, end), (0, 1), (262_143, 2), (262_144, 262_144), (end - 1, 10), (1_000_000, 1_500_000)];
    for (from, length) in parts {
        let read = cluster.read_object(&name, from, length).await.unwrap();
        let until = (from + length).min(end);
        assert!(read == bytes[from as usize..until as usize], "{from} {length}");
    }
    for (from, length) in [(end, 1), (end + 5, u64::MAX), (0, 0)] {
        assert!(cluster.read_object(&name, from, length).await.unwrap().is_empty());
    }
    // Stored again, it is there once.
    cluster.put_object(&name, &mut &bytes[..]).await.unwrap();
    assert!(cluster.read_object(&name, 0, end).await.unwrap() == bytes);
}

#[tokio::test]
async fn an_object_may_be_empty_and_must_be_there() {
    let (_servers, cluster) = fleet(1).await;
    assert_eq!(cluster.put_object(&named("empty"), &mut &b""[..]).await.unwrap(), 0);
    assert!(cluster.read_object(&named("empty"), 0, 9).await.unwrap().is_empty());
    let others = [
        named("other"),
        ObjectName { kind: ObjectKind::Artifact, ..named("empty") },
        ObjectName { tenant: "b".into(), ..named("empty") },
    ];
    for other in others {
        assert!(absent(cluster.read_object(&other, 0, 9).await).contains("is not there"));
    }
    let invalid = [named(""), ObjectName { tenant: "a.b".into(), ..named("x") }];
    for name in invalid {
        refused(cluster.put_object(&name, &mut &b"x"[..]).await);
    }
}

#[tokio::test]
async fn a_damaged_object_is_no_object() {
    let (servers, cluster) = fleet(1).await;
    let bytes = vec![7; 600_000];
    // "x" is "eA" and "y" is "eQ" in base64.
    cluster.put_object(&named("x"), &mut &bytes[..]).await.unwrap();
    cluster.put_object(&named("y"), &mut &bytes[..]).await.unwrap();
    // "z" is "eg" and "w" is "dw".
    cluster.put_object(&named("z"), &mut &bytes[..]).await.unwrap();
    cluster.put_object(&named("w"), &mut &bytes[..]).await.unwrap();
    let stranger = async_nats::connect(&servers.urls()[..]).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Exeng-Sha256", "0");
    stranger.request_with_headers("exeng.b.a.o.eA.1", headers, "x".into()).await.unwrap();
    let purge = r#"{"filter":"exeng.b.a.o.eQ.1"}"#;
    stranger.request("$JS.API.STREAM.PURGE.EXENG_BIG_a", purge.into()).await.unwrap();
    let long = vec![7; 262_145];
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Exeng-Sha256", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&long)));
    stranger.request_with_headers("exeng.b.a.o.eg.1", headers, long.into()).await.unwrap();
    let described = r#"{"size":600000,"chunk_bytes":262143}"#;
    stranger.request("exeng.b.a.o.dw.d", described.into()).await.unwrap();
    for length in [0, 100] {
        let what = absent(cluster.read_object(&named("w"), 0, length).await);
        assert!(what.contains("another size"), "{what}");
    }
    // A list of the chunks that it claims would not fit into any memory. "v" is "dg" in base64.
    cluster.put_object(&named("v"), &mut &bytes[..]).await.unwrap();
    let described = format!(r#"{{"size":{},"chunk_bytes":262144}}"#, u64::MAX);
    stranger.request("exeng.b.a.o.dg.d", described.into()).await.unwrap();
    assert_eq!(cluster.read_object(&named("v"), 0, 100).await.unwrap(), vec![7; 100]);
    let what = absent(cluster.read_object(&named("v"), 0, u64::MAX).await);
    assert!(what.contains("a chunk is missing") || what.contains("too short"), "{what}");
    for (name, reason) in [("x", "digest"), ("y", "a chunk is missing"), ("z", "too long")] {
        let name = named(name);
        assert_eq!(cluster.read_object(&name, 0, 100).await.unwrap(), vec![7; 100]);
        let what = absent(cluster.read_object(&name, 0, 300_000).await);
        assert!(what.contains(reason), "{what}");
    }
}
