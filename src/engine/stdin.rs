//! Writing to the standard input of a program, by the id of its execution.

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;

use super::{ExecutionEngine, ExecutionStdin};
use crate::error::{ExecutionError, Result};

/// Bytes read from a reader at a time.
const STDIN_CHUNK: usize = 64 * 1024;

impl ExecutionEngine {
    /// Writes bytes to a program whose [`stdin`](crate::ExecutionOptions::stdin) is
    /// [`Piped`](crate::StdinSource::Piped), waits until its pipe has taken them, and returns how
    /// many it has taken: all, unless the program reads no more or ends, which is not an error.
    ///
    /// Calls are carried out one after the other.
    ///
    /// ```
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
    /// let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    /// let id = engine.execute_with(ExecutionRequest::program("cat"), options).await?;
    /// engine.write_stdin(id, "hello\n").await?;
    /// engine.close_stdin(id).await?;
    /// assert_eq!(engine.wait_for_completion(id).await?.stdout, "hello\n");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ExecutionError::NotFound`] for an unknown id, [`ExecutionError::AlreadyEnded`] if it has
    /// ended, [`ExecutionError::StdinNotPiped`] if it reads something else,
    /// [`ExecutionError::StdinClosed`] after [`close_stdin`](Self::close_stdin).
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped future may have written none, some or all of its bytes, and the
    /// rest may still be written. A future that is kept without being polled blocks later writes.
    pub async fn write_stdin(&self, id: Uuid, bytes: impl Into<Bytes>) -> Result<usize> {
        self.stdin(id).await?.write(bytes).await
    }

    /// Writes everything that `reader` yields, at the program's pace, and returns how many bytes
    /// the program's pipe has taken.
    ///
    /// It returns at the end of the reader, with the execution, or when the program reads no more
    /// or its input is [closed](Self::close_stdin), which is noticed at the next write. Otherwise
    /// the input stays open.
    ///
    /// # Errors
    /// Those of [`write_stdin`](Self::write_stdin) if nothing has been written, and
    /// [`ExecutionError::StdinSource`] with the number of bytes written so far if reading fails.
    ///
    /// # Cancel safety
    /// Not cancel safe: what was read from the reader may be lost or only written in part.
    pub async fn pipe_stdin(
        &self,
        id: Uuid,
        reader: impl tokio::io::AsyncRead + Send,
    ) -> Result<u64> {
        let stdin = self.stdin(id).await?;
        let mut reader = std::pin::pin!(reader);
        let mut total = 0;
        loop {
            let mut chunk = BytesMut::with_capacity(STDIN_CHUNK);
            let read = tokio::select! {
                biased;
                // A reader may wait without end, for a person that types.
                _ended = stdin.active().ended() => return Ok(total),
                read = reader.read_buf(&mut chunk) => read,
            };
            let count = read.map_err(|error| ExecutionError::StdinSource {
                id,
                written: total,
                source: error.into(),
            })?;
            if count == 0 {
                return Ok(total);
            }
            let written = match stdin.write(chunk.freeze()).await {
                Ok(written) => written,
                // It ended between the read and the write.
                Err(ExecutionError::AlreadyEnded { .. }) => return Ok(total),
                // Closed half-way: the caller needs the count of what was written before.
                Err(ExecutionError::StdinClosed(_)) if total > 0 => return Ok(total),
                Err(error) => return Err(error),
            };
            total += written as u64;
            if written < count {
                return Ok(total);
            }
        }
    }

    /// Closes the input of a program: it reads what was [written](Self::write_stdin) before, and
    /// then the end.
    ///
    /// # Errors
    /// Those of [`write_stdin`](Self::write_stdin).
    pub async fn close_stdin(&self, id: Uuid) -> Result<()> {
        self.stdin(id).await?.close().await
    }

    async fn stdin(&self, id: Uuid) -> Result<ExecutionStdin> {
        self.active(id).await.map(ExecutionStdin::new)
    }
}
