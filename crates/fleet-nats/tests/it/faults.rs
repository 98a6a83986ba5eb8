//! Servers that die, stand still, lose their disk, or lose their lead.

use std::time::{Duration, Instant};

use execution_engine_fleet::{Cluster as _, ClusterError, Expect, Lane, shard_of};
use execution_engine_fleet_nats::{NatsCluster, ServerOptions};
use serde_json::Value;
use uuid::Uuid;

use crate::common::*;

/// Appends records to one subject, each on the condition that it follows the one before. `seqs` has
/// the sequences of those before.
async fn append_chain(cluster: &NatsCluster, seqs: &mut Vec<u64>, count: usize) {
    while seqs.len() < count {
        let (name, last) = (seqs.len().to_string(), seqs.last().copied().unwrap_or(0));
        let record = record(1, Lane::Decisions, &name, Expect::Last(last));
        seqs.push(cluster.append(record).await.unwrap());
    }
}

/// Reads a subject to its end and checks that it has each record once.
async fn check_chain(cluster: &NatsCluster, seqs: &[u64]) {
    let last = *seqs.last().unwrap();
    let mut records = Vec::new();
    loop {
        let from = records.last().map_or(0, |(seq, _)| seq + 1);
        let part = cluster.read(&subject(1, Lane::Decisions), from, last).await.unwrap();
        records.extend(part.records);
        if !part.more {
            break;
        }
    }
    let named = |(n, seq): (usize, &u64)| (*seq, format!("bytes of {n}").into());
    assert_eq!(records, seqs.iter().enumerate().map(named).collect::<Vec<_>>());
}

/// Returns the leader of the log stream of an execution.
async fn leader(stranger: &async_nats::Client, stream: &str) -> Option<String> {
    let answer = stranger.request(format!("$JS.API.STREAM.INFO.{stream}"), "".into()).await.ok()?;
    let info: Value = serde_json::from_slice(&answer.payload).unwrap();
    info["cluster"]["leader"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_leader_steps_down_while_records_are_appended() {
    let (servers, cluster) = fleet(3).await;
    let stranger = async_nats::connect(&servers.urls()[..]).await.unwrap();
    let stream = format!("EXENG_LOG_a_{}", shard_of(Uuid::from_u128(1), SHARDS));
    let step_down = async {
        let mut leaders = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while leaders.len() < 3 {
            assert!(Instant::now() < deadline, "the lead does not change: {leaders:?}");
            let Some(leader) = leader(&stranger, &stream).await else { continue };
            if leaders.last() != Some(&leader) {
                leaders.push(leader);
                let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{stream}");
                let _asked = stranger.request(subject, "".into()).await;
            }
        }
    };
    let mut seqs = Vec::new();
    let mut step_down = std::pin::pin!(step_down);
    loop {
        let count = seqs.len() + 10;
        let append = append_chain(&cluster, &mut seqs, count);
        let (ended, ()) =
            tokio::join!(tokio::time::timeout(Duration::from_millis(1), &mut step_down), append);
        if ended.is_ok() {
            break;
        }
    }
    let count = seqs.len() + 10;
    append_chain(&cluster, &mut seqs, count).await;
    check_chain(&cluster, &seqs).await;
}

#[tokio::test]
async fn each_server_is_killed_in_turn() {
    let (mut servers, cluster) = fleet(3).await;
    let mut seqs = Vec::new();
    append_chain(&cluster, &mut seqs, 10).await;
    for number in 0..3 {
        servers.kill(number);
        append_chain(&cluster, &mut seqs, number * 10 + 20).await;
        cluster.enqueue(&place(number as u128), "x".into()).await.unwrap();
        let delivery = fetch_one(&cluster).await;
        cluster.settle("a", &delivery.handle, execution_engine_fleet::Settle::Done).await.unwrap();
        cluster.announce("w1", "x".into(), PATIENCE).await.unwrap();
        servers.start_again(&[number]).await;
    }
    check_chain(&cluster, &seqs).await;
}

#[tokio::test]
async fn a_server_comes_back_with_an_empty_disk() {
    let (mut servers, cluster) = fleet(3).await;
    let mut seqs = Vec::new();
    append_chain(&cluster, &mut seqs, 20).await;
    servers.kill(1);
    servers.erase(1);
    servers.start_again(&[1]).await;
    append_chain(&cluster, &mut seqs, 30).await;
    // What the empty one has by now is one of the two copies that are left.
    servers.kill(2);
    check_chain(&cluster, &seqs).await;
    append_chain(&cluster, &mut seqs, 31).await;
    assert!(seqs.is_sorted());
}

#[tokio::test]
async fn a_connection_to_a_server_that_stands_still_is_left() {
    let (servers, cluster) = fleet(3).await;
    let mut seqs = Vec::new();
    append_chain(&cluster, &mut seqs, 5).await;
    let frozen = servers.number_of(&cluster.server());
    servers.freeze(frozen, true);
    append_chain(&cluster, &mut seqs, 10).await;
    check_chain(&cluster, &seqs).await;
    assert_ne!(servers.number_of(&cluster.server()), frozen);
    servers.freeze(frozen, false);
}

#[tokio::test]
async fn a_call_is_bounded_while_no_server_is_there() {
    let (mut servers, _) = fleet(1).await;
    let patience = Duration::from_secs(2);
    let options = ServerOptions { patience, ..options(&servers) };
    let cluster = NatsCluster::connect(&options).await.unwrap();
    let mut seqs = Vec::new();
    append_chain(&cluster, &mut seqs, 3).await;
    servers.kill(0);
    let asked = Instant::now();
    let failed = cluster.append(record(1, Lane::Decisions, "3", Expect::Last(seqs[2]))).await;
    assert!(matches!(failed, Err(ClusterError::NoAnswer(_))), "{failed:?}");
    assert!(asked.elapsed() < PATIENCE);
    servers.start_again(&[0]).await;
    // The one that got no answer may have waited in the connection, and be done now.
    let deadline = Instant::now() + PATIENCE;
    let again = record(1, Lane::Decisions, "3", Expect::Last(seqs[2]));
    loop {
        match cluster.append(again.clone()).await {
            Ok(seq) => break seqs.push(seq),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
    check_chain(&cluster, &seqs).await;
}

#[tokio::test]
async fn presence_is_forgotten_with_the_memory_of_all_servers() {
    let (mut servers, cluster) = fleet(3).await;
    let long = PATIENCE * 100;
    cluster.announce("w1", "x".into(), long).await.unwrap();
    (0..3).for_each(|number| servers.kill(number));
    servers.start_again(&[0, 1, 2]).await;
    // So a sweeper must not take absence for death before workers had time to announce again.
    assert_eq!(cluster.workers().await.unwrap(), []);
    cluster.announce("w1", "x".into(), long).await.unwrap();
    assert_eq!(cluster.workers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_single_server_has_everything_again_when_it_is_started_again() {
    let (mut servers, cluster) = fleet(1).await;
    let mut seqs = Vec::new();
    append_chain(&cluster, &mut seqs, 10).await;
    cluster.enqueue(&place(1), "x".into()).await.unwrap();
    cluster.announce("w1", "x".into(), PATIENCE * 100).await.unwrap();
    servers.kill(0);
    servers.start_again(&[0]).await;
    check_chain(&cluster, &seqs).await;
    assert_eq!(cluster.workers().await.unwrap().len(), 1);
    assert_eq!(fetch_one(&cluster).await.place, place(1));
}
