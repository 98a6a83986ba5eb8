//! Events of an execution as server-sent events. The id of each is a cursor.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt as _};

use super::App;
use super::id::Name;
use super::query::Parameters;
use crate::error::{ErrorCode, ServiceError};
use crate::problem::Problem;
use crate::service::Events;
use crate::wire;

/// Header with which a browser says what it has seen.
const SEEN_HEADER: &str = "last-event-id";
/// Longest silence of a stream, so that a reader can tell it from a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /v1/executions/{id}/events?after=`: what is behind the cursor, live until the last event. Behind
/// the last there is nothing, which is status 204 and tells a browser not to come again.
pub(super) async fn follow(
    State(app): State<App>,
    name: Name,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let after = after(&headers, query.as_deref())?;
    let id = name.resolve(&app).await?;
    let events = app.service.events(id, after).await?;
    if events.is_at_end() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let frames = frames(events).take_until(Box::pin(app.stopped())).map(Ok::<_, Infallible>);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(frames).keep_alive(keep_alive).into_response())
}

/// Returns the cursor behind which the events are wanted.
fn after(headers: &HeaderMap, query: Option<&str>) -> Result<u64, Problem> {
    let mut all = Parameters::new(query);
    let after = all.parsed("after", "a cursor")?;
    all.finish()?;
    // A browser repeats the URL when it comes again, so its header is the newer one.
    let Some(seen) = headers.get(SEEN_HEADER) else { return Ok(after.unwrap_or(0)) };
    seen.to_str().ok().and_then(|seen| seen.parse().ok()).ok_or_else(|| {
        let detail = format!("{seen:?} is no cursor");
        ServiceError::invalid("Last-Event-ID", detail).fix("send the id of an event").into()
    })
}

/// Turns events into frames. An error is the last frame, unless the service is ending: then the reader
/// comes again.
fn frames(events: Events) -> impl Stream<Item = Frame> {
    stream::unfold(Some(events), async |events| {
        let mut events = events?;
        match events.next().await? {
            Ok(event) => {
                let frame = Frame::default().id(event.cursor.to_string());
                let frame = frame.event(wire::name(&event.kind)).data(wire::event_json(&event));
                Some((frame, Some(events)))
            }
            Err(error) if error.code == ErrorCode::Stopping => None,
            Err(error) => Some((failure(error), None)),
        }
    })
}

/// Creates the frame for an error.
fn failure(error: ServiceError) -> Frame {
    let json = serde_json::to_string(&Problem::from(error)).unwrap_or_default();
    Frame::default().event(wire::ERROR).data(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn header_is_newer_than_the_url() {
        let none = HeaderMap::new();
        let seen = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(SEEN_HEADER),
            HeaderValue::from_static("70"),
        )]);
        assert_eq!(after(&none, None).unwrap(), 0);
        assert_eq!(after(&none, Some("after=32")).unwrap(), 32);
        assert_eq!(after(&seen, Some("after=32")).unwrap(), 70);
        assert_eq!(after(&none, Some("after=-1")).unwrap_err().field.as_deref(), Some("after"));
        let mut bad = seen;
        bad.insert(SEEN_HEADER, HeaderValue::from_static("x"));
        assert_eq!(after(&bad, None).unwrap_err().field.as_deref(), Some("Last-Event-ID"));
    }
}
