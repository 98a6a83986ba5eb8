//! Tenants in accounts of their own: what they have of a fleet, and what they do not.

use execution_engine::*;
use execution_engine_fleet::{Cluster as _, Expect, Lane, LogSubject};
use execution_engine_fleet_nats::{NatsCluster, Role, init};
use fleet_servers::Setup;
use test_support::soon;
use uuid::Uuid;

use crate::common::*;
use crate::permissions::{User, ask, config, denied, named, serve};
use crate::test_fleet::TestFleet;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_the_account_of_its_tenant_has_all_of_a_fleet() {
    let admin = User::new("admin", Role::Admin);
    let client = User::new("client", Role::Client { tenant: "t".into() });
    let worker = User::new("worker", Role::Worker { tenants: vec!["t".into()], plans: false });
    let extra = config(&[&admin, &client, &worker]);
    let servers = Servers::start_with(&Setup { extra, ..Setup::default() }).await;
    let access = [&admin, &client, &worker].map(|user| user.options(&servers));
    let fleet = TestFleet::start_as(servers, access, None).await;
    let engine = fleet.engine().await;
    let _worker = fleet.worker("w1").await;
    // More output than one read of the log has.
    let line = "trap 'echo usr1; head -c 5000000 /dev/zero; exit 3' USR1; read word; echo $word; \
                while :; do sleep 0.05; done";
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let execution = engine.start_with(ExecutionRequest::shell(line), options).await.unwrap();
    let mut chunks = execution.chunks().await.unwrap();
    execution.stdin().write("hello\n").await.unwrap();
    soon("its output", chunks.next()).await.unwrap();
    let listed = engine.list_backend().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].place.as_ref().unwrap().worker, "w1");
    execution.signal(Signal::User1).await.unwrap();
    let result = soon("the end", execution.wait()).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 3 });
    assert_eq!(result.stdout_stats.seen_bytes, 5_000_000 + "hello\nusr1\n".len() as u64);
    let sleeping = engine.start(ExecutionRequest::shell("exec sleep 600")).await.unwrap();
    sleeping.cancel().await.unwrap();
    assert_eq!(soon("the end", sleeping.wait()).await.unwrap().ending, Ending::Cancelled);
    assert_eq!(result.place.unwrap().durability, PlaceDurability::Power);
}

/// Returns the subject of a lane of an execution of tenant `b`.
fn of_b(lane: Lane) -> LogSubject {
    LogSubject { tenant: "b".into(), ..subject(1, lane) }
}

/// Starts a server with an execution of tenant `b`, which has a ticket and records, and returns a client of tenant
/// `a`, and client and worker of `b`.
async fn world_of_two() -> (Servers, [NatsCluster; 3]) {
    let admin = User::new("admin", Role::Admin);
    let of = |tenant: &str| Role::Client { tenant: tenant.into() };
    let (a, b) = (User::new("one", of("a")), User::new("other", of("b")));
    let worker = User::new("worker", Role::Worker { tenants: vec!["b".into()], plans: false });
    let extra = config(&[&admin, &a, &b, &worker]);
    let servers = Servers::start_with(&Setup { extra, ..Setup::default() }).await;
    init(&admin.options(&servers), &setup(1)).await.unwrap();
    let clusters =
        [a.connect(&servers).await, b.connect(&servers).await, worker.connect(&servers).await];
    let [_, client, worker] = &clusters;
    let mut place = place(1);
    place.queue.tenant = "b".into();
    client.enqueue(&place, "x".into()).await.unwrap();
    for (cluster, lane) in
        [(worker, Lane::Decisions), (worker, Lane::Output), (client, Lane::Input)]
    {
        let mut record = record(1, lane, &format!("{lane:?}"), Expect::Anything);
        record.subject = of_b(lane);
        cluster.append(record).await.unwrap();
    }
    (servers, clusters)
}

#[tokio::test]
async fn a_client_neither_reads_nor_reaches_what_is_of_another_tenant() {
    let (_servers, [client, other, worker]) = world_of_two().await;
    let lanes = [Lane::Decisions, Lane::Output, Lane::Input];
    for lane in lanes {
        assert_eq!(other.read(&of_b(lane), 0, 0).await.unwrap().records.len(), 1);
        let theirs = [of_b(lane)];
        let (read, newest, last) = tokio::join!(
            client.read(&theirs[0], 0, 0),
            client.newest(&theirs[0]),
            client.last(&theirs)
        );
        denied("records", read);
        denied("the newest record", newest);
        denied("last records", last);
    }
    let id = Uuid::from_u128(1);
    assert_eq!(other.executions("b").await.unwrap(), [id]);
    let mut cancel = record(1, Lane::Decisions, "x", Expect::Anything);
    cancel.subject = of_b(Lane::Decisions);
    let (executions, places, tickets, cancelled) = tokio::join!(
        client.executions("b"),
        client.places("b"),
        client.find_tickets("b", id),
        client.append(cancel)
    );
    denied("the list of executions", executions);
    denied("the queue", places);
    denied("tickets", tickets);
    denied("a cancel", cancelled);
    // The worker listens: its client reaches it, and that of the other tenant does not.
    let ((), answer) = tokio::join!(serve(&worker, "b"), ask(&other, "b"));
    assert_eq!(answer, "done");
    denied("a signal", client.ask("w1", Some(&named("b")), "x".into()).await);
    denied("a worker itself", client.ask("w1", None, "x".into()).await);
}

/// Servers and workers answer to whichever subject a request names. The answers to reads have bytes of the client.
#[tokio::test]
async fn no_answer_goes_where_the_one_who_asks_may_not_write() {
    let admin = User::new("admin", Role::Admin);
    let client = User::new("client", Role::Client { tenant: "a".into() });
    let worker =
        User::new("worker", Role::Worker { tenants: vec!["a".into(), "b".into()], plans: false });
    let extra = config(&[&admin, &client, &worker]);
    let servers = Servers::start_with(&Setup { extra, ..Setup::default() }).await;
    init(&admin.options(&servers), &setup(1)).await.unwrap();
    let (a, admin) = (client.connect(&servers).await, admin.connect(&servers).await);
    let worker = worker.connect(&servers).await;
    let answering = tokio::spawn(async move {
        loop {
            let call = worker.next_call("w1", &["a".to_owned(), "b".to_owned()]).await.unwrap();
            (call.answer)("x".into()).await;
        }
    });
    assert_eq!(ask(&a, "a").await, "x");
    a.append(record(1, Lane::Decisions, "c", Expect::Anything)).await.unwrap();
    let raw = async_nats::ConnectOptions::new()
        .nkey(client.seed.clone())
        .custom_inbox_prefix("_INBOX_client")
        .connect(&servers.urls()[..])
        .await
        .unwrap();
    let id = Uuid::from_u128(1).simple();
    let mut asked = vec![(format!("exeng.ctl.w1.a.{id}"), "x".to_owned())];
    for shard in 0..2 {
        let own = format!("exeng.x.a.{shard}.{id}.s");
        let last = format!("{{\"last_by_subj\":{own:?}}}");
        for api in ["$JS.API", "exeng.api"] {
            for what in ["DIRECT.GET", "STREAM.MSG.GET", "STREAM.INFO"] {
                let payload = if what == "STREAM.INFO" { "" } else { &*last };
                asked.push((format!("{api}.{what}.EXENG_LOG_a_{shard}"), payload.to_owned()));
            }
        }
        asked.push((own, "x".to_owned()));
    }
    for (subject, payload) in asked {
        for shard in 0..2 {
            for target in ["exeng.x.b.*.s", "exeng.w.b.p.small.1.*"] {
                let target = target.replace('*', &format!("{shard}.{id}"));
                let payload = payload.clone().into();
                raw.publish_with_reply(subject.clone(), target, payload).await.unwrap();
            }
        }
        // Answered after those before it, if it is allowed.
        let allowed = !subject.starts_with('$');
        let answer = tokio::time::timeout(PATIENCE, raw.request(subject.clone(), payload.into()));
        if allowed {
            answer.await.unwrap().unwrap();
        }
    }
    assert_eq!(admin.read(&of_b(Lane::Decisions), 0, 0).await.unwrap().records, []);
    assert_eq!(admin.places("b").await.unwrap(), []);
    answering.abort();
}
