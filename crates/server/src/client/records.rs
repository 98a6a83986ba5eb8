//! Calls about executions that go from one service to another.

use bytes::Bytes;
use hyper::Method;
use uuid::Uuid;

use super::calls::{Client, json};
use super::error::ClientError;
use super::exchange::Call;
use super::path::of_execution;
use crate::error::ErrorCode;
use crate::http::{INPUT_TYPE, UPLOAD_OFFSET_HEADER};
use crate::view::{ImportAnswer, Record};

/// Most bytes of a journal in one call.
const PIECE: usize = 1 << 20;

impl Client {
    /// Returns an execution as it is stored: with names of variables, and no values.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn record(&self, id: Uuid) -> Result<Record, ClientError> {
        self.get_json(of_execution(&id.to_string(), "/record")).await
    }

    /// Returns a piece of the journal of an execution that has ended, from an offset on; nothing at its end.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none, it has not ended, or its output is no longer kept.
    pub async fn journal(&self, id: Uuid, offset: u64) -> Result<Bytes, ClientError> {
        let path = of_execution(&id.to_string(), &format!("/journal?offset={offset}"));
        Ok(self.call(&Call::new(Method::GET, path)).await?.into_body())
    }

    /// Begins to import an execution.
    pub fn import(&self) -> Import<'_> {
        Import { client: self, upload: Uuid::new_v4(), bytes: 0 }
    }
}

/// An execution on its way into the service, from [`Client::import`]. Nothing is stored of it until its record is there;
/// what was written of the journal of one that is dropped is removed after an hour.
#[derive(Debug)]
pub struct Import<'a> {
    client: &'a Client,
    upload: Uuid,
    bytes: u64,
}

impl Import<'_> {
    /// Writes the next bytes of its journal.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the disk is full.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        for piece in bytes.chunks(PIECE) {
            let mut call = Call::new(Method::PUT, self.path())
                .header(UPLOAD_OFFSET_HEADER, self.bytes.to_string());
            call.body = Bytes::copy_from_slice(piece);
            call.content_type = INPUT_TYPE;
            self.client.call(&call).await?;
            self.bytes += piece.len() as u64;
        }
        Ok(())
    }

    /// Stores the execution. When this returns, it is durable. Returns `false` if it was there before this call.
    ///
    /// # Errors
    /// As [`Service::import`](crate::Service::import), as [`ClientError::Refused`].
    pub async fn finish(self, record: &Record) -> Result<bool, ClientError> {
        let was_there = match self.client.record(record.execution.id).await {
            Err(error) if error.code() == Some(ErrorCode::UnknownExecution.as_str()) => false,
            known => known.map(|_| true)?,
        };
        let mut call = Call::new(Method::POST, self.path());
        call.body = json(record)?;
        let (answer, repeated) = self.client.call_until_answered(&call).await;
        let answer: ImportAnswer = answer?.json()?;
        // An attempt whose answer was lost may have stored what was not there.
        Ok(answer.created || repeated && !was_there)
    }

    /// Gives it up.
    ///
    /// # Errors
    /// Those of the way to the service.
    pub async fn discard(self) -> Result<(), ClientError> {
        self.client.call(&Call::new(Method::DELETE, self.path())).await.map(drop)
    }

    fn path(&self) -> String {
        format!("/v1/imports/{}", self.upload)
    }
}
