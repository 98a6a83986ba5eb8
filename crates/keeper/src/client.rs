use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use execution_engine::Limits;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::notices::NoticeQueue;
use crate::protocol::{Answer, Call, CallFrame, ClientHello, HelloFrame, KeeperFrame, StartCall};
use crate::{
    ErrorCode, KeeperError, KeeperHello, Listed, Notice, PROTOCOL, RefusedLimit, StartAnswer,
    StartSpec, directory, frame, socket,
};

/// Longest time that a keeper may take for its greeting.
const HELLO_LIMIT: Duration = Duration::from_secs(30);
/// Calls that wait to be written.
const CALLS: usize = 64;

/// A connection to a keeper.
///
/// Clones share it. It ends when the keeper dies or drops it; make another one then. The keeper carries out a call that
/// it has received even if the connection or the future of the call is gone.
///
/// ```no_run
/// use execution_engine::{ExecutionOptions, ExecutionRequest};
/// use execution_engine_keeper::{KeeperClient, KeeperError, Notice, StartSpec};
///
/// # async fn example(dir: &std::path::Path) -> Result<(), KeeperError> {
/// let client = KeeperClient::connect(dir).await?;
/// let notices = client.notices();
/// let request = ExecutionRequest::shell("make").working_dir("/src").env("PATH", "/usr/bin:/bin");
/// let id = request.id;
/// client.start(&StartSpec { request, options: ExecutionOptions::default() }).await?;
/// while let Some(notice) = notices.next().await {
///     if notice.id() == id && matches!(notice, Notice::Ended { .. }) {
///         // Keep what its journal has, then:
///         client.forget(id).await?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct KeeperClient(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    hello: KeeperHello,
    next_call: AtomicU64,
    frames: mpsc::Sender<Vec<u8>>,
    pending: Arc<Pending>,
    notices: Arc<NoticeQueue>,
    reader: tokio::task::JoinHandle<()>,
}

/// Calls without an answer; `None` when the connection is gone.
#[derive(Debug)]
struct Pending(Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>);

impl Drop for Shared {
    fn drop(&mut self) {
        self.reader.abort();
        self.notices.close();
    }
}

/// News of a keeper, see [`KeeperClient::notices`].
#[derive(Debug, Clone)]
pub struct Notices(Arc<NoticeQueue>);

impl Notices {
    /// Waits for the next notice. `None` when the connection is gone and all of them are read.
    ///
    /// A reader that is slow gets the latest notice of each execution. Each notice goes to one reader.
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses nothing.
    pub async fn next(&self) -> Option<Notice> {
        self.0.take_one().await
    }
}

impl KeeperClient {
    /// Connects to the keeper in a directory.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Io`] if no process listens there, [`KeeperError::Protocol`] if it is no keeper.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves no connection behind.
    pub async fn connect(dir: &Path) -> Result<Self, KeeperError> {
        let path = directory::socket(dir);
        let stream = socket::connect(&path).await.map_err(KeeperError::io("connect to", &path))?;
        let (mut from, mut to) = stream.into_split();
        let greeting = tokio::time::timeout(HELLO_LIMIT, greet(dir, &mut from, &mut to)).await;
        let hello = greeting.unwrap_or_else(|_elapsed| {
            Err(protocol(dir, format!("no greeting within {} s", HELLO_LIMIT.as_secs())))
        })?;
        let (frames, outgoing) = mpsc::channel(CALLS);
        let pending = Arc::new(Pending(Mutex::new(Some(HashMap::new()))));
        let notices = Arc::new(NoticeQueue::default());
        tokio::spawn(write_calls(to, outgoing));
        let reader = tokio::spawn(read_frames(from, Arc::clone(&pending), Arc::clone(&notices)));
        let dir = dir.to_path_buf();
        let next_call = AtomicU64::new(1);
        Ok(Self(Arc::new(Shared { dir, hello, next_call, frames, pending, notices, reader })))
    }

    /// Returns the greeting of the keeper.
    #[must_use]
    pub fn hello(&self) -> &KeeperHello {
        &self.0.hello
    }

    /// Returns the directory of the keeper.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Returns the news of the keeper since the connection was made. What was before it tells [`list`](Self::list).
    #[must_use]
    pub fn notices(&self) -> Notices {
        Notices(Arc::clone(&self.0.notices))
    }

    /// Starts an execution, unless the keeper knows its id.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Refused`] with [`Draining`](crate::ErrorCode::Draining),
    /// [`Stopping`](crate::ErrorCode::Stopping) or [`JournalFailed`](crate::ErrorCode::JournalFailed): nothing was
    /// started, and the keeper does not know the execution. [`KeeperError::TooLarge`] and
    /// [`KeeperError::Disconnected`].
    ///
    /// # Cancel safety
    ///
    /// Once polled, it may be started even if the future is dropped; asking again is safe.
    pub async fn start(&self, spec: &StartSpec) -> Result<StartAnswer, KeeperError> {
        match self.call(StartCall { spec }).await? {
            Answer::Start { answer } => Ok(answer),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Asks which of these limits programs of the keeper cannot have: the first, or `None`. It may be in another control
    /// group than the caller.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Refused`] with [`UnknownCall`](crate::ErrorCode::UnknownCall) by an older keeper, and
    /// [`KeeperError::Disconnected`].
    pub async fn check_limits(&self, limits: Limits) -> Result<Option<RefusedLimit>, KeeperError> {
        match self.call(Call::CheckLimits { limits }).await? {
            Answer::Limits { refused } => Ok(refused),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Forgets an execution that has ended, and removes its journal. One that is not known is forgotten already.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Refused`] with [`StillRunning`](crate::ErrorCode::StillRunning) or
    /// [`RemoveFailed`](crate::ErrorCode::RemoveFailed), and [`KeeperError::Disconnected`].
    pub async fn forget(&self, id: Uuid) -> Result<(), KeeperError> {
        self.call(Call::Forget { id }).await.and_then(|answer| self.done(&answer))
    }

    /// Lists the executions that the keeper knows, by id.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Disconnected`].
    pub async fn list(&self) -> Result<Vec<Listed>, KeeperError> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|last: &Listed| last.id);
            match self.call(Call::List { after }).await? {
                Answer::List { executions, more } => {
                    let is_last = !more || executions.is_empty();
                    all.extend(executions);
                    if is_last {
                        return Ok(all);
                    }
                }
                other => return Err(self.unexpected(&other)),
            }
        }
    }

    /// Lets the keeper take no more work, and end when all it has is forgotten.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Disconnected`].
    pub async fn drain(&self) -> Result<(), KeeperError> {
        self.call(Call::Drain).await.and_then(|answer| self.done(&answer))
    }

    /// Lets the keeper stop all it runs, and end when all of it is forgotten.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Disconnected`].
    pub async fn shutdown(&self) -> Result<(), KeeperError> {
        self.call(Call::Shutdown).await.and_then(|answer| self.done(&answer))
    }

    /// Makes a call and waits for its answer. Errors of the keeper are errors here.
    pub(crate) async fn call(&self, call: impl Serialize) -> Result<Answer, KeeperError> {
        let id = self.0.next_call.fetch_add(1, Ordering::Relaxed);
        let bytes = frame::encode(&CallFrame { id, call })
            .map_err(|bytes| KeeperError::TooLarge { bytes })?;
        let (sender, answer) = oneshot::channel();
        match &mut *self.0.pending.0.lock() {
            Some(calls) => calls.insert(id, sender),
            None => return Err(KeeperError::Disconnected),
        };
        // A dropped call gives its place back.
        let _place = Place { pending: &self.0.pending, id };
        self.0.frames.send(bytes).await.map_err(|_closed| KeeperError::Disconnected)?;
        match answer.await {
            Ok(Answer::Error { code, message }) => Err(KeeperError::Refused { code, message }),
            Ok(answer) => Ok(answer),
            Err(_closed) => Err(KeeperError::Disconnected),
        }
    }

    fn done(&self, answer: &Answer) -> Result<(), KeeperError> {
        match answer {
            Answer::Done | Answer::Unknown => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    /// Returns the error for an answer that belongs to another call.
    pub(crate) fn unexpected(&self, answer: &Answer) -> KeeperError {
        protocol(&self.0.dir, format!("an answer to another call: {answer:?}"))
    }
}

struct Place<'a> {
    pending: &'a Pending,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(calls) = &mut *self.pending.0.lock() {
            calls.remove(&self.id);
        }
    }
}

fn protocol(dir: &Path, reason: String) -> KeeperError {
    KeeperError::Protocol { dir: dir.to_path_buf(), reason }
}

async fn greet(
    dir: &Path,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> Result<KeeperHello, KeeperError> {
    let io = |error| KeeperError::io("greet", &directory::socket(dir))(error);
    let hello = ClientHello { protocol: PROTOCOL, build: crate::build_id() };
    let bytes = frame::encode(&HelloFrame { hello });
    let bytes = bytes.map_err(|bytes| KeeperError::TooLarge { bytes })?;
    to.write_all(&bytes).await.map_err(io)?;
    let bytes = frame::read(from).await.map_err(io)?.ok_or(KeeperError::Disconnected)?;
    let read = serde_json::from_slice::<HelloFrame<KeeperHello>>(&bytes);
    read.map(|frame| frame.hello).map_err(|error| protocol(dir, error.to_string()))
}

/// Writes calls until the client is gone or the keeper is.
async fn write_calls(mut to: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = outgoing.recv().await {
        if to.write_all(&bytes).await.is_err() {
            // The reader sees it, too.
            return;
        }
    }
}

/// Hands out answers and notices until the connection is gone.
async fn read_frames(mut from: OwnedReadHalf, pending: Arc<Pending>, notices: Arc<NoticeQueue>) {
    while let Ok(Some(bytes)) = frame::read(&mut from).await {
        match read_frame(&bytes) {
            Some(KeeperFrame::Answer { id, answer }) => {
                let waiting = pending.0.lock().as_mut().and_then(|calls| calls.remove(&id));
                if let Some(waiting) = waiting {
                    // The caller may have dropped its future.
                    let _unread = waiting.send(answer);
                }
            }
            Some(KeeperFrame::Notice { notice }) => notices.push(notice),
            None => tracing::debug!("a frame of a later version"),
        }
    }
    // Dropping the senders tells those who wait.
    *pending.0.lock() = None;
    notices.close();
}

/// Reads a frame. `None` for a notice that this version does not know; an answer that it does not know is an error for
/// the caller who waits for it.
fn read_frame(bytes: &[u8]) -> Option<KeeperFrame> {
    if let Ok(frame) = serde_json::from_slice(bytes) {
        return Some(frame);
    }
    let AnyFrame { id } = serde_json::from_slice(bytes).ok()?;
    let message = "the keeper gave an answer that this version cannot read".to_string();
    Some(KeeperFrame::Answer { id, answer: Answer::Error { code: ErrorCode::Unknown, message } })
}

#[derive(Deserialize)]
struct AnyFrame {
    id: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_of_a_later_version_is_an_error_for_its_caller() {
        let frame = read_frame(br#"{"id": 4, "answer": {"type": "of_tomorrow"}}"#);
        let Some(KeeperFrame::Answer { id: 4, answer: Answer::Error { code, .. } }) = frame else {
            panic!("{frame:?}")
        };
        assert_eq!(code, ErrorCode::Unknown);
        assert!(read_frame(br#"{"notice": {"type": "of_tomorrow"}}"#).is_none());
        let known = read_frame(br#"{"id": 4, "answer": {"type": "done"}}"#);
        assert!(matches!(known, Some(KeeperFrame::Answer { id: 4, answer: Answer::Done })));
    }
}
