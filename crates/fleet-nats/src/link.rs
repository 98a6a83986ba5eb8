//! One request to the servers, repeated for a bounded time.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use execution_engine_fleet::ClusterError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::connect::Told;

/// Longest time of one try. A leader that is lost is replaced in 2 to 4 s.
const TRY: Duration = Duration::from_secs(2);
/// First pause between two tries; each is twice as long as the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Codes of errors that pass: there is no leader yet, the leader has not heard of the other servers
/// since it was started (10005), or the same record is being written.
const PASSING: [u64; 8] = [10005, 10008, 10009, 10023, 10118, 10158, 10163, 10167];

/// An error as JetStream tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ApiError {
    /// In the way of HTTP.
    #[serde(default)]
    pub(crate) code: u64,
    /// Which error it is.
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No answer, or one that says to try again. It may have been done.
    Late(String),
    /// It was refused before it was looked at.
    Denied(String),
    /// JetStream's word.
    Api(ApiError),
}

impl Trouble {
    fn passes(&self) -> bool {
        match self {
            Self::Late(_) => true,
            Self::Denied(_) => false,
            Self::Api(error) => PASSING.contains(&error.err_code),
        }
    }
}

impl From<Trouble> for ClusterError {
    fn from(trouble: Trouble) -> Self {
        if let Trouble::Api(error) = &trouble
            && trouble.passes()
        {
            return Self::NoAnswer(error.description.clone());
        }
        match trouble {
            Trouble::Late(reason) => Self::NoAnswer(reason),
            Trouble::Denied(reason) => Self::Refused(reason),
            Trouble::Api(ApiError { err_code, description, .. }) => {
                Self::Refused(format!("{description} (error {err_code})"))
            }
        }
    }
}

impl ApiError {
    /// Returns the last sequence, if the error is that of a condition that does not hold: 0 where the
    /// server does not say it.
    pub(crate) fn conflict(&self) -> Option<u64> {
        match self.err_code {
            10071 => {
                let last = self.description.rsplit(' ').next()?.parse();
                Some(last.unwrap_or(0))
            }
            // Another write is under way, and not yet kept.
            10164 => Some(0),
            _ => None,
        }
    }
}

/// What a stream says when it has taken a message.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Stored {
    /// Its sequence; of a repeat that of the first.
    pub(crate) seq: u64,
}

/// A connection, with the deadline of calls.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) told: Arc<Told>,
    pub(crate) patience: Duration,
    /// What the subjects of the API begin with.
    pub(crate) api: &'static str,
}

impl Link {
    /// Tries until it is done, refused, or the time is over. Each try gets its longest time.
    pub(crate) async fn persist<T, F>(&self, attempt: impl Fn(Duration) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let deadline = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let trouble = match attempt(TRY.min(left)).await {
                Err(trouble) if trouble.passes() => trouble,
                result => return result,
            };
            if Instant::now() + pause >= deadline {
                return Err(trouble);
            }
            rest(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends one request and returns the bytes of its answer.
    pub(crate) async fn ask_once(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
        within: Duration,
    ) -> Result<Bytes, Trouble> {
        let since = Instant::now();
        let mut request = Request::new().payload(payload).timeout(Some(within));
        request.headers = headers;
        match self.client.send_request(subject.to_owned(), request).await {
            Ok(message) => Ok(message.payload),
            Err(error) => Err(self.trouble(subject, since, error.kind(), &error.to_string())),
        }
    }

    fn trouble(
        &self,
        subject: &str,
        since: Instant,
        kind: RequestErrorKind,
        text: &str,
    ) -> Trouble {
        if let Some(denial) = self.told.denial(subject, since) {
            return Trouble::Denied(denial);
        }
        match kind {
            RequestErrorKind::TimedOut => Trouble::Late(format!("none to {subject} in time")),
            RequestErrorKind::NoResponders => {
                Trouble::Late(format!("no server listens to {subject}: no leader, or not set up"))
            }
            RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                Trouble::Denied(format!("{subject}: {text}"))
            }
            RequestErrorKind::Other => Trouble::Late(text.to_owned()),
        }
    }

    /// Publishes to a stream and returns what it says.
    pub(crate) async fn publish(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Stored, Trouble> {
        let (headers, payload) = (&Some(headers), &payload);
        self.persist(|within| async move {
            parse(&self.ask_once(subject, headers.clone(), payload.clone(), within).await?)
        })
        .await
    }

    /// Asks the API of JetStream.
    pub(crate) async fn api<T: DeserializeOwned>(
        &self,
        what: &str,
        request: &Value,
    ) -> Result<T, Trouble> {
        let subject = &format!("{}.{what}", self.api);
        let payload = &Bytes::from(request.to_string());
        self.persist(|within| async move {
            parse(&self.ask_once(subject, None, payload.clone(), within).await?)
        })
        .await
    }
}

/// Returns the result in an answer of JetStream, or its error.
fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Trouble> {
    #[derive(Deserialize)]
    struct Failed {
        error: Option<ApiError>,
    }
    let foreign = |error: serde_json::Error| {
        Trouble::Denied(format!("the server's answer is not understood: {error}"))
    };
    if let Some(error) = serde_json::from_slice::<Failed>(answer).map_err(foreign)?.error {
        return Err(Trouble::Api(error));
    }
    serde_json::from_slice(answer).map_err(foreign)
}

/// Waits between two tries.
#[expect(
    clippy::disallowed_methods,
    reason = "no event announces that a server has a leader again"
)]
pub(crate) async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}
