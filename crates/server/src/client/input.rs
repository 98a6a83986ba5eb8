//! Input for a program of the service, written across restarts of the service.

use bytes::Bytes;
use execution_engine_keeper::MAX_INPUT_PIECE;
use hyper::Method;
use uuid::Uuid;

use super::calls::Client;
use super::error::ClientError;
use super::exchange::Call;
use super::path::of_execution;
use crate::error::ErrorCode;
use crate::http::{INPUT_TYPE, KEY_HEADER, UPLOAD_OFFSET_HEADER};
use crate::view::InputEnd;

/// Writes to the standard input of one program, from [`Client::input`]. Others may do the same; pieces of 64 KiB stay
/// whole.
#[derive(Debug)]
pub struct InputWriter<'a> {
    client: &'a Client,
    id: Uuid,
    /// Tells its pieces from those of others.
    writer: String,
    offset: u64,
}

impl Client {
    /// Begins to write to the standard input of a program that was submitted with a piped one.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none, it does not run, or its input cannot be written.
    pub async fn input(&self, name: &str) -> Result<InputWriter<'_>, ClientError> {
        let id = self.get(name).await?.id;
        let writer = Uuid::new_v4().to_string();
        let mut input = InputWriter { client: self, id, writer, offset: 0 };
        input.seek().await?;
        Ok(input)
    }
}

impl InputWriter<'_> {
    /// Returns the execution.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the place in the whole input behind what was written last.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes bytes, at the program's pace. Each is written once, also if the service dies meanwhile.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the code `input_closed` or `already_ended` if the program reads no more;
    /// [`ClientError::OutcomeUnknown`] if an answer was lost and so many others have written since that it is not known
    /// whether the last 64 KiB were written.
    ///
    /// # Cancel safety
    /// A dropped future may have written none, some or all of it.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        for piece in bytes.chunks(MAX_INPUT_PIECE) {
            self.send(piece, false).await?;
        }
        Ok(())
    }

    /// Closes the input: the program reads what was written before, and then the end.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if it has ended.
    pub async fn close(&mut self) -> Result<(), ClientError> {
        self.send(&[], true).await
    }

    async fn send(&mut self, bytes: &[u8], eof: bool) -> Result<(), ClientError> {
        let path =
            of_execution(&self.id.to_string(), if eof { "/input?eof=true" } else { "/input" });
        loop {
            let mut call = Call::new(Method::POST, path.clone())
                .header(UPLOAD_OFFSET_HEADER, self.offset.to_string())
                .header(KEY_HEADER, self.writer.clone());
            call.body = Bytes::copy_from_slice(bytes);
            call.content_type = INPUT_TYPE;
            // A program may take its time.
            let (answer, repeated) = self.client.call_patiently(&call, None).await;
            match answer {
                Ok(answer) => {
                    self.offset = answer.json::<InputEnd>()?.offset;
                    return Ok(());
                }
                // Another client has written. Of this nothing was taken, unless it was before and is unknown now.
                Err(error) if error.code() == Some(ErrorCode::InputMoved.as_str()) => {
                    let before = self.offset;
                    let forgotten = self.seek().await?.forgotten;
                    if repeated && !bytes.is_empty() && before < forgotten {
                        return Err(ClientError::OutcomeUnknown(format!(
                            "of input from {before} on, and too many others have written since"
                        )));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes to the end of the input.
    async fn seek(&mut self) -> Result<InputEnd, ClientError> {
        let end: InputEnd =
            self.client.get_json(of_execution(&self.id.to_string(), "/input")).await?;
        self.offset = end.offset;
        Ok(end)
    }
}
