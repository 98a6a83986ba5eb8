//! Events of an execution, followed across restarts of the service.

use std::collections::VecDeque;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, StatusCode};
use uuid::Uuid;

use super::calls::Client;
use super::error::ClientError;
use super::exchange::Call;
use super::path::of_execution;
use super::sse::{Frame, FrameReader};
use crate::problem::Problem;
use crate::view::{Event, EventKind};
use crate::wire;

/// Events of one execution, from [`Client::events`]. When the service dies, it goes on behind the last
/// event as soon as there is one again.
#[derive(Debug)]
pub struct EventReader<'a> {
    client: &'a Client,
    id: Uuid,
    cursor: u64,
    stream: Option<Open>,
    done: bool,
}

/// An answer that is being read.
struct Open {
    body: Incoming,
    reader: FrameReader,
    frames: VecDeque<Frame>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

impl<'a> EventReader<'a> {
    pub(super) fn new(client: &'a Client, id: Uuid, cursor: u64) -> Self {
        Self { client, id, cursor, stream: None, done: false }
    }

    /// Returns the execution.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the cursor of the last event that was returned.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Returns the next event, or None after the last one. Cancel safe: no event is lost or repeated.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the execution or its output was removed meanwhile; nothing follows.
    pub async fn next(&mut self) -> Option<Result<Event, ClientError>> {
        loop {
            if self.done {
                return None;
            }
            let step = match &mut self.stream {
                None => self.open().await,
                Some(open) => open.frame().await,
            };
            match step {
                Step::Frame(frame) => match self.event(&frame) {
                    Ok(Some(event)) => return Some(Ok(event)),
                    Ok(None) => {}
                    Err(error) => return self.fail(error),
                },
                Step::Opened(open) => self.stream = Some(*open),
                Step::Nothing => self.done = true,
                Step::Broken => {
                    self.stream = None;
                    if let Err(error) = self.client.reconnect().await {
                        return self.fail(error);
                    }
                }
                Step::Failed(error) => return self.fail(error),
            }
        }
    }

    fn fail(&mut self, error: ClientError) -> Option<Result<Event, ClientError>> {
        self.done = true;
        Some(Err(error))
    }

    async fn open(&self) -> Step {
        let path = of_execution(&self.id.to_string(), &format!("/events?after={}", self.cursor));
        match self.client.open(&Call::new(Method::GET, path)).await {
            Ok(Ok(response)) if response.status() == StatusCode::NO_CONTENT => Step::Nothing,
            Ok(Ok(response)) => {
                let (reader, frames) = (FrameReader::default(), VecDeque::new());
                Step::Opened(Box::new(Open { body: response.into_body(), reader, frames }))
            }
            Ok(Err(error)) => Step::Failed(error),
            Err(_) => Step::Broken,
        }
    }

    /// Reads a frame; `None` if it is none that is new.
    fn event(&mut self, frame: &Frame) -> Result<Option<Event>, ClientError> {
        if frame.event == wire::ERROR {
            let problem = serde_json::from_str::<Problem>(&frame.data);
            return Err(match problem {
                Ok(problem) => problem.into(),
                Err(error) => ClientError::Protocol(format!("an error event: {error}")),
            });
        }
        let not_understood = |why| ClientError::Protocol(format!("event {}: {why}", frame.id));
        let cursor = frame.id.parse().map_err(|_| not_understood("its id is no cursor".into()))?;
        if cursor <= self.cursor {
            return Ok(None);
        }
        let event = wire::parse(cursor, &frame.data).map_err(not_understood)?;
        self.cursor = cursor;
        self.done = matches!(event.kind, EventKind::Ended { .. });
        Ok(Some(event))
    }
}

/// What came next.
enum Step {
    Opened(Box<Open>),
    Frame(Frame),
    /// There are no more events.
    Nothing,
    /// The connection broke off, or was ended by a service that ends.
    Broken,
    Failed(ClientError),
}

impl Open {
    async fn frame(&mut self) -> Step {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Step::Frame(frame);
            }
            match self.body.frame().await {
                Some(Ok(part)) => {
                    let bytes = part.into_data().unwrap_or_default();
                    self.frames.extend(self.reader.push(&bytes));
                }
                // The stream of an execution ends with its last event, and that was not there.
                Some(Err(_)) | None => return Step::Broken,
            }
        }
    }
}
