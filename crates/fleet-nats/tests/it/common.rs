//! Servers with a fleet, and names for what tests put there.

use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use execution_engine_fleet::{
    Cluster as _, ClusterError, Delivery, Expect, Lane, LogSubject, NewRecord, QueueName,
    QueuePlace,
};
use execution_engine_fleet_nats::{
    FleetSetup, NatsCluster, PoolSetup, ServerOptions, TenantSetup, init,
};
pub(crate) use fleet_servers::{PATIENCE, Servers};
use uuid::Uuid;

/// Log streams of the fleet.
pub(crate) const SHARDS: NonZeroU16 = NonZeroU16::new(2).unwrap();

/// A fleet of tenants `a` and `b` with pool `p` and classes `small` and `big`.
pub(crate) fn setup(replicas: u8) -> FleetSetup {
    let tenant =
        |name: &str, max_queue| TenantSetup { name: name.into(), max_queue, max_running: 2 };
    FleetSetup {
        shards: SHARDS,
        replicas,
        pools: vec![PoolSetup {
            name: "p".into(),
            classes: vec!["small".into(), "big".into()],
            bytes: Bytes::from_static(b"the pool"),
        }],
        tenants: vec![tenant("a", 5), tenant("b", 100)],
        ..FleetSetup::default()
    }
}

pub(crate) fn options(servers: &Servers) -> ServerOptions {
    // Servers that were killed need time on a busy machine.
    ServerOptions { patience: PATIENCE, ..ServerOptions::new(servers.urls()) }
}

/// Starts one or three servers, and sets a fleet up.
pub(crate) async fn fleet(count: u8) -> (Servers, NatsCluster) {
    let servers = Servers::start(usize::from(count)).await;
    init(&options(&servers), &setup(count)).await.unwrap();
    let cluster = NatsCluster::connect(&options(&servers)).await.unwrap();
    (servers, cluster)
}

pub(crate) fn subject(id: u128, lane: Lane) -> LogSubject {
    LogSubject { tenant: "a".into(), id: Uuid::from_u128(id), lane }
}

pub(crate) fn record(id: u128, lane: Lane, name: &str, expect: Expect) -> NewRecord {
    let bytes = Bytes::from(format!("bytes of {name}"));
    NewRecord { subject: subject(id, lane), bytes, name: format!("{id}.{name}"), expect }
}

pub(crate) fn queue(class: &str, priority: u8) -> QueueName {
    QueueName { tenant: "a".into(), pool: "p".into(), class: class.into(), priority }
}

pub(crate) fn place(id: u128) -> QueuePlace {
    QueuePlace { queue: queue("small", 1), id: Uuid::from_u128(id) }
}

/// Puts a ticket into the queue and fetches it.
pub(crate) async fn delivered(cluster: &NatsCluster, id: u128) -> Delivery {
    cluster.enqueue(&place(id), Bytes::from_static(b"ticket")).await.unwrap();
    fetch_one(cluster).await
}

/// Fetches the next ticket of the queue of [`place`].
pub(crate) async fn fetch_one(cluster: &NatsCluster) -> Delivery {
    let mut fetched = cluster.fetch(&queue("small", 1), 1, PATIENCE).await.unwrap();
    assert_eq!(fetched.len(), 1, "{fetched:?}");
    fetched.remove(0)
}

pub(crate) const NO_WAIT: Duration = Duration::ZERO;

pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, ClusterError>) -> String {
    match result {
        Err(ClusterError::Refused(reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// Waits until the queue of a tenant is empty.
pub(crate) async fn emptied(cluster: &NatsCluster, tenant: &str) {
    test_support::soon("an empty queue", async {
        while !cluster.places(tenant).await.unwrap().is_empty() {
            test_support::pause(Duration::from_millis(20)).await;
        }
    })
    .await;
}
