//! Executions that go to another service: records and journals.

use std::io;

use bytes::Bytes;
use execution_engine_journal::ReadAt as _;
use execution_engine_store::{StoreError, StoredOutput};
use uuid::Uuid;

use super::Service;
use super::ending::blocking;
use super::errors::{internal, not_ended, unknown};
use super::inner::Inner;
use crate::error::{ErrorCode, ServiceError};
use crate::view::Record;

/// Most bytes of a piece of a journal.
const PIECE: usize = 1 << 20;

impl Service {
    /// Returns an execution as it is stored. It has names of variables and no values.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution).
    pub async fn record(&self, id: Uuid) -> Result<Record, ServiceError> {
        let inner = self.inner();
        let execution = inner.store.get(id).await?.ok_or_else(|| unknown(id))?;
        let journal = match execution.is_ended() {
            true => inner.kept_journal(id).await?,
            false => None,
        };
        Ok(Record { execution, journal_bytes: journal.map_or(0, |journal| journal.end()) })
    }

    /// Returns a piece of the journal of an execution that has ended, from an offset on: at most 1 MiB, and nothing
    /// at the end.
    ///
    /// # Errors
    /// [`UnknownExecution`](crate::ErrorCode::UnknownExecution), [`NotEnded`](crate::ErrorCode::NotEnded),
    /// [`OutputGone`](crate::ErrorCode::OutputGone).
    pub async fn journal(&self, id: Uuid, offset: u64) -> Result<Bytes, ServiceError> {
        let inner = self.inner();
        let execution = inner.store.get(id).await?.ok_or_else(|| unknown(id))?;
        if !execution.is_ended() {
            return Err(not_ended(id));
        }
        let Some(journal) = inner.kept_journal(id).await? else {
            let text = format!("the output of execution {id} is no longer kept");
            return Err(ServiceError::new(ErrorCode::OutputGone, text));
        };
        blocking(move || {
            let mut piece = vec![0; PIECE];
            let mut length = 0;
            while length < PIECE {
                let at = offset.saturating_add(length as u64);
                match journal.read_at(at, &mut piece[length..]).map_err(internal)? {
                    0 => break,
                    count => length += count,
                }
            }
            piece.truncate(length);
            Ok(piece.into())
        })
        .await
    }
}

impl Inner {
    /// Returns the journal of an execution that has ended; None if it is no longer kept.
    async fn kept_journal(&self, id: Uuid) -> Result<Option<StoredOutput>, ServiceError> {
        match self.store.output(id).await {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            journal => Ok(journal?),
        }
    }
}
