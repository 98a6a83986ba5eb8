//! Bytes that come from somewhere else at their own pace, read piece by piece.

use std::io::{self, Read};
use std::thread;

use execution_engine_keeper::MAX_INPUT_PIECE;
use tokio::sync::mpsc;

use crate::failure::Failure;

/// Pieces of what a reader yields. At most one of them waits.
pub(crate) struct Pieces(mpsc::Receiver<io::Result<Vec<u8>>>);

impl Pieces {
    /// Begins to read. The thread that reads may wait as long as this process lives; it is never joined.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn read(mut from: impl Read + Send + 'static) -> Result<Self, Failure> {
        let (sender, pieces) = mpsc::channel(1);
        let read = move || {
            let mut piece = vec![0; MAX_INPUT_PIECE];
            loop {
                let read = match from.read(&mut piece) {
                    Ok(0) => return,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read,
                };
                let (is_last, read) = (read.is_err(), read.map(|count| piece[..count].to_vec()));
                if sender.blocking_send(read).is_err() || is_last {
                    return;
                }
            }
        };
        let started = thread::Builder::new().name("exeng input".into()).spawn(read);
        started.map_err(|error| Failure::new(format!("a thread cannot be started: {error}")))?;
        Ok(Self(pieces))
    }

    /// Returns the next piece; None at the end. Cancel safe.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.0.recv().await.transpose()
    }
}
