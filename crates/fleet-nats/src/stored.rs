//! What the leader of a stream says of it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::link::{Link, Trouble};

/// Code of the error of a stream that is not there.
pub(crate) const NO_STREAM: u64 = 10059;
/// Code of the error of a message that is not there.
const NO_MESSAGE: u64 = 10037;
/// Subjects in one answer of a server.
const PAGE: usize = 100_000;

/// A stream.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: Value,
    pub(crate) state: StreamState,
    /// When the server said it.
    pub(crate) ts: DateTime<Utc>,
    #[serde(default)]
    total: usize,
}

/// What a stream has.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamState {
    pub(crate) messages: u64,
    pub(crate) first_seq: u64,
    /// When the first message was written.
    pub(crate) first_ts: DateTime<Utc>,
    #[serde(default)]
    subjects: BTreeMap<String, u64>,
}

impl Link {
    /// Returns what the leader says of a stream; `None` if there is no such stream.
    pub(crate) async fn info(&self, stream: &str) -> Result<Option<StreamInfo>, Trouble> {
        match self.api(&format!("STREAM.INFO.{stream}"), &json!({})).await {
            Ok(info) => Ok(Some(info)),
            Err(Trouble::Api(error)) if error.err_code == NO_STREAM => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Returns the subjects of a stream that match a filter.
    pub(crate) async fn subjects(
        &self,
        stream: &str,
        filter: &str,
    ) -> Result<Vec<String>, Trouble> {
        let mut subjects = Vec::new();
        loop {
            let request = json!({ "subjects_filter": filter, "offset": subjects.len() });
            let asked = self.api(&format!("STREAM.INFO.{stream}"), &request).await;
            let info: StreamInfo = asked.map_err(|trouble| absent(stream, trouble))?;
            let page = info.state.subjects.len();
            subjects.extend(info.state.subjects.into_keys());
            if page < PAGE || subjects.len() >= info.total {
                return Ok(subjects);
            }
        }
    }

    /// Returns the last message of a subject, as the leader has it.
    pub(crate) async fn newest(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<(u64, Bytes)>, Trouble> {
        #[derive(Deserialize)]
        struct Answer {
            message: Message,
        }
        #[derive(Deserialize)]
        struct Message {
            seq: u64,
            #[serde(default)]
            data: String,
        }
        let request = json!({ "last_by_subj": subject });
        match self.api::<Answer>(&format!("STREAM.MSG.GET.{stream}"), &request).await {
            Ok(Answer { message: Message { seq, data } }) => {
                let bytes = BASE64_STANDARD.decode(data).map_err(|error| {
                    Trouble::Denied(format!("{stream} sent no base64: {error}"))
                })?;
                Ok(Some((seq, bytes.into())))
            }
            Err(Trouble::Api(error)) if error.err_code == NO_MESSAGE => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }
}

/// Says which stream is not there: the servers do not.
fn absent(stream: &str, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Api(error) if error.err_code == NO_STREAM => Trouble::Denied(format!(
            "there is no stream {stream}; set the fleet up with this tenant first (`init`)"
        )),
        trouble => trouble,
    }
}
