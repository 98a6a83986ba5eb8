//! Tickets and their deliveries.

use std::time::{Duration, Instant};

use bytes::Bytes;
use execution_engine_fleet::{Cluster as _, ClusterError, DeliveryHandle, QueuePlace, Settle};
use execution_engine_fleet_nats::NatsCluster;
use uuid::Uuid;

use crate::common::*;

#[tokio::test]
async fn one_ticket_lies_at_a_place_until_it_is_done() {
    let (_servers, cluster) = fleet(1).await;
    let delivery = delivered(&cluster, 1).await;
    assert_eq!((&delivery.place, &delivery.ticket[..]), (&place(1), &b"ticket"[..]));
    let again = cluster.enqueue(&place(1), "again".into()).await;
    assert_eq!(again, Err(ClusterError::AlreadyQueued));
    assert_eq!(cluster.places("a").await.unwrap(), [place(1)]);
    cluster.settle("a", &delivery.handle, Settle::Done).await.unwrap();
    removed(&cluster).await;
    // A repeat is harmless.
    cluster.settle("a", &delivery.handle, Settle::Done).await.unwrap();
    cluster.enqueue(&place(1), "new".into()).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_says_so_and_not_that_the_ticket_is_there() {
    let (_servers, cluster) = fleet(1).await;
    for id in 0..5 {
        cluster.enqueue(&place(id), "x".into()).await.unwrap();
    }
    let full = ClusterError::QueueFull { tenant: "a".into(), limit: 0 };
    assert_eq!(cluster.enqueue(&place(5), "x".into()).await, Err(full));
    assert_eq!(cluster.enqueue(&place(4), "x".into()).await, Err(ClusterError::AlreadyQueued));
    // Another tenant has a queue of its own.
    let mut other = place(5);
    other.queue.tenant = "b".into();
    cluster.enqueue(&other, "x".into()).await.unwrap();
}

#[tokio::test]
async fn tickets_are_found_in_all_queues_of_a_tenant() {
    let (_servers, cluster) = fleet(1).await;
    let big = QueuePlace { queue: queue("big", 0), id: Uuid::from_u128(1) };
    cluster.enqueue(&place(1), "one".into()).await.unwrap();
    cluster.enqueue(&big, "two".into()).await.unwrap();
    cluster.enqueue(&place(2), "other".into()).await.unwrap();
    let mut found = cluster.find_tickets("a", Uuid::from_u128(1)).await.unwrap();
    found.sort();
    assert_eq!(found, [(big, Bytes::from("two")), (place(1), Bytes::from("one"))]);
    assert_eq!(cluster.find_tickets("a", Uuid::from_u128(3)).await.unwrap(), []);
    assert_eq!(cluster.places("a").await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_stranger_settles_the_delivery_of_a_worker_that_is_gone() {
    let (servers, cluster) = fleet(3).await;
    let worker = NatsCluster::connect(&options(&servers)).await.unwrap();
    let delivery = delivered(&worker, 1).await;
    drop(worker);
    // From the record of a claim: only its text is known.
    let handle = DeliveryHandle(delivery.handle.0.clone());
    cluster.settle("a", &handle, Settle::Again).await.unwrap();
    let second = fetch_one(&cluster).await;
    assert_eq!(second.place, delivery.place);
    assert_ne!(second.handle, delivery.handle);
    // An old handle of a ticket that was delivered again settles it, too.
    cluster.settle("a", &handle, Settle::Done).await.unwrap();
    removed(&cluster).await;
}

#[tokio::test]
async fn an_old_handle_takes_a_ticket_from_its_holder() {
    let (_servers, cluster) = fleet(1).await;
    let first = delivered(&cluster, 1).await;
    cluster.settle("a", &first.handle, Settle::Again).await.unwrap();
    let second = fetch_one(&cluster).await;
    // Servers do not compare deliveries. So who sweeps twice makes two holders, of whom one claims.
    cluster.settle("a", &first.handle, Settle::Again).await.unwrap();
    let third = fetch_one(&cluster).await;
    assert_eq!(third.place, second.place);
    // Each holder may settle it.
    cluster.settle("a", &second.handle, Settle::Done).await.unwrap();
    removed(&cluster).await;
    cluster.settle("a", &third.handle, Settle::Done).await.unwrap();
}

/// Waits until the queue is empty: a server confirms that a ticket is done before it removes it.
async fn removed(cluster: &NatsCluster) {
    let deadline = Instant::now() + PATIENCE;
    while !cluster.places("a").await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "a ticket that is done stays in the queue");
    }
}

#[tokio::test]
async fn a_ticket_comes_again_at_once_or_later() {
    let (_servers, cluster) = fleet(1).await;
    let delivery = delivered(&cluster, 1).await;
    cluster.settle("a", &delivery.handle, Settle::Progress).await.unwrap();
    let given = Instant::now();
    cluster.settle("a", &delivery.handle, Settle::Later(Duration::from_secs(1))).await.unwrap();
    let delivery = fetch_one(&cluster).await;
    assert!(given.elapsed() >= Duration::from_millis(900));
    cluster.settle("a", &delivery.handle, Settle::Again).await.unwrap();
    fetch_one(&cluster).await;
}

#[tokio::test]
async fn a_quota_bounds_what_is_delivered() {
    let (_servers, cluster) = fleet(1).await;
    for id in 0..4 {
        cluster.enqueue(&place(id), "x".into()).await.unwrap();
    }
    let held = cluster.fetch(&queue("small", 1), 10, PATIENCE).await.unwrap();
    assert_eq!(held.len(), 2);
    assert_eq!(cluster.fetch(&queue("small", 1), 10, NO_WAIT).await.unwrap(), []);
    cluster.settle("a", &held[0].handle, Settle::Done).await.unwrap();
    assert_eq!(cluster.fetch(&queue("small", 1), 10, PATIENCE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_fetch_that_waits_gets_the_first_ticket() {
    let (_servers, cluster) = fleet(1).await;
    assert_eq!(cluster.fetch(&queue("small", 1), 0, PATIENCE).await.unwrap(), []);
    assert_eq!(cluster.fetch(&queue("small", 1), 3, Duration::from_millis(50)).await.unwrap(), []);
    let waiting = tokio::spawn({
        let cluster = cluster.clone();
        async move { cluster.fetch(&queue("small", 1), 3, PATIENCE).await }
    });
    cluster.enqueue(&place(1), "x".into()).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn tickets_of_a_fetch_that_was_dropped_come_again() {
    let (_servers, cluster) = fleet(1).await;
    let small = queue("small", 1);
    for id in 0..5 {
        // It waits, or has the ticket already, or did not yet ask.
        let dropped = tokio::time::timeout(
            Duration::from_millis(id),
            cluster.fetch(&small, 1, Duration::from_secs(1)),
        );
        let place = place(id.into());
        let (dropped, queued) = tokio::join!(dropped, cluster.enqueue(&place, "x".into()));
        queued.unwrap();
        let delivery = match dropped {
            Ok(Ok(mut fetched)) if !fetched.is_empty() => fetched.remove(0),
            _ => fetch_one(&cluster).await,
        };
        cluster.settle("a", &delivery.handle, Settle::Done).await.unwrap();
    }
}

#[tokio::test]
async fn handles_of_nothing_are_refused() {
    let (_servers, cluster) = fleet(1).await;
    let handle = DeliveryHandle("exeng.p.w1".into());
    refused(cluster.settle("a", &handle, Settle::Done).await);
    let absent = refused(cluster.places("unknown").await);
    assert!(absent.starts_with("there is no stream EXENG_WORK_unknown"), "{absent}");
}
