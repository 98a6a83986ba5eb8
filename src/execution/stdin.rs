//! What a running program reads: given bytes, or what users pass on while it runs.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::model::StdinSource;

/// The users' end: open, closed, or never there.
#[derive(Debug)]
pub(crate) struct StdinEnd(Mutex<End>);

#[derive(Debug)]
enum End {
    NotPiped,
    Open(mpsc::Sender<Portion>),
    Closed,
}

/// Why nothing can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    NotPiped,
    Closed,
}

/// The program's end, until it is fed.
#[derive(Debug)]
pub(crate) enum Feed {
    /// It needs none.
    Nothing,
    Bytes(Bytes),
    Portions(mpsc::Receiver<Portion>),
}

/// Some bytes on their way to the program.
#[derive(Debug)]
pub(crate) struct Portion {
    bytes: Bytes,
    written: Written,
}

/// Tells, whatever happens to the portion, how much of it was written.
#[derive(Debug)]
struct Written {
    count: usize,
    reply: Option<oneshot::Sender<usize>>,
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            // Whoever wrote may have gone meanwhile.
            let _nobody = reply.send(self.count);
        }
    }
}

/// Both ends for a source.
pub(crate) fn ends_of(source: &StdinSource) -> (StdinEnd, Feed) {
    let (end, feed) = match source {
        StdinSource::Null | StdinSource::File { .. } => (End::NotPiped, Feed::Nothing),
        StdinSource::Bytes { data } => (End::NotPiped, Feed::Bytes(data.clone())),
        StdinSource::Piped => {
            let (sender, receiver) = mpsc::channel(1);
            (End::Open(sender), Feed::Portions(receiver))
        }
    };
    (StdinEnd(Mutex::new(end)), feed)
}

impl StdinEnd {
    /// Passes bytes on and says how many of them the program's pipe took: all, unless the program
    /// reads no more. Dropped half-way, they may be written all the same.
    pub(crate) async fn write(&self, bytes: Bytes) -> Result<usize, Refused> {
        let sender = match &*self.lock() {
            End::Open(sender) => sender.clone(),
            End::NotPiped => return Err(Refused::NotPiped),
            End::Closed => return Err(Refused::Closed),
        };
        let (reply, answer) = oneshot::channel();
        let portion = Portion { bytes, written: Written { count: 0, reply: Some(reply) } };
        let sent = sender.send(portion).await;
        // While it is there the input is not closed, and nobody may poll this any more.
        drop(sender);
        match sent {
            Ok(()) => Ok(answer.await.unwrap_or(0)),
            Err(_) => Ok(0),
        }
    }

    /// The program reads to the end of what was written, and then the end.
    pub(crate) fn close(&self) -> Result<(), Refused> {
        let mut end = self.lock();
        match *end {
            End::NotPiped => Err(Refused::NotPiped),
            End::Closed => Err(Refused::Closed),
            End::Open(_) => {
                *end = End::Closed;
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, End> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program being fed; dropped, it is fed no more.
#[derive(Debug)]
pub(super) struct Feeding(JoinHandle<()>);

impl Drop for Feeding {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Feed {
    /// Feeds the program through its pipe, beside everything else. Must be called on the driver.
    pub(super) fn into(self, pipe: Option<OwnedFd>) -> io::Result<Option<Feeding>> {
        let Some(pipe) = pipe else { return Ok(None) };
        let pipe = pipe::Sender::from_owned_fd_unchecked(pipe)?;
        Ok(Some(Feeding(tokio::spawn(self.feed(pipe)))))
    }

    /// A program that reads no more, or has ended, is no failure: what is left is not written.
    async fn feed(self, mut pipe: pipe::Sender) {
        match self {
            Self::Nothing => {}
            Self::Bytes(bytes) => {
                let _closed = pipe.write_all(&bytes).await;
            }
            Self::Portions(mut portions) => {
                while let Some(mut portion) = portions.recv().await {
                    if portion.write(&mut pipe).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl Portion {
    async fn write(&mut self, pipe: &mut pipe::Sender) -> io::Result<()> {
        while self.written.count < self.bytes.len() {
            self.written.count += pipe.write(&self.bytes[self.written.count..]).await?;
        }
        Ok(())
    }
}
