//! Requests with many answers: reads of a stream from one replica, and deliveries of a queue.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::link::{Link, Trouble};

/// Longest silence of a server within its answers: heartbeats come each second.
const SILENCE: Duration = Duration::from_millis(2500);
/// Most bytes of one read, as far as there is more than one record.
const MAX_READ_BYTES: u64 = 4 * 1024 * 1024;

/// A message of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) seq: u64,
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

/// What one replica answered.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Kept>,
    /// How many match beyond these.
    pub(crate) pending: u64,
}

impl Batch {
    /// Returns the sequence of the last message; 0 if there is none.
    pub(crate) fn last_seq(&self) -> u64 {
        self.messages.last().map_or(0, |kept| kept.seq)
    }
}

/// Answers, and how they ended.
pub(crate) struct Answers {
    pub(crate) messages: Vec<Message>,
    /// The status that ended them. 200 if there were as many as asked for.
    pub(crate) status: u16,
    pub(crate) description: String,
    headers: HeaderMap,
}

impl Link {
    /// Sends a request and collects its answers, up to a number, until the server says that there are
    /// no more. If the server falls silent after some, they are returned.
    pub(crate) async fn gather(
        &self,
        subject: &str,
        request: &Value,
        most: usize,
    ) -> Result<Answers, Trouble> {
        let since = Instant::now();
        let failed = |error: &dyn std::fmt::Display| Trouble::Late(error.to_string());
        // An inbox of its own: what comes late for an earlier request is not taken for an answer.
        let inbox = self.client.new_inbox();
        let mut replies =
            self.client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
        let payload = Bytes::from(request.to_string());
        self.client
            .publish_with_reply(subject.to_owned(), inbox, payload)
            .await
            .map_err(|error| failed(&error))?;
        let mut answers = Answers {
            messages: Vec::new(),
            status: 200,
            description: String::new(),
            headers: HeaderMap::new(),
        };
        while answers.messages.len() < most {
            let Ok(Some(message)) = timeout(SILENCE, replies.next()).await else {
                answers.status = 408;
                answers.description = format!("no answer to {subject} in time");
                break;
            };
            match message.status.map(|status| status.as_u16()) {
                None => answers.messages.push(message),
                // A heartbeat.
                Some(100) => (),
                Some(status) => {
                    answers.status = status;
                    answers.description = message.description.unwrap_or_default();
                    answers.headers = message.headers.unwrap_or_default();
                    break;
                }
            }
        }
        if answers.messages.is_empty()
            && let Some(denial) = self.told.denial(subject, since)
        {
            return Err(Trouble::Denied(denial));
        }
        Ok(answers)
    }

    /// Reads a stream directly, from whichever replica. `request` is that of `DIRECT.GET`.
    pub(crate) async fn direct(&self, stream: &str, request: &Value) -> Result<Batch, Trouble> {
        let subject = format!("{}.DIRECT.GET.{stream}", self.api);
        let subject = &subject;
        self.persist(|_| async move {
            let answers = self.gather(subject, request, usize::MAX).await?;
            match answers.status {
                204 => batch(answers),
                // Nothing matches.
                404 => Ok(Batch::default()),
                status => {
                    Err(Trouble::Late(format!("{subject}: {status} {}", answers.description)))
                }
            }
        })
        .await
    }

    /// Reads the messages of a subject from a sequence on, from one replica.
    pub(crate) async fn next_of(
        &self,
        stream: &str,
        subject: &str,
        from: u64,
    ) -> Result<Batch, Trouble> {
        let request = json!({
            "seq": from.max(1), "next_by_subj": subject, "batch": 512, "max_bytes": MAX_READ_BYTES,
        });
        self.direct(stream, &request).await
    }

    /// Reads the last message of each of some subjects, from one replica.
    pub(crate) async fn last_of(
        &self,
        stream: &str,
        subjects: &[String],
    ) -> Result<Batch, Trouble> {
        let request = json!({ "multi_last": subjects, "batch": subjects.len().max(2) });
        let batch = self.direct(stream, &request).await?;
        if batch.pending > 0 {
            return Err(Trouble::Late(format!("{stream} answered in part")));
        }
        Ok(batch)
    }
}

/// Returns the messages of a read; an error if one was lost on the way.
fn batch(answers: Answers) -> Result<Batch, Trouble> {
    let mut batch =
        Batch { pending: number(&answers.headers, "Nats-Num-Pending")?, messages: vec![] };
    for message in answers.messages {
        let headers = message.headers.unwrap_or_default();
        let before = number(&headers, "Nats-Last-Sequence")?;
        if before != batch.last_seq() {
            return Err(Trouble::Late(format!("a message before {before} was lost on the way")));
        }
        let subject = text(&headers, "Nats-Subject")?.to_owned();
        let seq = number(&headers, "Nats-Sequence")?;
        batch.messages.push(Kept { seq, subject, headers, bytes: message.payload });
    }
    let told = number(&answers.headers, "Nats-Last-Sequence")?;
    if told != batch.last_seq() {
        return Err(Trouble::Late(format!("messages up to {told} were lost on the way")));
    }
    Ok(batch)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Trouble> {
    let value = headers.get(name).map(async_nats::HeaderValue::as_str);
    value.ok_or_else(|| Trouble::Denied(format!("the server did not send {name}")))
}

fn number(headers: &HeaderMap, name: &str) -> Result<u64, Trouble> {
    let value = text(headers, name)?;
    value.parse().map_err(|_| Trouble::Denied(format!("the server sent {name}: {value}")))
}
