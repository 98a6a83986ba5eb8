//! Rights of clients and workers, as real servers see them.

use execution_engine_fleet::{
    Cluster as _, ClusterError, DeliveryHandle, ExecutionName, Expect, Lane, ObjectKind,
    ObjectName, PLANS_POOL, QueueName, Settle,
};
use execution_engine_fleet_nats::{
    Grant, Identity, Login, NatsCluster, PoolSetup, Role, ServerOptions, init, server_config,
};
use fleet_servers::Setup;
use futures_util::StreamExt as _;
use uuid::Uuid;

use crate::common::*;

/// A user with a key of its own.
pub(crate) struct User {
    name: &'static str,
    pub(crate) seed: String,
    grant: Grant,
}

impl User {
    pub(crate) fn new(name: &'static str, role: Role) -> Self {
        let key = nkeys::KeyPair::new_user();
        let identity = Identity::Nkey(key.public_key());
        let grant = Grant { name: name.into(), identity, role };
        Self { name, seed: key.seed().unwrap(), grant }
    }

    pub(crate) fn options(&self, servers: &Servers) -> ServerOptions {
        ServerOptions {
            login: Login::NkeySeed(self.seed.clone()),
            inbox: format!("_INBOX_{}", self.name),
            ..options(servers)
        }
    }

    pub(crate) async fn connect(&self, servers: &Servers) -> NatsCluster {
        NatsCluster::connect(&self.options(servers)).await.unwrap()
    }
}

pub(crate) fn config(users: &[&User]) -> String {
    let grants: Vec<_> = users.iter().map(|user| user.grant.clone()).collect();
    server_config(2, &grants).unwrap()
}

struct World {
    servers: Servers,
    client: NatsCluster,
    worker: NatsCluster,
    /// A worker that conducts plans.
    conductor: NatsCluster,
}

/// Starts a server with a client of tenant `a` and a worker for tenant `a`.
async fn world() -> World {
    let admin = User::new("admin", Role::Admin);
    let client = User::new("client", Role::Client { tenant: "a".into() });
    let of_a = |plans| Role::Worker { tenants: vec!["a".into()], plans };
    let worker = User::new("worker", of_a(false));
    let conductor = User::new("conductor", of_a(true));
    let extra = config(&[&admin, &client, &worker, &conductor]);
    let servers = Servers::start_with(&Setup { extra, ..Setup::default() }).await;
    let mut setup = setup(1);
    let (name, bytes) = (PLANS_POOL.to_owned(), "the pool of plans".into());
    setup.pools.push(PoolSetup { name, classes: vec!["any".into()], bytes });
    init(&admin.options(&servers), &setup).await.unwrap();
    let (client, worker) = (client.connect(&servers).await, worker.connect(&servers).await);
    let conductor = conductor.connect(&servers).await;
    World { servers, client, worker, conductor }
}

fn object(tenant: &str, kind: ObjectKind) -> ObjectName {
    ObjectName { tenant: tenant.into(), kind, name: "o".into() }
}

#[tokio::test]
async fn each_may_do_what_it_is_for() {
    let World { servers: _servers, client, worker, .. } = world().await;
    client.enqueue(&place(1), "x".into()).await.unwrap();
    assert_eq!(client.find_tickets("a", Uuid::from_u128(1)).await.unwrap().len(), 1);
    let mut changes = client.changes(&subject(1, Lane::Decisions)).await.unwrap();
    client.append(record(1, Lane::Input, "i", Expect::Anything)).await.unwrap();
    let delivery = fetch_one(&worker).await;
    let claim = worker.append(record(1, Lane::Decisions, "c", Expect::Last(0))).await.unwrap();
    tokio::time::timeout(PATIENCE, changes.next()).await.unwrap();
    worker.append(record(1, Lane::Output, "o", Expect::Anything)).await.unwrap();
    worker.settle("a", &delivery.handle, Settle::Done).await.unwrap();
    worker.announce("w1", "x".into(), PATIENCE).await.unwrap();
    assert!(worker.take_sweep("a", "w1", PATIENCE).await.unwrap());
    worker.places("a").await.unwrap();
    for (writer, reader, kind) in [
        (&worker, &client, ObjectKind::Output),
        (&worker, &client, ObjectKind::Artifact),
        (&client, &worker, ObjectKind::Artifact),
    ] {
        let name = object("a", kind);
        writer.put_object(&name, &mut &b"object"[..]).await.unwrap();
        assert_eq!(reader.read_object(&name, 0, 9).await.unwrap(), "object");
    }
    assert_eq!(client.workers().await.unwrap().len(), 1);
    let cancel = client.append(record(1, Lane::Decisions, "x", Expect::Last(claim))).await.unwrap();
    for cluster in [&client, &worker] {
        let part = cluster.read(&subject(1, Lane::Decisions), 0, cancel).await.unwrap();
        assert_eq!(part.records.len(), 2);
        assert_eq!(cluster.last(&[subject(1, Lane::Output)]).await.unwrap().len(), 1);
        assert_eq!(cluster.pools().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn controls_are_answered_to_the_one_who_asked() {
    let World { servers: _servers, client, worker, .. } = world().await;
    let ((), answer) = tokio::join!(serve(&worker, "a"), ask(&client, "a"));
    assert_eq!(answer, "done");
}

/// Answers one request about an execution of a tenant.
pub(crate) async fn serve(worker: &NatsCluster, tenant: &str) {
    let call = worker.next_call("w1", &[tenant.to_owned()]).await.unwrap();
    assert_eq!(call.about, Some(named(tenant)));
    (call.answer)("done".into()).await;
}

/// Asks until the worker listens.
pub(crate) async fn ask(client: &NatsCluster, tenant: &str) -> bytes::Bytes {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match client.ask("w1", Some(&named(tenant)), "x".into()).await {
            Ok(answer) => return answer,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    }
}

pub(crate) fn named(tenant: &str) -> ExecutionName {
    ExecutionName { tenant: tenant.to_owned(), id: Uuid::from_u128(1) }
}

pub(crate) fn denied<T: std::fmt::Debug>(what: &str, result: Result<T, ClusterError>) {
    let reason = refused(result);
    assert!(reason.to_lowercase().contains("permissions violation"), "{what}: {reason}");
}

#[tokio::test]
async fn a_client_may_not_do_what_a_worker_does() {
    let World { servers: _servers, client, worker, .. } = world().await;
    let mut ticket = place(1);
    ticket.queue.tenant = "b".into();
    let mut cancel = record(1, Lane::Decisions, "c", Expect::Anything);
    cancel.subject.tenant = "b".into();
    let output = record(1, Lane::Output, "o", Expect::Anything);
    client.enqueue(&place(1), "x".into()).await.unwrap();
    let (delivery, own) = (fetch_one(&worker).await, queue("small", 1));
    let of_output = object("a", ObjectKind::Output);
    denied("objects of output", client.put_object(&of_output, &mut &b"x"[..]).await);
    let of_other = object("b", ObjectKind::Artifact);
    denied("artifacts of another tenant", client.put_object(&of_other, &mut &b"x"[..]).await);
    let (enqueued, appended, published, announced, swept, fetched, settled, places) = tokio::join!(
        client.enqueue(&ticket, "x".into()),
        client.append(cancel),
        client.append(output),
        client.announce("w1", "x".into(), PATIENCE),
        client.take_sweep("a", "w1", PATIENCE),
        client.fetch(&own, 1, NO_WAIT),
        client.settle("a", &delivery.handle, Settle::Done),
        client.places("b"),
    );
    denied("a ticket of another tenant", enqueued);
    denied("a cancel of another tenant", appended);
    denied("output", published);
    denied("presence", announced);
    denied("the right to sweep", swept);
    denied("tickets", fetched);
    denied("deliveries", settled);
    denied("places of another tenant", places);
    assert!(client.workers().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_worker_may_not_do_what_clients_do_or_serve_other_tenants() {
    let World { servers: _servers, worker, .. } = world().await;
    let input = record(1, Lane::Input, "i", Expect::Anything);
    let mut end = record(1, Lane::Decisions, "e", Expect::Anything);
    end.subject.tenant = "b".into();
    let mut other = queue("small", 1);
    other.tenant = "b".into();
    let handle = DeliveryHandle("$JS.ACK.EXENG_WORK_b.p=small=1.1.1.1.1.0".into());
    let place = place(1);
    for kind in [ObjectKind::Output, ObjectKind::Artifact] {
        let name = object("b", kind);
        denied("objects of another tenant", worker.put_object(&name, &mut &b"x"[..]).await);
    }
    let (enqueued, input, end, fetched, settled) = tokio::join!(
        worker.enqueue(&place, "x".into()),
        worker.append(input),
        worker.append(end),
        worker.fetch(&other, 1, NO_WAIT),
        worker.settle("b", &handle, Settle::Done),
    );
    denied("a ticket", enqueued);
    denied("input", input);
    denied("an end of another tenant", end);
    denied("tickets of another tenant", fetched);
    denied("deliveries of another tenant", settled);
    // A client of the tenant may have written the handle of another one into a claim.
    let reason = refused(worker.settle("a", &handle, Settle::Done).await);
    assert!(reason.contains("none of a queue of tenant a"), "{reason}");
}

#[tokio::test]
async fn a_user_does_not_hear_the_answers_of_another() {
    let client = User::new("client", Role::Client { tenant: "a".into() });
    let admin = User::new("admin", Role::Admin);
    let extra = config(&[&admin, &client]);
    let servers = Servers::start_with(&Setup { extra, ..Setup::default() }).await;
    let (events, mut denials) = tokio::sync::mpsc::unbounded_channel();
    let listener = async_nats::ConnectOptions::new()
        .nkey(client.seed.clone())
        .event_callback(move |event| {
            let _received = events.send(event.to_string());
            async {}
        })
        .connect(&servers.urls()[..])
        .await
        .unwrap();
    let subjects =
        ["_INBOX.>", "_INBOX_admin.>", "exeng.r.b.>", "exeng.ctl.*.*.*", "exeng.adm.*", ">"];
    let mut heard = Vec::new();
    for subject in subjects {
        heard.push(listener.subscribe(subject).await.unwrap());
    }
    let mut refused = 0;
    while refused < subjects.len() {
        let event = tokio::time::timeout(PATIENCE, denials.recv()).await.unwrap().unwrap();
        refused +=
            usize::from(event.to_lowercase().contains("permissions violation for subscription"));
    }
    let speaker = admin.options(&servers);
    init(&speaker, &setup(1)).await.unwrap();
    listener.flush().await.unwrap();
    for heard in &mut heard {
        let silence = futures_util::FutureExt::now_or_never(heard.next());
        assert!(silence.flatten().is_none(), "a client heard what was not for it");
    }
}

#[tokio::test]
async fn a_worker_submits_for_its_tenants_if_it_conducts_plans() {
    let World { servers: _servers, conductor, .. } = world().await;
    conductor.enqueue(&place(1), "x".into()).await.unwrap();
    conductor.append(record(1, Lane::Input, "i", Expect::Anything)).await.unwrap();
    conductor.append(record(1, Lane::Decisions, "c", Expect::Anything)).await.unwrap();
    let mut other = place(2);
    other.queue.tenant = "b".into();
    denied("a ticket of another tenant", conductor.enqueue(&other, "x".into()).await);
}

#[tokio::test]
async fn only_a_worker_that_conducts_plans_fetches_them() {
    let World { servers: _servers, worker, conductor, .. } = world().await;
    for priority in 0..3 {
        let pool = PLANS_POOL.to_owned();
        let queue = QueueName { pool, priority, ..queue("any", 1) };
        denied("a plan", worker.fetch(&queue, 1, NO_WAIT).await);
        assert_eq!(conductor.fetch(&queue, 1, NO_WAIT).await.unwrap(), []);
    }
    assert_eq!(worker.fetch(&queue("small", 1), 1, NO_WAIT).await.unwrap(), []);
}
