//! What a running program reads: given bytes, or what users pass on while it runs.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::types::StdinSource;

/// The users' end: open, closed, or never there.
#[derive(Debug)]
pub(crate) struct StdinWriter(Mutex<WriterState>);

#[derive(Debug)]
enum WriterState {
    NotPiped,
    Open(mpsc::Sender<StdinChunk>),
    Closed,
}

/// Why nothing can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StdinUnavailable {
    NotPiped,
    Closed,
}

/// The program's end, until it is fed.
#[derive(Debug)]
pub(crate) enum StdinFeed {
    /// It needs none.
    Nothing,
    Bytes(Bytes),
    Chunks(mpsc::Receiver<StdinChunk>),
}

/// Some bytes on their way to the program.
#[derive(Debug)]
pub(crate) struct StdinChunk {
    bytes: Bytes,
    written: WriteReport,
}

/// Tells, whatever happens to the portion, how much of it was written.
#[derive(Debug)]
struct WriteReport {
    count: usize,
    reply: Option<oneshot::Sender<usize>>,
}

impl Drop for WriteReport {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            // Whoever wrote may have gone meanwhile.
            let _nobody = reply.send(self.count);
        }
    }
}

/// Both ends for a source.
pub(crate) fn stdin_pair(source: &StdinSource) -> (StdinWriter, StdinFeed) {
    let (end, feed) = match source {
        StdinSource::Null | StdinSource::File { .. } => (WriterState::NotPiped, StdinFeed::Nothing),
        StdinSource::Bytes { data } => (WriterState::NotPiped, StdinFeed::Bytes(data.clone())),
        StdinSource::Piped => {
            let (sender, receiver) = mpsc::channel(1);
            (WriterState::Open(sender), StdinFeed::Chunks(receiver))
        }
    };
    (StdinWriter(Mutex::new(end)), feed)
}

impl StdinWriter {
    /// Passes bytes on and says how many of them the program's pipe took: all, unless the program
    /// reads no more. Dropped half-way, they may be written all the same.
    pub(crate) async fn write(&self, bytes: Bytes) -> Result<usize, StdinUnavailable> {
        let sender = match &*self.lock() {
            WriterState::Open(sender) => sender.clone(),
            WriterState::NotPiped => return Err(StdinUnavailable::NotPiped),
            WriterState::Closed => return Err(StdinUnavailable::Closed),
        };
        let (reply, answer) = oneshot::channel();
        let portion = StdinChunk { bytes, written: WriteReport { count: 0, reply: Some(reply) } };
        let sent = sender.send(portion).await;
        // While it is there the input is not closed, and nobody may poll this any more.
        drop(sender);
        match sent {
            Ok(()) => Ok(answer.await.unwrap_or(0)),
            Err(_) => Ok(0),
        }
    }

    /// The program reads to the end of what was written, and then the end.
    pub(crate) fn close(&self) -> Result<(), StdinUnavailable> {
        let mut end = self.lock();
        match *end {
            WriterState::NotPiped => Err(StdinUnavailable::NotPiped),
            WriterState::Closed => Err(StdinUnavailable::Closed),
            WriterState::Open(_) => {
                *end = WriterState::Closed;
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, WriterState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program being fed; dropped, it is fed no more.
#[derive(Debug)]
pub(super) struct StdinFeeder(JoinHandle<()>);

impl Drop for StdinFeeder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl StdinFeed {
    /// Feeds the program through its pipe, beside everything else. Must be called on the driver.
    pub(super) fn into(self, pipe: Option<OwnedFd>) -> io::Result<Option<StdinFeeder>> {
        let Some(pipe) = pipe else { return Ok(None) };
        let pipe = pipe::Sender::from_owned_fd_unchecked(pipe)?;
        Ok(Some(StdinFeeder(tokio::spawn(self.feed(pipe)))))
    }

    /// A program that reads no more, or has ended, is no failure: what is left is not written.
    async fn feed(self, mut pipe: pipe::Sender) {
        match self {
            Self::Nothing => {}
            Self::Bytes(bytes) => {
                let _closed = pipe.write_all(&bytes).await;
            }
            Self::Chunks(mut portions) => {
                while let Some(mut portion) = portions.recv().await {
                    if portion.write(&mut pipe).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl StdinChunk {
    async fn write(&mut self, pipe: &mut pipe::Sender) -> io::Result<()> {
        while self.written.count < self.bytes.len() {
            self.written.count += pipe.write(&self.bytes[self.written.count..]).await?;
        }
        Ok(())
    }
}
