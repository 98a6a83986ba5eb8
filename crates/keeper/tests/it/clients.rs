//! Clients that are many, slow, rude or gone.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use execution_engine::*;
use execution_engine_journal::Kind;
use execution_engine_keeper::*;
use test_support::{soon, until};

use crate::support::*;

/// Returns the bytes of a frame.
fn frame(json: &str) -> Vec<u8> {
    [&(json.len() as u32).to_be_bytes()[..], json.as_bytes()].concat()
}

/// Connects without the client of the crate.
fn raw(keeper: &TestKeeper) -> UnixStream {
    let stream = UnixStream::connect(keeper.dir.join("sock")).unwrap();
    stream.set_read_timeout(Some(test_support::PATIENCE)).unwrap();
    stream
}

/// Reads the next frame; `None` at the end.
fn read(stream: &mut UnixStream) -> Option<serde_json::Value> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut bytes).unwrap();
    Some(serde_json::from_slice(&bytes).unwrap())
}

fn greet(stream: &mut UnixStream) {
    stream
        .write_all(&frame(r#"{"hello": {"protocol": 7, "build": "of tomorrow", "new": 1}}"#))
        .unwrap();
    let hello = read(stream).unwrap();
    assert_eq!(hello["hello"]["protocol"], PROTOCOL, "the lower one");
    assert_eq!(hello["hello"]["draining"], false);
}

/// Waits until the keeper has closed a connection.
fn assert_dropped(mut stream: UnixStream, what: &str) {
    // A reset is an end, too: the keeper has not read all that was sent.
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{what}");
    }
}

#[tokio::test]
async fn client_that_sends_garbage_is_dropped_and_others_are_not() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let id = start(&client, "sleep 0.3; echo done").await;
    let huge = (17_u32 * 1024 * 1024).to_be_bytes().to_vec();
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), frame("no json"), frame("{}"), huge] {
        let mut stream = raw(&keeper);
        stream.write_all(&garbage).unwrap();
        assert_dropped(stream, "without a greeting");
        let mut stream = raw(&keeper);
        greet(&mut stream);
        stream.write_all(&garbage).unwrap();
        assert_dropped(stream, "after a greeting");
    }
    // One that says half of something stays, and disturbs no other client.
    let mut half = raw(&keeper);
    greet(&mut half);
    half.write_all(&[0, 0, 1, 0, b'{']).unwrap();
    ended(&notices, id).await;
    assert_eq!(output(&keeper.records(id), Kind::Stdout), b"done\n");
    assert_eq!(client.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn calls_of_another_version_are_answered_with_an_error() {
    let keeper = TestKeeper::start();
    let mut stream = raw(&keeper);
    greet(&mut stream);
    stream.write_all(&frame(r#"{"id": 1, "call": {"type": "of_tomorrow", "x": [1]}}"#)).unwrap();
    let answer = read(&mut stream).unwrap();
    assert_eq!((&answer["id"], &answer["answer"]["code"]), (&1.into(), &"unknown_call".into()));
    stream.write_all(&frame(r#"{"id": 2, "call": {"type": "stop", "id": 5}}"#)).unwrap();
    let answer = read(&mut stream).unwrap();
    assert_eq!((&answer["id"], &answer["answer"]["code"]), (&2.into(), &"invalid_call".into()));
    stream.write_all(&frame(r#"{"id": 3, "call": {"type": "list", "new": 1}}"#)).unwrap();
    let answer = read(&mut stream).unwrap();
    assert_eq!(answer["answer"]["executions"], serde_json::json!([]));
}

/// Writes far more pieces than a socket holds notices. Each is read before the next is written, so
/// that it is a record of its own.
const PIECES: &str = r#"python3 -c '
import array, fcntl, os, termios
unread = array.array("i", [0])
for number in range(3000):
    os.write(1, b"%d\n" % number)
    while fcntl.ioctl(1, termios.FIONREAD, unread) == 0 and unread[0] > 0:
        os.sched_yield()
'"#;

#[tokio::test]
async fn client_that_reads_nothing_delays_nobody_and_gets_the_latest() {
    let keeper = TestKeeper::start();
    let mut stuck = raw(&keeper);
    greet(&mut stuck);
    let client = keeper.connect().await;
    let ids = [run_to_end(&client, PIECES).await, run_to_end(&client, PIECES).await];
    let ends = ids.map(|id| keeper.records(id).last().unwrap().end);
    let mut told = 0;
    let mut last = HashMap::new();
    while last.len() < 2 {
        let frame = read(&mut stuck).unwrap();
        told += 1;
        let notice: Notice = serde_json::from_value(frame["notice"].clone()).unwrap();
        if let Notice::Ended { id, end, .. } = notice {
            last.insert(id, end);
        }
    }
    assert_eq!(ids.map(|id| last[&id]), ends);
    let records: usize = ids.map(|id| keeper.records(id).len()).iter().sum();
    assert!(records > 1000 && told < records, "{told} notices of {records} records");
}

#[tokio::test]
async fn call_is_carried_out_although_its_client_is_gone() {
    let keeper = TestKeeper::start();
    let runs = keeper.state.path().join("runs");
    let spec = shell(format!("echo run >> '{}'", runs.display()));
    let call = serde_json::json!({"id": 1, "call": {"type": "start", "spec": spec}});
    let mut stream = raw(&keeper);
    greet(&mut stream);
    stream.write_all(&frame(&call.to_string())).unwrap();
    drop(stream);
    until("it has run", || runs.exists()).await;
    let client = keeper.connect().await;
    assert_eq!(start_spec(&client, &spec).await, StartAnswer::AlreadyKnown);
}

#[tokio::test]
async fn calls_end_when_the_keeper_dies() {
    let mut keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    keeper.process.kill().unwrap();
    while soon("the end of the notices", notices.next()).await.is_some() {}
    let error = client.list().await.unwrap_err();
    assert!(matches!(error, KeeperError::Disconnected), "{error}");
    let error = KeeperClient::connect(&keeper.dir).await.unwrap_err().to_string();
    assert!(error.contains("sock"), "{error}");
}

#[tokio::test]
async fn request_that_is_too_large_is_refused_before_it_is_sent() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let mut spec = shell("cat");
    spec.options.stdin = StdinSource::bytes("x".repeat(17 * 1024 * 1024));
    let error = client.start(&spec).await.unwrap_err();
    assert!(matches!(error, KeeperError::TooLarge { .. }), "{error}");
    assert_eq!(client.list().await.unwrap(), []);
}

#[tokio::test]
async fn many_clients_list_the_same() {
    let keeper = TestKeeper::start();
    let first = keeper.connect().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(start(&first, "exec sleep 600").await);
    }
    ids.sort_unstable();
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(keeper.connect().await);
    }
    for client in &clients {
        let listed = client.list().await.unwrap();
        assert!(listed.iter().all(|one| one.state == ListedState::Running));
        assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), ids);
    }
}
