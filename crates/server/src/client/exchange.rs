//! One request and its answer on one connection.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::error::ClientError;
use crate::problem::Problem;

/// A request, which can be repeated.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Empty is none.
    pub(super) body: Bytes,
    /// What the body is.
    pub(super) content_type: &'static str,
}

impl Call {
    /// Creates a request without a body.
    pub(super) fn new(method: Method, path: String) -> Self {
        let content_type = "application/json";
        Self { method, path, headers: Vec::new(), body: Bytes::new(), content_type }
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request =
            Request::builder().method(&self.method).uri(&self.path).header(HOST, "exeng");
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, self.content_type);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(self.body.clone()));
        request.map_err(|error| ClientError::Protocol(format!("{}: {error}", self.path)))
    }
}

/// A connection that is free for a request.
#[derive(Debug)]
pub(super) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Begins to speak HTTP on a socket.
    pub(super) async fn new(socket: UnixStream) -> io::Result<Self> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(io::Error::other)?;
        // Its errors are those of the requests on it.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Returns `true` if the service has closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends a request and returns the head of its answer. The outer error is one of the connection,
    /// after which the request may be repeated on another.
    pub(super) async fn send(
        &mut self,
        call: &Call,
    ) -> io::Result<Result<Response<Incoming>, ClientError>> {
        let request = match call.request() {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        self.0.ready().await.map_err(io::Error::other)?;
        Ok(Ok(self.0.send_request(request).await.map_err(io::Error::other)?))
    }
}

/// An answer that is read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// Reads an answer to its end.
    pub(super) async fn read(response: Response<Incoming>) -> io::Result<Self> {
        let status = response.status();
        let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Self { status, body })
    }

    /// Returns its bytes.
    pub(super) fn into_body(self) -> Bytes {
        self.body
    }

    /// Returns the refusal, if the answer is one.
    pub(super) fn refusal(&self) -> Option<ClientError> {
        let is_good = self.status.is_success();
        let unknown =
            || ClientError::Protocol(format!("status {} without a reason", self.status.as_u16()));
        let problem = || serde_json::from_slice::<Problem>(&self.body).ok();
        (!is_good).then(|| problem().map_or_else(unknown, ClientError::Refused))
    }

    /// Reads the JSON of a good answer.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ClientError::Protocol(format!("its answer is not understood: {error}"))
        })
    }
}
