//! Output that is too much for the log: whole, in order, and told exactly where it is missing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use execution_engine::*;
use execution_engine_fleet::{Cluster as _, Lane, LogSubject};
use execution_engine_fleet::{
    FleetBackend, FleetEvent, LargeOutput, Output, OutputObject, Position, Signer, decode,
};
use execution_engine_fleet_nats::{NatsCluster, ServerOptions};
use serde_json::{Value, json};
use test_support::{pause, soon};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;

use crate::common::PATIENCE;
use crate::test_fleet::TestFleet;

const MIB: u64 = 1024 * 1024;
/// Bytes of a line of [`numbers`].
const LINE: u64 = 16;
/// How much output of a start goes to the log.
const IN_THE_LOG: u64 = 8 * MIB;

/// Returns a command that writes so many bytes: numbers, so that the content tells its place.
fn numbers(bytes: u64) -> String {
    format!("seq -f %015.0f 1 {}", bytes / LINE)
}

/// Returns what [`numbers`] writes at a place.
fn expected(from: u64, length: usize) -> Vec<u8> {
    let (first, end) = (from / LINE, (from + length as u64).div_ceil(LINE));
    let text: String = (first..end).map(|number| format!("{:015}\n", number + 1)).collect();
    text.as_bytes()[(from % LINE) as usize..][..length].to_vec()
}

/// What a reader got, whose content was compared with what the program wrote at its place.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    bytes: u64,
    missed: u64,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        let at = self.bytes + self.missed;
        assert!(bytes == expected(at, bytes.len()), "the output at {at} is of another place");
        self.bytes += bytes.len() as u64;
    }
}

/// Follows an execution to its end.
async fn follow(backend: &FleetBackend, id: Uuid) -> Seen {
    let mut seen = Seen::default();
    let mut follower = backend.client().follow(id, Position::default());
    while let Some((_, event)) = soon("an event", follower.next()).await.unwrap() {
        match event {
            FleetEvent::Output { bytes, .. } => seen.take(&bytes),
            FleetEvent::Missed(_, bytes) => seen.missed += bytes,
            _ => {}
        }
    }
    seen
}

async fn backend(cluster: Arc<NatsCluster>) -> Arc<FleetBackend> {
    Arc::new(FleetBackend::connect(cluster, "t", "test").await.unwrap())
}

/// Returns an engine that keeps no output: the test reads it elsewhere.
fn engine(backend: &Arc<FleetBackend>) -> ExecutionEngine {
    ExecutionEngine::builder().backend(Arc::clone(backend) as Arc<dyn Backend>).build().unwrap()
}

/// Runs a script to its end and returns its id.
async fn run(backend: &Arc<FleetBackend>, script: &str) -> Uuid {
    let request = ExecutionRequest::shell(script);
    let id = request.id;
    let result = soon("the result", engine(backend).run(request)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    id
}

async fn asked(fleet: &TestFleet, what: &str, request: Value) -> Value {
    let stranger = async_nats::connect(&fleet.servers.urls()[..]).await.unwrap();
    let payload = request.to_string().into();
    let answer = stranger.request(format!("$JS.API.{what}"), payload).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert!(answer["error"].is_null(), "{what}: {answer}");
    answer
}

/// Returns the number of messages and bytes of a stream.
async fn size(fleet: &TestFleet, stream: &str) -> (u64, u64) {
    let state = &asked(fleet, &format!("STREAM.INFO.{stream}"), json!({})).await["state"];
    (state["messages"].as_u64().unwrap(), state["bytes"].as_u64().unwrap())
}

/// Returns the objects that the records of an execution name.
async fn objects(cluster: &NatsCluster, id: Uuid) -> Vec<OutputObject> {
    let subject = LogSubject { tenant: "t".into(), id, lane: Lane::Output };
    let (mut objects, mut from) = (Vec::new(), 1);
    loop {
        let part = cluster.read(&subject, from, 0).await.unwrap();
        for (seq, bytes) in part.records {
            from = seq + 1;
            objects.extend(decode::<Output>(&bytes).unwrap().object);
        }
        if !part.more {
            return objects;
        }
    }
}

/// Returns the subject of a message of an object.
fn message_of(object: &OutputObject, message: &str) -> String {
    use base64::Engine as _;
    let name = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(&object.name);
    format!("exeng.b.t.o.{name}.{message}")
}

#[tokio::test(flavor = "multi_thread")]
async fn large_output_is_read_while_the_program_runs_and_small_output_makes_no_object() {
    let fleet = TestFleet::start().await;
    let _worker = fleet.worker("w1").await;
    let backend = backend(fleet.cluster().await).await;
    let small = run(&backend, &numbers(LINE)).await;
    assert_eq!(follow(&backend, small).await, Seen { bytes: LINE, missed: 0 });
    assert_eq!(size(&fleet, "EXENG_BIG_t").await, (0, 0));

    let go = tempfile::tempdir().unwrap();
    let go = go.path().join("go");
    let whole = 20 * MIB;
    let script = format!(
        "{} | head -c {}; until test -e {go:?}; do sleep 0.05; done; {} | tail -c {}",
        numbers(whole),
        15 * MIB,
        numbers(whole),
        5 * MIB,
    );
    let engine = engine(&backend);
    let execution = engine.start(ExecutionRequest::shell(script)).await.unwrap();
    let mut seen = Seen::default();
    let mut follower = backend.client().follow(execution.id(), Position::default());
    while let Some((_, event)) = soon("an event", follower.next()).await.unwrap() {
        if let FleetEvent::Output { bytes, .. } = event {
            seen.take(&bytes);
        }
        if seen.bytes == 15 * MIB {
            std::fs::write(&go, "").unwrap();
        }
    }
    assert_eq!(seen, Seen { bytes: whole, missed: 0 });
    let (_, in_the_log) = size(&fleet, "EXENG_LOG_t_0").await;
    let (_, in_the_other) = size(&fleet, "EXENG_LOG_t_1").await;
    assert!(in_the_log + in_the_other < IN_THE_LOG + MIB, "{in_the_log} {in_the_other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_or_damaged_is_missing_exactly() {
    let fleet = TestFleet::start().await;
    let _worker = fleet.worker("w1").await;
    let cluster = fleet.cluster().await;
    let backend = backend(Arc::clone(&cluster)).await;
    let whole = 30 * MIB;
    let id = run(&backend, &numbers(whole)).await;
    let objects = objects(&cluster, id).await;
    let [lost, cut, changed, ..] = &objects[..] else { panic!("{objects:?}") };
    for message in [message_of(lost, "d"), message_of(cut, "1")] {
        asked(&fleet, "STREAM.PURGE.EXENG_BIG_t", json!({ "filter": message })).await;
    }
    // Another object under its name, whole in itself.
    use execution_engine_fleet::{ObjectKind, ObjectName};
    let name =
        ObjectName { tenant: "t".into(), kind: ObjectKind::Output, name: changed.name.clone() };
    let other = vec![7; changed.size as usize];
    cluster.put_object(&name, &mut &other[..]).await.unwrap();
    let missed = lost.size + cut.size + changed.size;
    let seen = follow(&backend, id).await;
    assert_eq!(seen, Seen { bytes: whole - missed, missed });
    // The same by the events of an engine.
    let mut seen = Seen::default();
    let mut cursor = 0;
    while cursor != u64::MAX {
        for record in soon("records", backend.next(id, cursor)).await.unwrap() {
            cursor = record.cursor;
            match record.event {
                BackendEvent::Output { bytes, .. } => seen.take(&bytes),
                BackendEvent::OutputMissed { bytes, .. } => seen.missed += bytes,
                BackendEvent::Ended(_) => cursor = u64::MAX,
                _ => {}
            }
        }
    }
    assert_eq!(seen, Seen { bytes: whole - missed, missed });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_goes_on_when_there_is_no_room_for_its_output() {
    // On three servers the leader must refuse what would be too much, before the others have it.
    let fleet = TestFleet::large(3, 16 * MIB).await;
    let give_up_after = Duration::from_secs(1);
    let large = LargeOutput { give_up_after, ..LargeOutput::default() };
    let _worker = fleet.worker_for("w1", Signer::unsigned(), large).await;
    let backend = backend(fleet.cluster().await).await;
    let whole = 48 * MIB;
    let id = run(&backend, &numbers(whole)).await;
    let seen = follow(&backend, id).await;
    assert_eq!(seen.bytes + seen.missed, whole, "{seen:?}");
    assert!(seen.bytes >= 16 * MIB && seen.missed >= 16 * MIB, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_others_stay_in_a_small_log() {
    let fleet = TestFleet::start().await;
    for shard in 0..2 {
        let stream = format!("EXENG_LOG_t_{shard}");
        let info = asked(&fleet, &format!("STREAM.INFO.{stream}"), json!({})).await;
        let mut config = info["config"].clone();
        config["max_bytes"] = json!(12 * MIB);
        asked(&fleet, &format!("STREAM.UPDATE.{stream}"), config).await;
    }
    let _worker = fleet.worker("w1").await;
    let backend = backend(fleet.cluster().await).await;
    // With two streams, some of these are in that of the large one.
    let mut others = BTreeMap::new();
    for lines in 1..=6 {
        others.insert(run(&backend, &numbers(LINE * lines)).await, LINE * lines);
    }
    let whole = 32 * MIB;
    let id = run(&backend, &numbers(whole)).await;
    for (other, bytes) in others {
        assert_eq!(follow(&backend, other).await, Seen { bytes, missed: 0 });
    }
    assert_eq!(follow(&backend, id).await, Seen { bytes: whole, missed: 0 });
}

/// Passes connections on to a server, while it may.
async fn proxy(server: SocketAddr, open: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut open = open.clone();
            tokio::spawn(async move {
                if !*open.borrow() {
                    return;
                }
                let mut far = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _closed = copy_bidirectional(&mut near, &mut far) => {}
                    _closed = open.wait_for(|open| !open) => {}
                }
            });
        }
    });
    address
}

/// Reads an execution to its end, and is cut off in the middle of what lies in objects.
async fn read_cut_off(
    near: &FleetBackend,
    id: Uuid,
    door: &watch::Sender<bool>,
    ended: &Path,
) -> Seen {
    let away: u64 = std::env::var("FLEET_DISCONNECTED_S").map_or(2, |text| text.parse().unwrap());
    let (mut seen, mut cursor, mut failures, mut was_away) = (Seen::default(), 0, 0, false);
    let deadline = tokio::time::Instant::now() + PATIENCE * 3 + Duration::from_secs(away * 2);
    'reading: loop {
        assert!(tokio::time::Instant::now() < deadline, "{seen:?}");
        let records = match near.next(id, cursor).await {
            Ok(records) => records,
            Err(error) => {
                assert!(matches!(error, ExecutionError::Backend { .. }), "{error}");
                failures += 1;
                if failures == 1 {
                    // Until the program has written all, and for so long at least.
                    pause(Duration::from_secs(away)).await;
                    test_support::until("the program ends", || ended.exists()).await;
                    door.send_replace(true);
                }
                continue;
            }
        };
        for record in records {
            cursor = record.cursor;
            match record.event {
                BackendEvent::Output { bytes, .. } => seen.take(&bytes),
                BackendEvent::OutputMissed { bytes, .. } => seen.missed += bytes,
                BackendEvent::Ended(_) => break 'reading,
                _ => {}
            }
        }
        // In the middle of what lies in objects.
        if seen.bytes > IN_THE_LOG + MIB && !std::mem::replace(&mut was_away, true) {
            door.send_replace(false);
        }
    }
    assert!(failures > 0, "it was never cut off");
    seen
}

/// Reads to a cursor in the middle, and goes on there in what is another process for the fleet.
async fn read_by_two(fleet: &TestFleet, id: Uuid) -> Seen {
    let other = backend(fleet.cluster().await).await;
    let (mut seen, mut at) = (Seen::default(), 0);
    while seen.bytes < IN_THE_LOG + 5 * MIB {
        for record in soon("records", other.next(id, at)).await.unwrap() {
            at = record.cursor;
            if let BackendEvent::Output { bytes, .. } = &record.event {
                seen.take(bytes);
            }
        }
    }
    let anew = backend(fleet.cluster().await).await;
    'rest: loop {
        for record in soon("records", anew.next(id, at)).await.unwrap() {
            assert!(record.cursor > at);
            at = record.cursor;
            match record.event {
                BackendEvent::Output { bytes, .. } => seen.take(&bytes),
                BackendEvent::Ended(_) => break 'rest,
                _ => {}
            }
        }
    }
    seen
}

/// For a minute with `FLEET_DISCONNECTED_S=60`.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_cut_off_goes_on_at_its_cursor() {
    let fleet = TestFleet::start().await;
    let _worker = fleet.worker("w1").await;
    let address = fleet.servers.urls()[0].trim_start_matches("nats://").parse().unwrap();
    let (door, open) = watch::channel(true);
    let through = format!("nats://{}", proxy(address, open).await);
    // Short, so that calls fail while it is cut off.
    let patience = Duration::from_secs(1);
    let options = ServerOptions { patience, ..ServerOptions::new([through]) };
    let near = backend(Arc::new(NatsCluster::connect(&options).await.unwrap())).await;
    let far = backend(fleet.cluster().await).await;
    let ended = tempfile::tempdir().unwrap();
    let ended = ended.path().join("ended");
    let whole = 40 * MIB;
    let script = format!("{}; touch {ended:?}", numbers(whole));
    let engine = engine(&far);
    let execution = engine.start(ExecutionRequest::shell(script)).await.unwrap();
    let seen = read_cut_off(&near, execution.id(), &door, &ended).await;
    assert_eq!(seen, Seen { bytes: whole, missed: 0 });
    let seen = read_by_two(&fleet, execution.id()).await;
    assert_eq!(seen, Seen { bytes: whole, missed: 0 });
}
