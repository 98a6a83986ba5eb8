use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::calls;
use super::keeper::{Client, Keeper};
use crate::notices::NoticeQueue;
use crate::protocol::{Answer, ClientHello, ErrorCode, HelloFrame, KeeperFrame};
use crate::{KeeperHello, PROTOCOL, frame};

/// Clients at a time.
const MAX_CLIENTS: usize = 256;
/// Calls of one client that have no answer yet, or whose answer it has not read.
const MAX_CALLS: usize = 64;
/// Longest time that a client may take for its greeting.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// Longest time that a client may take for its last answers.
pub(super) const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Pause after the system has refused a connection, for example because there is no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves clients until the keeper ends and their answers are written.
pub(super) async fn accept(keeper: Arc<Keeper>, listener: UnixListener) {
    let mut end = keeper.shared.end_of_connections();
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut end) => break,
            Some(_) = clients.join_next() => {}
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                Ok((stream, _)) => {
                    clients.spawn(serve(Arc::clone(&keeper), stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep_until(Instant::now() + ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while clients.join_next().await.is_some() {}
}

/// Waits until connections shall end. Cancel safe.
async fn told(end: &mut watch::Receiver<bool>) {
    // Without a sender there is no keeper.
    let _end = end.wait_for(|end| *end).await;
}

async fn serve(keeper: Arc<Keeper>, stream: UnixStream) {
    if let Err(error) = converse(&keeper, stream).await {
        tracing::warn!(%error, "a client was dropped");
    }
}

/// Serves one client until it or the keeper ends.
async fn converse(keeper: &Arc<Keeper>, stream: UnixStream) -> io::Result<()> {
    check_user(&stream)?;
    let (mut from, to) = stream.into_split();
    let hello = timeout(HELLO_LIMIT, read_hello(&mut from)).await;
    let Some(hello) = hello.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))? else {
        return Ok(());
    };
    // Before the answer: what happens after it is told.
    let mut client = keeper.shared.add_client();
    let (answers, outgoing) = mpsc::channel(MAX_CALLS + 1);
    let hello = KeeperHello {
        protocol: PROTOCOL.min(hello.protocol),
        build: keeper.options.build.clone(),
        pid: std::process::id(),
        draining: keeper.shared.is_draining() || keeper.shared.is_stopping(),
    };
    let bytes = frame::encode(&HelloFrame { hello }).map_err(|_| io::ErrorKind::InvalidData)?;
    let first = Outgoing { bytes, _permit: None };
    // There is room for it.
    let _room = answers.send(first).await;
    let mut writer = tokio::spawn(write(to, outgoing, Arc::clone(&client.notices)));
    let read = read_calls(keeper, &mut from, &mut client, answers).await;
    // It is no client any more; answers to its calls are written all the same.
    drop(client);
    if read.is_err() || timeout(LAST_ANSWERS, &mut writer).await.is_err() {
        writer.abort();
    }
    read
}

/// Refuses other users. The directory is closed to them, and root may give a descriptor away.
fn check_user(stream: &UnixStream) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    let own = rustix::process::geteuid().as_raw();
    match peer == own || peer == 0 {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("it belongs to user {peer}, and this keeper to user {own}"),
        )),
    }
}

async fn read_hello(from: &mut OwnedReadHalf) -> io::Result<Option<ClientHello>> {
    let Some(bytes) = frame::read(from).await? else { return Ok(None) };
    match serde_json::from_slice::<HelloFrame<ClientHello>>(&bytes) {
        Ok(HelloFrame { hello }) if hello.protocol > 0 => Ok(Some(hello)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "its first frame is no greeting")),
    }
}

/// A frame, and the right to have a call without an answer, which ends when it is written.
struct Outgoing {
    bytes: Vec<u8>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Reads calls and carries them out until the client has no more or the keeper ends.
async fn read_calls(
    keeper: &Arc<Keeper>,
    from: &mut OwnedReadHalf,
    client: &mut Client,
    answers: mpsc::Sender<Outgoing>,
) -> io::Result<()> {
    let calls = Arc::new(Semaphore::new(MAX_CALLS));
    loop {
        let permit = Arc::clone(&calls).acquire_owned();
        let next = async { (permit.await, frame::read(from).await) };
        let (permit, bytes) = tokio::select! {
            () = told(&mut client.end) => return Ok(()),
            next = next => next,
        };
        let Some(bytes) = bytes? else { return Ok(()) };
        let read = calls::read(&bytes);
        let (id, call) = read.map_err(|text| io::Error::new(io::ErrorKind::InvalidData, text))?;
        drop(bytes);
        let (keeper, answers) = (Arc::clone(keeper), answers.clone());
        // A call is carried out whatever becomes of its client.
        tokio::spawn(async move {
            let answer = match call {
                Ok(call) => keeper.answer(call).await,
                Err(refusal) => refusal.into(),
            };
            let outgoing = Outgoing { bytes: encode(id, answer), _permit: permit.ok() };
            // The client may be gone.
            let _unread = answers.send(outgoing).await;
        });
    }
}

fn encode(id: u64, answer: Answer) -> Vec<u8> {
    frame::encode(&KeeperFrame::Answer { id, answer }).unwrap_or_else(|bytes| {
        let message = format!("the answer has {bytes} bytes, which is more than a frame takes");
        let answer = Answer::Error { code: ErrorCode::Unknown, message };
        frame::encode(&KeeperFrame::Answer { id, answer }).unwrap_or_default()
    })
}

/// Writes answers and notices until there are no more answers, or the client is gone.
async fn write(
    mut to: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<Outgoing>,
    notices: Arc<NoticeQueue>,
) {
    let mut has_notices = true;
    loop {
        let written = tokio::select! {
            biased;
            answer = outgoing.recv() => match answer {
                Some(answer) => to.write_all(&answer.bytes).await,
                None => return,
            },
            news = notices.take(), if has_notices => match news {
                Some(news) => write_news(&mut to, news).await,
                None => {
                    has_notices = false;
                    Ok(())
                }
            },
        };
        if written.is_err() {
            return;
        }
    }
}

async fn write_news(to: &mut OwnedWriteHalf, news: Vec<crate::Notice>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for notice in news {
        // A result is far smaller than a frame.
        bytes.extend(frame::encode(&KeeperFrame::Notice { notice }).unwrap_or_default());
        if bytes.len() > 256 * 1024 {
            to.write_all(&bytes).await?;
            bytes.clear();
        }
    }
    to.write_all(&bytes).await
}
