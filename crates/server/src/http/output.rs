//! Output of an execution as bytes, whole or in parts.

use std::ops::Range;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use execution_engine::OutputStream;
use futures_util::stream;
use uuid::Uuid;

use super::id::Name;
use super::query::{Parameters, refused};
use super::range::{Wanted, wanted};
use super::tail::tail;
use super::{App, CURSOR_HEADER, OFFSET_HEADER};
use crate::error::{ErrorCode, ServiceError};
use crate::problem::Problem;
use crate::service::Output;

/// Most bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// `GET /v1/executions/{id}/output?stream=&tail=`: what there is now. `tail` is a number of lines.
pub(super) async fn read(
    State(app): State<App>,
    name: Name,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (stream, lines) = parameters(&headers, query.as_deref())?;
    let id = name.resolve(&app).await?;
    let mut output = app.service.output(id, stream).await?;
    if let Some(lines) = lines {
        let part = tail(&mut output, lines).await?..output.len();
        return Ok(answer(StatusCode::OK, id, stream, output, part));
    }
    let length = output.len();
    let tag = tag(id, stream, &output);
    let header = headers.get(RANGE).filter(|_| is_same(&headers, tag.as_deref()));
    match wanted(header.map(|value| value.as_bytes()), length) {
        Wanted::All => Ok(answer(StatusCode::OK, id, stream, output, 0..length)),
        Wanted::Part(part) => Ok(answer(StatusCode::PARTIAL_CONTENT, id, stream, output, part)),
        Wanted::Unsatisfiable => Ok(unsatisfiable(length)),
    }
}

/// Reads stream and number of lines.
fn parameters(
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<(Option<OutputStream>, Option<u64>), Problem> {
    let mut all = Parameters::new(query);
    let stream = match all.one("stream")?.as_deref() {
        None => None,
        Some("stdout") => Some(OutputStream::Stdout),
        Some("stderr") => Some(OutputStream::Stderr),
        Some(other) => {
            return Err(
                refused("stream", &format!("{other:?} is no stream")).fix("use stdout or stderr")
            );
        }
    };
    let lines = all.parsed("tail", "a number of lines")?;
    all.finish()?;
    if lines.is_some() && headers.contains_key(RANGE) {
        return Err(refused("tail", "there is a Range as well").fix("use one of the two"));
    }
    Ok((stream, lines))
}

/// Returns a name for this state of an output, which changes only as long as the execution runs.
fn tag(id: Uuid, stream: Option<OutputStream>, output: &Output) -> Option<String> {
    let stream = stream.map_or("both".to_string(), |stream| stream.to_string());
    output.is_complete().then(|| format!("\"{id}-{stream}-{}\"", output.len()))
}

/// Returns `true` if a range is wanted of what there is now.
fn is_same(headers: &HeaderMap, tag: Option<&str>) -> bool {
    headers.get(IF_RANGE).is_none_or(|wanted| tag.is_some_and(|tag| wanted == tag))
}

/// Creates the answer with a part of an output.
fn answer(
    status: StatusCode,
    id: Uuid,
    stream: Option<OutputStream>,
    output: Output,
    part: Range<u64>,
) -> Response {
    let mut headers = vec![
        (CONTENT_TYPE.as_str(), "application/octet-stream".to_string()),
        (ACCEPT_RANGES.as_str(), "bytes".to_string()),
        (CONTENT_LENGTH.as_str(), (part.end - part.start).to_string()),
        (CURSOR_HEADER, output.cursor().to_string()),
        (OFFSET_HEADER, part.start.to_string()),
    ];
    if status == StatusCode::PARTIAL_CONTENT {
        // The length of something that still grows is not known.
        let all = if output.is_complete() { output.len().to_string() } else { "*".to_string() };
        let range = format!("bytes {}-{}/{all}", part.start, part.end - 1);
        headers.push((CONTENT_RANGE.as_str(), range));
    }
    headers.extend(tag(id, stream, &output).map(|tag| (ETAG.as_str(), tag)));
    let mut response = (status, body(output, part)).into_response();
    for (name, value) in headers {
        let Ok(value) = value.parse() else { continue };
        response.headers_mut().insert(axum::http::HeaderName::from_static(name), value);
    }
    response
}

/// Creates the answer for a range behind the end.
fn unsatisfiable(length: u64) -> Response {
    let detail = format!("the output has {length} bytes");
    let problem = Problem::of_http(416, "range_not_satisfiable", "There are no such bytes", detail);
    let range = [(CONTENT_RANGE, format!("bytes */{length}"))];
    (range, problem.field("Range").fix("ask for bytes before that")).into_response()
}

/// Reads a part of an output piece by piece, as fast as the client takes it. An error breaks the
/// connection off, so that no client takes what there was for all.
fn body(output: Output, part: Range<u64>) -> Body {
    Body::from_stream(stream::try_unfold((output, part), async |(mut output, part)| {
        if part.is_empty() {
            return Ok(None);
        }
        let most = usize::try_from(part.end - part.start).unwrap_or(CHUNK).min(CHUNK);
        let bytes = output.read(part.start, most).await?;
        if bytes.is_empty() {
            let text = format!("the output ends at byte {}", part.start);
            return Err(ServiceError::new(ErrorCode::Internal, text));
        }
        let rest = part.start + bytes.len() as u64..part.end;
        Ok(Some((bytes, (output, rest))))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn parameters_are_checked() {
        let none = HeaderMap::new();
        let stderr = Some(OutputStream::Stderr);
        assert_eq!(parameters(&none, None).unwrap(), (None, None));
        assert_eq!(parameters(&none, Some("stream=stderr&tail=5")).unwrap(), (stderr, Some(5)));
        let range = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-1"))]);
        assert_eq!(parameters(&range, Some("stream=stderr")).unwrap(), (stderr, None));
        for (headers, query, field) in [
            (&none, "stream=both", "stream"),
            (&none, "tail=-1", "tail"),
            (&none, "lines=1", "lines"),
            (&range, "tail=1", "tail"),
        ] {
            let problem = parameters(headers, Some(query)).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(field), "{query}");
        }
    }

    #[test]
    fn range_counts_only_for_the_same_output() {
        let headers = |tag| HeaderMap::from_iter([(IF_RANGE, HeaderValue::from_static(tag))]);
        assert!(is_same(&HeaderMap::new(), None));
        assert!(is_same(&headers("\"a\""), Some("\"a\"")));
        assert!(!is_same(&headers("\"a\""), Some("\"b\"")));
        assert!(!is_same(&headers("\"a\""), None));
    }
}
