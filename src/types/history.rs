//! What a history holds: entries, their output, and how to search them.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ExecutionOptions, ExecutionRequest, ExecutionResult, ExecutionStatus, ExecutionSummary,
    OutputCursor, OutputStream, is_default, shown_name, text_or_numbers,
};
use crate::setters::setters;

/// Execution as a [history](crate::History) holds it, without its output.
///
/// No value of an environment variable is in it: [`request`](Self::request) and
/// [`options`](Self::options) have none, and [`env_names`](Self::env_names) has their names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// What is known of it without its output; for one that has not ended, what was known when it was
    /// accepted.
    pub summary: ExecutionSummary,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
    /// The request, with an empty `env`.
    pub request: ExecutionRequest,
    /// The options, with an empty `env.set`.
    pub options: ExecutionOptions,
    /// Names of the variables that request and options have set, sorted.
    pub env_names: Vec<String>,
    /// The result once it has ended. Its texts are empty; [`HistoryOutput`] has the output.
    pub result: Option<ExecutionResult>,
}

impl HistoryEntry {
    /// Makes the entry of an execution that was just accepted.
    pub(crate) fn accepted(
        summary: ExecutionSummary,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Self {
        let mut request = request.clone();
        let mut options = options.clone();
        let of_request = request.env.drain().map(|(name, _)| name);
        let of_options = std::mem::take(&mut options.env.set).into_keys();
        let names = of_request.chain(of_options.map(|name| name.to_string()));
        let mut env_names: Vec<_> = names.map(|name| shown_name(&name).to_string()).collect();
        env_names.sort_unstable();
        env_names.dedup();
        let accepted_at = Utc::now();
        Self { summary, accepted_at, request, options, env_names, result: None }
    }

    /// Returns the id of the execution.
    pub fn id(&self) -> Uuid {
        self.summary.id
    }

    /// Returns `true` if it has ended.
    pub fn is_ended(&self) -> bool {
        self.summary.status.is_terminal()
    }

    /// Returns the entry as that of an execution whose host has died; one that has ended stays as it
    /// is. For a history that finds entries of an earlier host that have not ended.
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn lost(entry: HistoryEntry) {
    /// let lost = entry.into_lost("the application was killed");
    /// assert_eq!(lost.summary.status, ExecutionStatus::Lost);
    /// # }
    /// ```
    #[must_use]
    pub fn into_lost(mut self, reason: impl Into<String>) -> Self {
        if self.is_ended() {
            return self;
        }
        let at = self.summary.started_at;
        let result = ExecutionResult::lost(self.id(), at, at, reason);
        self.summary.status = result.status;
        self.summary.completed_at = Some(at);
        self.summary.ending = Some(result.ending.clone());
        self.result = Some(result);
        self
    }
}

/// Output of an ended execution that was kept, for a [history](crate::History).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryOutput {
    /// Pieces of both streams in the order in which they were read. What no piece covers was not kept.
    pub pieces: Vec<OutputPiece>,
    /// Where the output of the last attempt begins.
    pub begin: OutputCursor,
    /// How much was written in all attempts.
    pub end: OutputCursor,
}

/// Consecutive bytes of one stream. One without bytes marks the place where output is missing: that of
/// its stream between the piece before and its offset.
///
/// In JSON the bytes are a string, or a list of numbers if they are not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPiece {
    /// The stream.
    pub stream: OutputStream,
    /// Number of bytes of the stream before it, in all attempts.
    pub offset: u64,
    /// The bytes.
    #[serde(with = "text_or_numbers")]
    pub bytes: Bytes,
}

/// Part of the output that a [history](crate::History) holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPart {
    /// The output without the pieces that were not asked for. Its [`end`](HistoryOutput::end) is where the
    /// part ends: no less than what was asked for, and all of the output in the last part.
    pub output: HistoryOutput,
    /// Nothing comes behind it.
    pub is_last: bool,
}

/// What to list of a [history](crate::History): entries for which all of this is true, the newest
/// first.
///
/// ```
/// use execution_engine::*;
///
/// let query = HistoryQuery::default().status(ExecutionStatus::Failed).tag("nightly").limit(20);
/// let same: HistoryQuery =
///     serde_json::from_str(r#"{"status": ["failed"], "tags": ["nightly"], "limit": 20}"#).unwrap();
/// assert_eq!(query, same);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HistoryQuery {
    /// It has one of these statuses. Empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<ExecutionStatus>,
    /// It has all of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// It has all of these labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// It was accepted then or later.
    #[serde(skip_serializing_if = "is_default")]
    pub since: Option<DateTime<Utc>>,
    /// It was accepted before.
    #[serde(skip_serializing_if = "is_default")]
    pub until: Option<DateTime<Utc>>,
    /// Its command contains this text, in upper or lower case.
    #[serde(skip_serializing_if = "is_default")]
    pub text: Option<String>,
    /// Most entries of one page, 1 to 1,000. Default: 100.
    pub limit: usize,
    /// Where the page begins: [`next`](HistoryPage::next) of the page before.
    #[serde(skip_serializing_if = "is_default")]
    pub cursor: Option<String>,
}

/// Page of a list of a [history](crate::History).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The entries, the one that was accepted last first.
    pub entries: Vec<HistoryEntry>,
    /// Cursor of the page that follows; None after the last one.
    pub next: Option<String>,
}

/// How a [history](crate::History) keeps up with its engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryStatus {
    /// Calls that are waiting to be made, or under way.
    pub waiting: usize,
    /// Calls that have failed. What they were to store is not in the history.
    pub failed: u64,
    /// The last failure.
    pub last_error: Option<String>,
}

impl Default for HistoryQuery {
    fn default() -> Self {
        Self {
            status: Vec::new(),
            tags: Vec::new(),
            labels: BTreeMap::new(),
            since: None,
            until: None,
            text: None,
            limit: 100,
            cursor: None,
        }
    }
}

impl HistoryQuery {
    setters! {
        /// Adds a [`status`](Self::status).
        status(status: ExecutionStatus) => status = vec![status];

        /// Sets [`since`](Self::since).
        since(moment: DateTime<Utc>) => since = Some(moment);

        /// Sets [`until`](Self::until).
        until(moment: DateTime<Utc>) => until = Some(moment);

        /// Sets [`text`](Self::text).
        text(text: impl Into<String>) => text = Some(text.into());

        /// Sets [`limit`](Self::limit).
        limit(limit: usize) => limit = limit;

        /// Sets [`cursor`](Self::cursor).
        cursor(cursor: impl Into<String>) => cursor = Some(cursor.into());
    }

    /// Adds one of the [`tags`](Self::tags).
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds one of the [`labels`](Self::labels).
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Returns `true` if an entry is one of those that are asked for, whatever limit and cursor say.
    pub fn matches(&self, entry: &HistoryEntry) -> bool {
        let HistoryEntry { summary, accepted_at, .. } = entry;
        let metadata = &summary.metadata;
        let has_text =
            |text: &String| summary.command.to_lowercase().contains(&text.to_lowercase());
        (self.status.is_empty() || self.status.contains(&summary.status))
            && self.tags.iter().all(|tag| metadata.tags.contains(tag))
            && self.labels.iter().all(|(name, value)| metadata.labels.get(name) == Some(value))
            && self.since.is_none_or(|since| *accepted_at >= since)
            && self.until.is_none_or(|until| *accepted_at < until)
            && self.text.as_ref().is_none_or(has_text)
    }
}
