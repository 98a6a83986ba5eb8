//! The body of an answer, which ends with the right to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

/// Body that breaks off when the token of its reader is over, so that the reader does not take it for a whole one.
pub(super) struct Guarded {
    body: Body,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The request counts as open as long as there is a body.
    _open: OwnedSemaphorePermit,
}

impl Guarded {
    /// Wraps a body. It ends when `over` is ready.
    pub(super) fn new(
        body: Body,
        over: impl Future<Output = ()> + Send + 'static,
        open: OwnedSemaphorePermit,
    ) -> Self {
        Self { body, over: Box::pin(over), _open: open }
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.over.as_mut().poll(cx).is_ready() {
            let over = io::Error::other("the token was revoked or has expired");
            return Poll::Ready(Some(Err(axum::Error::new(over))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
