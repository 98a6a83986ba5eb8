//! Measures appends to three servers that flush each write, beside a bare publisher on the same
//! servers: latency with one under way, and appends per second with 64.
//!
//! `cargo run --release -p execution-engine-fleet-nats --example appends`

use std::time::{Duration, Instant};

use bytes::Bytes;
use execution_engine_fleet::{Cluster as _, Expect, Lane, LogSubject, NewRecord, shard_of};
use execution_engine_fleet_nats::{FleetSetup, NatsCluster, ServerOptions, TenantSetup, init};
use fleet_servers::Servers;
use futures_util::{StreamExt as _, stream};
use uuid::Uuid;

const BYTES: usize = 512;
const ALONE: usize = 500;
const TOGETHER: usize = 5000;
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = Servers::start(3).await;
    let options = ServerOptions::new(servers.urls());
    let tenant = TenantSetup { name: "a".into(), max_queue: 10, max_running: 10 };
    init(&options, &FleetSetup { tenants: vec![tenant], ..FleetSetup::default() }).await?;
    let cluster = &NatsCluster::connect(&options).await?;
    let bare = &async_nats::connect(&servers.urls()[..]).await?;
    for round in 0..ROUNDS {
        println!("round {round}");
        report("ours", |_| append(cluster, Uuid::new_v4())).await;
        report("bare", |_| publish(bare, Uuid::new_v4())).await;
    }
    Ok(())
}

async fn append(cluster: &NatsCluster, id: Uuid) {
    let subject = LogSubject { tenant: "a".into(), id, lane: Lane::Decisions };
    let bytes = Bytes::from(vec![7; BYTES]);
    let record = NewRecord { subject, bytes, name: format!("{id}.claim"), expect: Expect::Last(0) };
    cluster.append(record).await.unwrap();
}

/// Publishes what [`append`] does, to the same streams, and does not look at the answer.
async fn publish(client: &async_nats::Client, id: Uuid) {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", format!("{id}.claim"));
    headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
    let subject =
        format!("exeng.x.a.{}.{}.s", shard_of(id, FleetSetup::default().shards), id.simple());
    client.request_with_headers(subject, headers, vec![7; BYTES].into()).await.unwrap();
}

async fn report<F: Future<Output = ()>>(name: &str, write: impl Fn(usize) -> F) {
    let mut times = Vec::new();
    for n in 0..ALONE {
        let begin = Instant::now();
        write(n).await;
        times.push(begin.elapsed());
    }
    times.sort();
    let begin = Instant::now();
    let mut busy = Vec::new();
    stream::iter(0..TOGETHER)
        .map(|n| {
            let begin = Instant::now();
            let write = write(n);
            async move {
                write.await;
                begin.elapsed()
            }
        })
        .buffer_unordered(64)
        .for_each(|time| {
            busy.push(time);
            std::future::ready(())
        })
        .await;
    let rate = TOGETHER as f64 / begin.elapsed().as_secs_f64();
    busy.sort();
    let at = |times: &[Duration], percent: usize| times[times.len() * percent / 100];
    println!(
        "  {name}: one p50 {:.2?} p99 {:.2?}; 64 under way {rate:.0}/s p50 {:.2?} p99 {:.2?}",
        at(&times, 50),
        at(&times, 99),
        at(&busy, 50),
        at(&busy, 99),
    );
}
