//! What is made on the servers, and what is refused.

use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use execution_engine_fleet::{Cluster as _, Durability};
use execution_engine_fleet_nats::{
    ConnectError, FleetSetup, InitError, NatsCluster, PoolSetup, ServerOptions, TenantSetup, init,
};
use fleet_servers::Setup;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::*;

#[tokio::test]
async fn a_setup_is_repeated_and_extended() {
    let servers = Servers::start(1).await;
    let options = options(&servers);
    let missing = NatsCluster::connect(&options).await.unwrap_err();
    assert!(matches!(missing, InitError::Missing), "{missing}");
    let first = init(&options, &setup(1)).await.unwrap();
    assert_eq!(init(&options, &setup(1)).await.unwrap(), first);
    let more = FleetSetup {
        pools: vec![PoolSetup { name: "q".into(), classes: vec!["c".into()], bytes: "q".into() }],
        tenants: vec![TenantSetup { name: "c".into(), max_queue: 1, max_running: 1 }],
        ..setup(1)
    };
    let extended = init(&options, &more).await.unwrap();
    assert_eq!(extended.tenants.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    let cluster = NatsCluster::connect(&options).await.unwrap();
    assert_eq!(cluster.fleet(), &extended);
    let pools = [("p".into(), Bytes::from("the pool")), ("q".into(), "q".into())];
    assert_eq!(cluster.pools().await.unwrap(), pools);
    // The old tenants have the new pool, and the new tenant the old one.
    for (tenant, pool, class) in [("a", "q", "c"), ("c", "p", "big")] {
        let mut queue = queue(class, 0);
        (queue.tenant, queue.pool) = (tenant.into(), pool.into());
        assert_eq!(cluster.fetch(&queue, 1, NO_WAIT).await.unwrap(), []);
    }
}

#[tokio::test]
async fn objects_that_have_no_room_are_told() {
    for count in [1, 3] {
        let servers = Servers::start(count).await;
        let options = ServerOptions { patience: Duration::from_secs(5), ..options(&servers) };
        // More than the servers of tests may store.
        let much = FleetSetup { object_bytes: 1 << 40, ..setup(count as u8) };
        let error = init(&options, &much).await.unwrap_err();
        let InitError::NoRoom { stream, bytes, .. } = &error else { panic!("{error:?}") };
        assert_eq!((stream.as_str(), *bytes), ("EXENG_BIG_a", 1 << 40));
        let fits = FleetSetup { object_bytes: 1 << 30, ..setup(count as u8) };
        let options = ServerOptions { patience: PATIENCE, ..options };
        init(&options, &fits).await.unwrap();
    }
}

#[tokio::test]
async fn what_differs_is_told_and_not_changed() {
    let servers = Servers::start(1).await;
    let options = options(&servers);
    init(&options, &setup(1)).await.unwrap();
    let day = Duration::from_secs(24 * 3600);
    let mut quota = setup(1);
    quota.tenants[0].max_queue = 6;
    let mut pool = setup(1);
    pool.pools[0].bytes = "other".into();
    let cases = [
        (
            FleetSetup { shards: NonZeroU16::new(3).unwrap(), ..setup(1) },
            "the fleet has shards 2 and 3 is asked for",
        ),
        (FleetSetup { log_age: day * 2, ..setup(1) }, "the fleet has log_age_s 86400 and 172800"),
        (FleetSetup { object_bytes: 0, ..setup(1) }, "the fleet has object_bytes 2147483648 and 0"),
        (quota, "tenants of the fleet has a {\"max_queue\":5"),
        (pool, "pool p has a description of 8 bytes and another one of 5 bytes"),
    ];
    for (setup, expected) in cases {
        let error = init(&options, &setup).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    // By the tools of NATS.
    let stranger = async_nats::connect(&servers.urls()[..]).await.unwrap();
    let config = r#"{"name":"EXENG_LIVE","subjects":["exeng.p.*","exeng.sweep.*"],"retention":"limits",
        "storage":"file","discard":"old","max_msgs_per_subject":2,"allow_msg_ttl":true,
        "allow_direct":true,"num_replicas":1}"#;
    stranger.request("$JS.API.STREAM.UPDATE.EXENG_LIVE", config.into()).await.unwrap();
    let error = init(&options, &setup(1)).await.unwrap_err().to_string();
    assert!(error.starts_with("stream EXENG_LIVE has max_msgs_per_subject 2 and 1"), "{error}");
    // A later version of the engine.
    let fleet = r#"{"format":3,"form":"unknown"}"#;
    stranger.request("$KV.EXENG_FLEET.fleet", fleet.into()).await.unwrap();
    for refused in [
        init(&options, &setup(1)).await.unwrap_err(),
        NatsCluster::connect(&options).await.unwrap_err(),
    ] {
        assert!(matches!(refused, InitError::Format { is: 3 }), "{refused}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() {
    let none = ServerOptions::new(["nats://127.0.0.1:1"]);
    let mut dot = setup(1);
    dot.tenants[0].name = "a.b".into();
    let mut unbounded = setup(1);
    unbounded.tenants[0].max_running = 0;
    let cases = [
        (FleetSetup { shards: NonZeroU16::new(257).unwrap(), ..setup(1) }, "shards may be"),
        (FleetSetup { replicas: 2, ..setup(1) }, "replicas may be 1, 3 or 5"),
        (FleetSetup { log_age: Duration::from_secs(60), ..setup(1) }, "log_age and object_age may"),
        (FleetSetup { object_bytes: 1000, ..setup(1) }, "object_bytes may be 16777216"),
        (dot, "tenant is \"a.b\""),
        (unbounded, "max_running may be"),
        (setup(1), "no connection to the servers nats://127.0.0.1:1"),
    ];
    for (setup, expected) in cases {
        let error = init(&none, &setup).await.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(error.may_pass(), expected.starts_with("no connection"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options =
        ServerOptions::new([format!("nats://127.0.0.1:{}", listener.local_addr().unwrap().port())]);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let info = r#"INFO {"server_id":"x","server_name":"old","version":"2.11.9","headers":true,"max_payload":1048576,"proto":1,"jetstream":true}"#;
        stream.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        while !heard.windows(4).any(|part| part == b"PING") {
            let count = stream.read(&mut buffer).await.unwrap();
            heard.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(b"PONG\r\n").await.unwrap();
        let _closed = stream.read(&mut buffer).await;
    });
    let error = NatsCluster::connect(&options).await.unwrap_err();
    assert!(matches!(error, InitError::Connect(ConnectError::TooOld { .. })), "{error}");
    assert!(error.to_string().contains("install nats-server 2.12 or later"), "{error}");
}

#[tokio::test]
async fn durability_is_unknown_where_the_servers_do_not_say() {
    let (_servers, cluster) = fleet(1).await;
    assert_eq!(cluster.durability(), Durability::Unknown);
}

/// Accounts as [`execution_engine_fleet_nats::server_config`] makes them, with a user for everything.
async fn durability_of(count: usize, sync_interval: &str) -> Durability {
    let admin = crate::permissions::User::new("admin", execution_engine_fleet_nats::Role::Admin);
    let extra = crate::permissions::config(&[&admin]);
    let setup = Setup { count, sync_interval: sync_interval.into(), extra, ..Setup::default() };
    let servers = Servers::start_with(&setup).await;
    let options = admin.options(&servers);
    init(&options, &crate::common::setup(1)).await.unwrap();
    NatsCluster::connect(&options).await.unwrap().durability()
}

#[tokio::test]
async fn durability_is_asked_again_when_a_connection_was_lost() {
    let admin = crate::permissions::User::new("admin", execution_engine_fleet_nats::Role::Admin);
    let extra = crate::permissions::config(&[&admin]);
    let mut servers = Servers::start_with(&Setup { extra, ..Setup::default() }).await;
    let options = admin.options(&servers);
    init(&options, &setup(1)).await.unwrap();
    let cluster = NatsCluster::connect(&options).await.unwrap();
    servers.kill(0);
    for (what, expected) in [("lost", Durability::Unknown), ("asked", Durability::Power)] {
        let deadline = std::time::Instant::now() + PATIENCE;
        while cluster.durability() != expected {
            assert!(std::time::Instant::now() < deadline, "durability is not {what}");
            tokio::task::yield_now().await;
        }
        if expected == Durability::Unknown {
            servers.start_again(&[0]).await;
        }
    }
}

/// The connection of the one who asks is to another server.
#[tokio::test]
async fn durability_is_asked_again_when_another_server_was_started_with_less() {
    let admin = crate::permissions::User::new("admin", execution_engine_fleet_nats::Role::Admin);
    let extra = crate::permissions::config(&[&admin]);
    let three = Setup { count: 3, extra, ..Setup::default() };
    let mut servers = Servers::start_with(&three).await;
    let options = admin.options(&servers);
    init(&options, &setup(3)).await.unwrap();
    let cluster = NatsCluster::connect(&options).await.unwrap();
    let own = servers.number_of(&cluster.server());
    let other = (own + 1) % 3;
    servers.kill(other);
    servers.set_sync_interval(other, "2m");
    servers.start_again(&[other]).await;
    let is_known = || cluster.durability() == Durability::Process;
    test_support::until("the setting is known", is_known).await;
    assert_eq!(servers.number_of(&cluster.server()), own);
}

#[tokio::test]
async fn durability_is_what_all_servers_say() {
    assert_eq!(durability_of(1, "always").await, Durability::Power);
    assert_eq!(durability_of(1, "2m").await, Durability::Process);
    assert_eq!(durability_of(3, "always").await, Durability::Power);
}
