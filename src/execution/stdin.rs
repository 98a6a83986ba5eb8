//! Standard input of a running program: given bytes, or what callers write while it runs.

use std::io;

use bytes::Bytes;
use execution_engine_process::PipeWriter;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::types::StdinSource;

/// The callers' end of a program's input: the channel to the task that feeds the program, or the
/// reason why there is none.
#[derive(Debug)]
pub(crate) struct StdinWriter(Mutex<Result<mpsc::Sender<StdinChunk>, StdinUnavailable>>);

/// Reason why nothing can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StdinUnavailable {
    NotPiped,
    Closed,
}

/// The program's end, until it is written to the pipe.
#[derive(Debug)]
pub(crate) enum StdinFeed {
    Nothing,
    Bytes(Bytes),
    Chunks(mpsc::Receiver<StdinChunk>),
}

/// Bytes on their way to the program. Dropped, also half-way, it reports how many were written.
#[derive(Debug)]
pub(crate) struct StdinChunk {
    bytes: Bytes,
    written: usize,
    reply: Option<oneshot::Sender<usize>>,
}

impl Drop for StdinChunk {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            // The caller may have dropped its future.
            let _unread = reply.send(self.written);
        }
    }
}

/// Returns both ends for a source.
pub(crate) fn stdin_pair(source: &StdinSource) -> (StdinWriter, StdinFeed) {
    let not_piped = Err(StdinUnavailable::NotPiped);
    let (channel, feed) = match source {
        StdinSource::Null | StdinSource::File { .. } | StdinSource::Inherit => {
            (not_piped, StdinFeed::Nothing)
        }
        StdinSource::Bytes { data } => (not_piped, StdinFeed::Bytes(data.clone())),
        StdinSource::Piped => {
            let (sender, receiver) = mpsc::channel(1);
            (Ok(sender), StdinFeed::Chunks(receiver))
        }
    };
    (StdinWriter(Mutex::new(channel)), feed)
}

impl StdinWriter {
    /// Writes bytes and returns how many of them the program's pipe took: all, unless the program
    /// reads no more. Dropped half-way, they may be written all the same.
    pub(crate) async fn write(&self, bytes: Bytes) -> Result<usize, StdinUnavailable> {
        let sender = self.0.lock().clone()?;
        let (reply, answer) = oneshot::channel();
        let chunk = StdinChunk { bytes, written: 0, reply: Some(reply) };
        let sent = sender.send(chunk).await;
        // A sender keeps the input open, and a future may be kept and not polled any more, as
        // `select!` does with one that it has borrowed.
        drop(sender);
        match sent {
            Ok(()) => Ok(answer.await.unwrap_or(0)),
            Err(_) => Ok(0),
        }
    }

    /// Closes the input: the program reads what was written, and then the end.
    pub(crate) fn close(&self) -> Result<(), StdinUnavailable> {
        let mut channel = self.0.lock();
        channel.as_ref().map_err(|reason| *reason)?;
        *channel = Err(StdinUnavailable::Closed);
        Ok(())
    }
}

/// Task that writes the input of a program. Dropping it stops the writing.
#[derive(Debug)]
pub(super) struct StdinFeeder(JoinHandle<()>);

impl Drop for StdinFeeder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl StdinFeed {
    /// Starts to write the input on a task of its own: a program that does not read must not hold
    /// up its supervision. Must be called on a worker, whose threads hold back the SIGPIPE of a
    /// program that ends before it has read everything.
    pub(super) fn start(self, pipe: Option<PipeWriter>) -> io::Result<Option<StdinFeeder>> {
        let Some(mut pipe) = pipe else { return Ok(None) };
        pipe.register()?;
        Ok(Some(StdinFeeder(tokio::spawn(self.feed(pipe)))))
    }

    /// Writes the input. A program that reads no more, or has exited, is no failure: the rest is
    /// not written.
    async fn feed(self, mut pipe: PipeWriter) {
        match self {
            Self::Nothing => {}
            Self::Bytes(bytes) => {
                let _closed = pipe.write_all(&bytes).await;
            }
            Self::Chunks(mut chunks) => {
                while let Some(mut chunk) = chunks.recv().await {
                    if chunk.write(&mut pipe).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl StdinChunk {
    async fn write(&mut self, pipe: &mut PipeWriter) -> io::Result<()> {
        while self.written < self.bytes.len() {
            self.written += pipe.write(&self.bytes[self.written..]).await?;
        }
        Ok(())
    }
}
