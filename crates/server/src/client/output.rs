//! Output of an execution, read across restarts of the service.

use bytes::Bytes;
use execution_engine::OutputStream;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::{Method, Response};
use uuid::Uuid;

use super::calls::Client;
use super::error::ClientError;
use super::exchange::Call;
use super::path::of_execution;
use crate::http::{CURSOR_HEADER, OFFSET_HEADER};

/// Output of one execution as it was when it was asked for, from [`Client::output`].
#[derive(Debug)]
pub struct OutputReader<'a> {
    client: &'a Client,
    id: Uuid,
    stream: Option<OutputStream>,
    body: Option<Incoming>,
    /// Place in the whole output of the next byte of the answer.
    at: u64,
    /// Place of the next byte to return. It is behind the other where an answer has some again.
    next: u64,
    cursor: u64,
    length: u64,
}

impl<'a> OutputReader<'a> {
    pub(super) async fn open(
        client: &'a Client,
        id: Uuid,
        stream: Option<OutputStream>,
        lines: Option<u64>,
    ) -> Result<Self, ClientError> {
        let mut reader =
            Self { client, id, stream, body: None, at: 0, next: 0, cursor: 0, length: 0 };
        let call = Call::new(Method::GET, reader.path(lines));
        loop {
            match client.open(&call).await {
                Ok(Ok(response)) => {
                    reader.take(response)?;
                    reader.next = reader.at;
                    let left = reader.body.as_ref().and_then(|body| body.size_hint().exact());
                    reader.length = reader.at + left.unwrap_or(0);
                    return Ok(reader);
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => client.reconnect().await?,
            }
        }
    }

    /// Returns the cursor that this output reaches to, once it is read to its end: the
    /// [events](Client::events) behind it have exactly what is not in it.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Returns the place behind the last byte that there was when it was asked for: with all lines the number of bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the next bytes, or None at the end. If the service dies meanwhile, it goes on where it
    /// was, and may have more than there was before.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the output was removed meanwhile.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let Some(body) = &mut self.body else {
                self.go_on().await?;
                continue;
            };
            match body.frame().await {
                None => return Ok(None),
                Some(Ok(part)) => {
                    let bytes = part.into_data().unwrap_or_default();
                    let again = usize::try_from(self.next.saturating_sub(self.at));
                    let again = again.unwrap_or(usize::MAX).min(bytes.len());
                    self.at += bytes.len() as u64;
                    if again < bytes.len() {
                        self.next = self.at;
                        return Ok(Some(bytes.slice(again..)));
                    }
                }
                Some(Err(_)) => {
                    self.body = None;
                    self.client.reconnect().await?;
                }
            }
        }
    }

    fn path(&self, lines: Option<u64>) -> String {
        let part = String::from("/output?");
        let begin = part.len();
        let mut pairs = form_urlencoded::Serializer::for_suffix(part, begin);
        if let Some(stream) = self.stream {
            pairs.append_pair("stream", &stream.to_string());
        }
        if let Some(lines) = lines {
            pairs.append_pair("tail", &lines.to_string());
        }
        of_execution(&self.id.to_string(), &pairs.finish())
    }

    /// Asks for what follows. The byte before it is asked for, too: there is always that one, and a
    /// range behind the end would be refused.
    async fn go_on(&mut self) -> Result<(), ClientError> {
        let call = Call::new(Method::GET, self.path(None));
        let call = match self.next.checked_sub(1) {
            Some(last) => call.header("range", format!("bytes={last}-")),
            None => call,
        };
        match self.client.open(&call).await {
            Ok(Ok(response)) => self.take(response),
            Ok(Err(error)) => Err(error),
            Err(_) => self.client.reconnect().await,
        }
    }

    /// Begins to read an answer.
    fn take(&mut self, response: Response<Incoming>) -> Result<(), ClientError> {
        let number = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok()?.parse().ok()
        };
        let missing = || ClientError::Protocol("its answer has no place in the output".into());
        self.cursor = number(CURSOR_HEADER).ok_or_else(missing)?;
        self.at = number(OFFSET_HEADER).ok_or_else(missing)?;
        self.body = Some(response.into_body());
        Ok(())
    }
}
