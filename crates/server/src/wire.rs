//! JSON form of events, as `GET /v1/executions/{id}/events` sends them and the client reads them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use execution_engine::OutputStream;
use serde::{Deserialize, Serialize};

use crate::view::{Event, EventKind, ExecutionView};

/// Name of the event that ends a stream with an error; its data is a problem document.
pub(crate) const ERROR: &str = "error";

/// The `data` of an event: one flat object, so that output is not parsed twice. What does not apply
/// is left out.
#[derive(Serialize, Deserialize)]
struct EventJson<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    time: DateTime<Utc>,
    attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<OutputStream>,
    /// Output that is UTF-8 and better read so.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    text: Option<Cow<'a, str>>,
    /// Output that is not.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    base64: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stdout_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stderr_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    execution: Option<Cow<'a, ExecutionView>>,
}

/// Returns the name of an event: its `type` in JSON, and the `event` of the stream.
pub(crate) fn name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::Started { .. } => "started",
        EventKind::Output { .. } => "output",
        EventKind::Retrying { .. } => "retrying",
        EventKind::Missed { .. } => "missed",
        EventKind::Ended { .. } => "ended",
    }
}

/// Returns output as text; `None` for what is not UTF-8, or has so many NUL bytes, which are six each in JSON, that
/// base64 is shorter. What else is escaped, such as colours, is text whatever its length.
fn text_of(bytes: &[u8]) -> Option<&str> {
    let nuls = bytes.iter().filter(|byte| **byte == 0).count();
    let is_longer = nuls > 0 && bytes.len() + 5 * nuls > 4 * bytes.len().div_ceil(3);
    if is_longer { None } else { str::from_utf8(bytes).ok() }
}

impl<'a> EventJson<'a> {
    /// Creates the form of an event without its details.
    fn bare(event: &Event) -> Self {
        Self {
            kind: name(&event.kind).into(),
            time: event.time,
            attempt: event.attempt,
            pid: None,
            stream: None,
            text: None,
            base64: None,
            delay_ms: None,
            stdout_bytes: None,
            stderr_bytes: None,
            reason: None,
            execution: None,
        }
    }

    fn of(event: &'a Event) -> Self {
        let mut json = Self::bare(event);
        match &event.kind {
            EventKind::Started { pid } => json.pid = *pid,
            EventKind::Output { stream, bytes } => {
                json.stream = Some(*stream);
                match text_of(bytes) {
                    Some(text) => json.text = Some(text.into()),
                    None => json.base64 = Some(STANDARD.encode(bytes).into()),
                }
            }
            EventKind::Retrying { delay_ms } => json.delay_ms = Some(*delay_ms),
            EventKind::Missed { stdout_bytes, stderr_bytes, reason } => {
                json.stdout_bytes = Some(*stdout_bytes);
                json.stderr_bytes = Some(*stderr_bytes);
                json.reason = Some(reason.into());
            }
            EventKind::Ended { execution } => json.execution = Some(Cow::Borrowed(execution)),
        }
        json
    }

    /// Returns what happened; `None` if a field is missing.
    fn kind(self) -> Option<EventKind> {
        Some(match &*self.kind {
            "started" => EventKind::Started { pid: self.pid },
            "output" => {
                let bytes = match (self.text, self.base64) {
                    (Some(text), _) => text.into_owned().into_bytes(),
                    (None, base64) => STANDARD.decode(&*base64?).ok()?,
                };
                EventKind::Output { stream: self.stream?, bytes: Bytes::from(bytes) }
            }
            "retrying" => EventKind::Retrying { delay_ms: self.delay_ms? },
            "missed" => EventKind::Missed {
                stdout_bytes: self.stdout_bytes?,
                stderr_bytes: self.stderr_bytes?,
                reason: self.reason?.into_owned(),
            },
            "ended" => EventKind::Ended { execution: Box::new(self.execution?.into_owned()) },
            _ => return None,
        })
    }
}

/// Returns the JSON form of an event, without its cursor.
pub fn event_json(event: &Event) -> String {
    serde_json::to_string(&EventJson::of(event)).unwrap_or_default()
}

/// Reads the JSON form of an event.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(cursor: u64, data: &str) -> Result<Event, String> {
    let json: EventJson = serde_json::from_str(data).map_err(|error| error.to_string())?;
    let (time, attempt, named) = (json.time, json.attempt, json.kind.to_string());
    let kind =
        json.kind().ok_or_else(|| format!("an event {named} lacks a field or is unknown"))?;
    Ok(Event { cursor, time, attempt, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind) -> Event {
        Event { cursor: 7, time: DateTime::UNIX_EPOCH, attempt: 1, kind }
    }

    fn output(bytes: &'static [u8]) -> EventKind {
        EventKind::Output { stream: OutputStream::Stderr, bytes: Bytes::from_static(bytes) }
    }

    #[test]
    fn output_comes_back_byte_for_byte() {
        for bytes in [&b""[..], b"text\n", b"\xff\x00\n", "\u{e9}".as_bytes(), b"\xc3"] {
            let event = event(output(bytes));
            let json = event_json(&event);
            assert_eq!(json.contains("base64"), str::from_utf8(bytes).is_err(), "{json}");
            assert_eq!(parse(7, &json).unwrap(), event);
        }
    }

    #[test]
    fn output_has_the_shorter_form_where_nobody_reads_it() {
        let of = |bytes: Vec<u8>| {
            let event =
                event(EventKind::Output { stream: OutputStream::Stdout, bytes: bytes.into() });
            let json = event_json(&event);
            assert_eq!(parse(7, &json).unwrap(), event);
            (json.contains("base64"), json.len())
        };
        let (is_base64, length) = of(vec![0; 60_000]);
        assert!(is_base64 && length < 81_000, "{length}");
        // A name now and then is still read best as text, and so is what has colours.
        assert!(!of(b"a/name/that/is/not/too/short\0".repeat(100)).0);
        assert!(!of(b"\x1b[31m\x1b[1m\"\"\n".repeat(100)).0);
    }

    #[test]
    fn every_event_comes_back() {
        let (stdout_bytes, stderr_bytes, reason) = (1, 2, "full \"disk\"".to_string());
        for kind in [
            EventKind::Started { pid: Some(5) },
            EventKind::Started { pid: None },
            EventKind::Retrying { delay_ms: 3 },
            EventKind::Missed { stdout_bytes, stderr_bytes, reason },
        ] {
            let event = event(kind);
            assert_eq!(parse(7, &event_json(&event)).unwrap(), event);
        }
    }

    #[test]
    fn json_form_is_the_documented_one() {
        let json = r#"{"type":"output","time":"1970-01-01T00:00:00Z","attempt":1,"stream":"stderr","text":"a\n"}"#;
        assert_eq!(event_json(&event(output(b"a\n"))), json);
    }

    #[test]
    fn what_is_incomplete_is_an_error() {
        let head = r#""time":"1970-01-01T00:00:00Z","attempt":1"#;
        for (json, why) in [
            (format!(r#"{{"type":"output",{head},"stream":"stdout"}}"#), "output lacks"),
            (format!(r#"{{"type":"output",{head},"text":""}}"#), "output lacks"),
            (format!(r#"{{"type":"surprise",{head}}}"#), "surprise lacks a field or is unknown"),
            ("{".to_string(), "EOF"),
        ] {
            let error = parse(0, &json).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
