//! Presence, the right to sweep, and requests to workers.

use std::time::{Duration, Instant};

use execution_engine_fleet::{Cluster as _, ClusterError, ExecutionName};
use execution_engine_fleet_nats::NatsCluster;
use uuid::Uuid;

use crate::common::*;

const SHORT: Duration = Duration::from_secs(1);

async fn names(cluster: &NatsCluster) -> Vec<String> {
    let mut names: Vec<_> =
        cluster.workers().await.unwrap().into_iter().map(|(name, _)| name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn presence_passes_unless_it_is_announced_again() {
    let (_servers, cluster) = fleet(3).await;
    cluster.announce("w1", "one".into(), PATIENCE).await.unwrap();
    let announced = Instant::now();
    cluster.announce("w2", "two".into(), SHORT).await.unwrap();
    let workers = cluster.workers().await.unwrap();
    let both = [("w1".into(), "one".into()), ("w2".into(), "two".into())];
    assert!(workers == both || announced.elapsed() > SHORT, "{workers:?}");
    let deadline = Instant::now() + PATIENCE;
    while names(&cluster).await != ["w1"] {
        assert!(Instant::now() < deadline, "the presence of w2 does not pass");
    }
    assert!(announced.elapsed() >= SHORT);
    // The later time counts, and the later text.
    cluster.announce("w1", "short".into(), SHORT).await.unwrap();
    cluster.announce("w1", "long".into(), PATIENCE).await.unwrap();
    assert_eq!(cluster.workers().await.unwrap(), [("w1".into(), "long".into())]);
}

#[tokio::test]
async fn a_worker_that_withdraws_is_gone_at_once() {
    let (_servers, cluster) = fleet(1).await;
    cluster.announce("w1", "one".into(), PATIENCE).await.unwrap();
    cluster.announce("w2", "two".into(), PATIENCE).await.unwrap();
    cluster.withdraw("w1").await.unwrap();
    assert_eq!(names(&cluster).await, ["w2"]);
}

#[tokio::test]
async fn many_workers_are_all_told() {
    let (_servers, cluster) = fleet(1).await;
    for n in 0..600 {
        cluster.announce(&format!("w{n:03}"), "x".into(), PATIENCE * 10).await.unwrap();
    }
    assert_eq!(names(&cluster).await.len(), 600);
}

#[tokio::test]
async fn one_worker_has_the_right_to_sweep_until_it_passes() {
    let (_servers, cluster) = fleet(1).await;
    assert!(cluster.take_sweep("a", "w1", PATIENCE).await.unwrap());
    assert!(!cluster.take_sweep("a", "w2", PATIENCE).await.unwrap());
    assert!(cluster.take_sweep("a", "w1", SHORT).await.unwrap());
    let deadline = Instant::now() + PATIENCE;
    while !cluster.take_sweep("a", "w2", PATIENCE).await.unwrap() {
        assert!(Instant::now() < deadline, "the right of w1 does not pass");
    }
    assert!(!cluster.take_sweep("a", "w1", PATIENCE).await.unwrap());
}

#[tokio::test]
async fn many_ask_for_the_right_to_sweep_and_one_has_it() {
    let (_servers, cluster) = fleet(3).await;
    let asked = (0..8).map(|n| {
        let cluster = cluster.clone();
        tokio::spawn(
            async move { cluster.take_sweep("a", &format!("w{n}"), PATIENCE).await.unwrap() },
        )
    });
    let mut have = 0;
    for asked in asked.collect::<Vec<_>>() {
        have += u32::from(asked.await.unwrap());
    }
    assert_eq!(have, 1);
}

#[tokio::test]
async fn a_worker_is_asked_and_answers() {
    let (servers, cluster) = fleet(3).await;
    let worker = NatsCluster::connect(&options(&servers)).await.unwrap();
    let id = Uuid::from_u128(7);
    let of = |tenant: &str| Some(ExecutionName { tenant: tenant.to_owned(), id });
    let about = [of("a"), of("b"), None];
    let none = cluster.ask("w1", about[0].as_ref(), "pause".into()).await;
    assert!(matches!(none, Err(ClusterError::NoAnswer(_))), "{none:?}");
    let serve = tokio::spawn(async move {
        for _ in 0..3 {
            let call = worker.next_call("w1", &["a".to_owned(), "b".to_owned()]).await.unwrap();
            let answer = format!("{:?} {}", call.about, String::from_utf8_lossy(&call.bytes));
            (call.answer)(answer.into()).await;
        }
    });
    let deadline = Instant::now() + PATIENCE;
    let mut answered = 0;
    while answered < 3 {
        match cluster.ask("w1", about[answered].as_ref(), "pause".into()).await {
            Ok(answer) => {
                assert_eq!(answer, format!("{:?} pause", about[answered]));
                answered += 1;
            }
            // It does not listen yet.
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
    serve.await.unwrap();
}
