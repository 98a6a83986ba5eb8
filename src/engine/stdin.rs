//! The engine's methods for those who write to a program.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;

use super::ExecutionEngine;
use crate::error::{ExecutionError, Result};
use crate::execution::{ActiveExecution, StdinUnavailable};
use crate::store::ExecutionEntry;

/// How much is read at once of what is passed on to a program.
const STDIN_CHUNK: usize = 64 * 1024;

impl ExecutionEngine {
    /// Passes bytes on to a program whose [`stdin`](crate::ExecutionOptions::stdin) is
    /// [`Piped`](crate::StdinSource::Piped), and waits until its pipe has taken them: how many it has taken.
    /// Those are all, unless the program reads no more or ends, which is no error.
    ///
    /// Calls are carried out one after the other, so one that waits for its turn and is neither polled nor
    /// dropped holds up those behind it. Cancel safe in so far as nothing breaks: dropped half-way, the bytes
    /// may be written all the same.
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::AlreadyEnded`] if it has
    /// ended, [`ExecutionError::StdinNotPiped`] if it reads something else,
    /// [`ExecutionError::StdinClosed`] after [`close_stdin`](Self::close_stdin).
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let options = ExecutionOptions::default().stdin(crate::StdinSource::Piped);
    /// let id = engine.execute_with(ExecutionRequest::program("cat"), options).await?;
    /// engine.write_stdin(id, "hello\n").await?;
    /// engine.close_stdin(id).await?;
    /// assert_eq!(engine.wait_for_completion(id).await?.stdout, "hello\n");
    /// # Ok(()) }
    /// ```
    pub async fn write_stdin(&self, id: Uuid, bytes: impl Into<Bytes>) -> Result<usize> {
        let live = self.live_for_stdin(id)?;
        live.stdin().write(bytes.into()).await.map_err(|refused| stdin_refused(refused, id))
    }

    /// Passes on all that `reader` gives, at the program's pace, and says how many bytes the program's
    /// pipe has taken. It ends with the reader, with the execution, or when the program reads no more, which
    /// shows when there is something to pass on. The program can still be written to; tell it that there is no
    /// more with [`close_stdin`](Self::close_stdin).
    ///
    /// # Errors
    /// As [`write_stdin`](Self::write_stdin), and [`ExecutionError::StdinSource`] if reading fails.
    pub async fn pipe_stdin(
        &self,
        id: Uuid,
        reader: impl tokio::io::AsyncRead + Send,
    ) -> Result<u64> {
        let live = self.live_for_stdin(id)?;
        let mut reader = std::pin::pin!(reader);
        let mut passed_on = 0;
        loop {
            let mut chunk = BytesMut::with_capacity(STDIN_CHUNK);
            let read = tokio::select! {
                biased;
                // A reader may wait for ever, for a person who types.
                _ended = live.ended() => return Ok(passed_on),
                read = reader.read_buf(&mut chunk) => read,
            };
            let count =
                read.map_err(|error| ExecutionError::StdinSource { id, source: error.into() })?;
            if count == 0 {
                return Ok(passed_on);
            }
            let written = live.stdin().write(chunk.freeze()).await;
            let written = written.map_err(|refused| stdin_refused(refused, id))?;
            passed_on += written as u64;
            if written < count {
                return Ok(passed_on);
            }
        }
    }

    /// Tells a program that reads what is [written](Self::write_stdin) that there is no more. What was
    /// written before is passed on first.
    ///
    /// # Errors
    /// As [`write_stdin`](Self::write_stdin).
    pub async fn close_stdin(&self, id: Uuid) -> Result<()> {
        let live = self.live_for_stdin(id)?;
        live.stdin().close().map_err(|refused| stdin_refused(refused, id))
    }

    fn live_for_stdin(&self, id: Uuid) -> Result<Arc<ActiveExecution>> {
        match self.entry(id)? {
            ExecutionEntry::Active(live) => Ok(live),
            ExecutionEntry::Ended(record) => {
                Err(ExecutionError::AlreadyEnded { id, status: record.status() })
            }
        }
    }
}

fn stdin_refused(refused: StdinUnavailable, id: Uuid) -> ExecutionError {
    match refused {
        StdinUnavailable::NotPiped => ExecutionError::StdinNotPiped(id),
        StdinUnavailable::Closed => ExecutionError::StdinClosed(id),
    }
}
