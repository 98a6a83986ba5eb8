//! Appends and reads.

use execution_engine_fleet::{Cluster as _, ClusterError, Expect, Lane, NewRecord};
use uuid::Uuid;

use crate::common::*;

#[tokio::test]
async fn a_repeat_returns_the_sequence_of_the_first() {
    let (_servers, cluster) = fleet(1).await;
    let first = record(1, Lane::Decisions, "claim", Expect::Last(0));
    let seq = cluster.append(first.clone()).await.unwrap();
    let second = record(1, Lane::Decisions, "end", Expect::Last(seq));
    let end = cluster.append(second).await.unwrap();
    assert!(end > seq);
    // The condition no longer holds, and the repeat is still known.
    assert_eq!(cluster.append(first).await, Ok(seq));
    let part = cluster.read(&subject(1, Lane::Decisions), 0, end).await.unwrap();
    assert_eq!(part.records.len(), 2, "{part:?}");
}

#[tokio::test]
async fn a_condition_that_does_not_hold_tells_the_last_sequence() {
    let (_servers, cluster) = fleet(1).await;
    let seq = cluster.append(record(1, Lane::Decisions, "a", Expect::Last(0))).await.unwrap();
    for (name, expect) in [("b", 0), ("c", seq + 5)] {
        let refused = cluster.append(record(1, Lane::Decisions, name, Expect::Last(expect))).await;
        assert_eq!(refused, Err(ClusterError::Conflict { last: seq }), "{name}");
    }
    // A condition is of its subject: another lane has no record.
    cluster.append(record(1, Lane::Output, "d", Expect::Last(0))).await.unwrap();
}

#[tokio::test]
async fn two_writers_with_one_condition_make_one_record() {
    let (servers, cluster) = fleet(3).await;
    let other =
        execution_engine_fleet_nats::NatsCluster::connect(&options(&servers)).await.unwrap();
    for id in 0..20 {
        let append = |name| record(id, Lane::Decisions, name, Expect::Last(0));
        let (one, two) = tokio::join!(cluster.append(append("x")), other.append(append("y")));
        let won = [&one, &two].into_iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1, "{one:?} {two:?}");
    }
}

#[tokio::test]
async fn records_are_read_in_parts_and_in_order() {
    let (_servers, cluster) = fleet(1).await;
    let mut seqs = Vec::new();
    // More than one read has, in count and in bytes; other subjects lie between.
    for n in 0..40 {
        let mut output = record(1, Lane::Output, &format!("o{n}"), Expect::Anything);
        output.bytes = vec![n; 200 * 1024].into();
        seqs.push((cluster.append(output).await.unwrap(), n));
        cluster.append(record(1, Lane::Input, &format!("i{n}"), Expect::Anything)).await.unwrap();
    }
    let (mut from, mut read, mut parts) = (0, Vec::new(), 0);
    loop {
        let part = cluster.read(&subject(1, Lane::Output), from, seqs[39].0).await.unwrap();
        assert_eq!(part.first_seq, 1);
        from = part.records.last().unwrap().0 + 1;
        read.extend(part.records.iter().map(|(seq, bytes)| (*seq, bytes[0])));
        parts += 1;
        if !part.more {
            break;
        }
    }
    assert_eq!(read, seqs);
    assert!(parts > 1);
}

#[tokio::test]
async fn a_read_waits_for_a_record_of_another_lane() {
    let (_servers, cluster) = fleet(3).await;
    for id in 0..20 {
        let output = cluster.append(record(id, Lane::Output, "o", Expect::Anything)).await.unwrap();
        let part = cluster.read(&subject(id, Lane::Decisions), 0, output).await.unwrap();
        assert!(part.records.is_empty() && !part.more);
        let decided = cluster.append(record(id, Lane::Decisions, "c", Expect::Last(0))).await;
        let part = cluster.read(&subject(id, Lane::Decisions), 0, decided.unwrap()).await.unwrap();
        assert_eq!(part.records.len(), 1);
    }
}

#[tokio::test]
async fn last_records_come_in_the_order_that_was_asked() {
    let (_servers, cluster) = fleet(1).await;
    let mut expected = Vec::new();
    for id in 0..120 {
        cluster.append(record(id, Lane::Decisions, "first", Expect::Anything)).await.unwrap();
        let last = record(id, Lane::Decisions, "last", Expect::Anything);
        let seq = cluster.append(last.clone()).await.unwrap();
        expected.push(Some((seq, last.bytes)));
    }
    let mut subjects: Vec<_> = (0..120).map(|id| subject(id, Lane::Decisions)).collect();
    subjects.insert(60, subject(999, Lane::Decisions));
    expected.insert(60, None);
    assert_eq!(cluster.last(&subjects).await.unwrap(), expected);
    assert_eq!(cluster.last(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn a_read_tells_what_the_log_no_longer_has() {
    let (servers, cluster) = fleet(1).await;
    let mut seqs = Vec::new();
    for name in ["a", "b", "c"] {
        seqs.push(cluster.append(record(1, Lane::Output, name, Expect::Anything)).await.unwrap());
    }
    let part = cluster.read(&subject(1, Lane::Output), 0, seqs[2]).await.unwrap();
    assert_eq!((part.first_seq, part.records.len()), (1, 3));
    // A day is not over: the records are removed by hand, and read over a new connection.
    let stranger = async_nats::connect(&servers.urls()[..]).await.unwrap();
    for shard in 0..2 {
        let purge = format!("{{\"seq\":{}}}", seqs[2]);
        let subject = format!("$JS.API.STREAM.PURGE.EXENG_LOG_a_{shard}");
        stranger.request(subject, purge.into()).await.unwrap();
    }
    let cluster =
        execution_engine_fleet_nats::NatsCluster::connect(&options(&servers)).await.unwrap();
    let part = cluster.read(&subject(1, Lane::Output), 0, seqs[2]).await.unwrap();
    assert_eq!((part.first_seq, part.records.len()), (seqs[2], 1));
}

#[tokio::test]
async fn a_reader_is_woken_by_its_subject() {
    let (_servers, cluster) = fleet(1).await;
    let mut changes = cluster.changes(&subject(1, Lane::Output)).await.unwrap();
    let mut other = cluster.changes(&subject(2, Lane::Output)).await.unwrap();
    cluster.append(record(1, Lane::Output, "o", Expect::Anything)).await.unwrap();
    tokio::time::timeout(PATIENCE, changes.next()).await.unwrap();
    cluster.append(record(2, Lane::Output, "o", Expect::Anything)).await.unwrap();
    tokio::time::timeout(PATIENCE, other.next()).await.unwrap();
}

#[tokio::test]
async fn names_that_are_no_part_of_a_subject_are_refused() {
    let (_servers, cluster) = fleet(1).await;
    let mut bad = subject(1, Lane::Output);
    bad.tenant = "a.b".into();
    let append = NewRecord {
        subject: bad.clone(),
        bytes: "x".into(),
        name: Uuid::new_v4().to_string(),
        expect: Expect::Anything,
    };
    assert!(refused(cluster.append(append).await).starts_with("tenant is \"a.b\""));
    refused(cluster.read(&bad, 0, 0).await);
    refused(cluster.last(&[bad]).await);
    refused(cluster.places(">").await);
    refused(cluster.announce("w *", "x".into(), PATIENCE).await);
}

#[tokio::test]
async fn the_newest_record_is_told_by_the_server_that_orders_them() {
    let (_servers, cluster) = fleet(3).await;
    let subject = subject(1, Lane::Decisions);
    assert_eq!(cluster.newest(&subject).await.unwrap(), 0);
    let seq = cluster.append(record(1, Lane::Decisions, "claim", Expect::Anything)).await.unwrap();
    cluster.append(record(1, Lane::Output, "output", Expect::Anything)).await.unwrap();
    assert_eq!(cluster.newest(&subject).await.unwrap(), seq);
}

#[tokio::test]
async fn executions_of_a_tenant_are_listed() {
    let (_servers, cluster) = fleet(1).await;
    for id in 1..=20 {
        cluster.append(record(id, Lane::Decisions, "claim", Expect::Anything)).await.unwrap();
    }
    cluster.append(record(21, Lane::Output, "output", Expect::Anything)).await.unwrap();
    let mut listed = cluster.executions("a").await.unwrap();
    listed.sort_unstable();
    assert_eq!(listed, (1..=20).map(Uuid::from_u128).collect::<Vec<_>>());
    assert_eq!(cluster.executions("b").await.unwrap(), Vec::<Uuid>::new());
}
