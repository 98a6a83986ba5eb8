//! Input of a program that runs.

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use uuid::Uuid;

use super::executions::key;
use super::id::Name;
use super::query::Parameters;
use super::{App, INPUT_TYPE, UPLOAD_OFFSET_HEADER, body};
use crate::error::{ErrorCode, ServiceError};
use crate::problem::Problem;
use crate::view::{InputEnd, NewInput};

/// `GET /v1/executions/{id}/input`
pub(super) async fn end(
    State(app): State<App>,
    name: Name,
    RawQuery(query): RawQuery,
) -> Result<Json<InputEnd>, Problem> {
    Parameters::new(query.as_deref()).finish()?;
    let id = name.resolve(&app).await?;
    Ok(Json(InputEnd { offset: app.service.input_end(id).await? }))
}

/// `POST /v1/executions/{id}/input?eof=`: bytes for the program, which are read at the program's pace. With the header
/// `Upload-Offset` they are not written twice.
pub(super) async fn write(
    State(app): State<App>,
    name: Name,
    RawQuery(query): RawQuery,
    request: Request<Body>,
) -> Result<Json<InputEnd>, Problem> {
    let mut all = Parameters::new(query.as_deref());
    let eof = all.parsed("eof", "true or false")?.unwrap_or(false);
    all.finish()?;
    let (parts, body) = request.into_parts();
    let offset = offset(&parts.headers)?;
    let writer = match (key(&parts.headers)?, offset) {
        (Some(key), _) => key,
        // Whoever names a place and no writer is the one who names places.
        (None, Some(_)) => String::new(),
        (None, None) => Uuid::new_v4().to_string(),
    };
    let id = name.resolve(&app).await?;
    let stopped = app.clone().stopped();
    let new = NewInput { writer, offset, bytes: Bytes::new(), eof };
    tokio::select! {
        written = pass_on(&app, id, &parts.headers, body, new) => written.map(Json),
        () = stopped => {
            let stopping = ServiceError::new(ErrorCode::Stopping, "the service is ending");
            Err(stopping.fix("ask for the end of the input when it runs, and go on there").into())
        }
    }
}

/// Passes a body on, part by part.
async fn pass_on(
    app: &App,
    id: Uuid,
    headers: &HeaderMap,
    mut body: Body,
    mut new: NewInput,
) -> Result<InputEnd, Problem> {
    let eof = std::mem::take(&mut new.eof);
    let mut end = None;
    while let Some(part) = body.frame().await {
        let part =
            part.map_err(|error| Problem::invalid(format!("the body ended early: {error}")))?;
        let Ok(bytes) = part.into_data() else { continue };
        body::check_is(headers, INPUT_TYPE)?;
        let place = app.service.write_input(id, NewInput { bytes, ..new.clone() }).await?;
        end = Some(place);
        if new.offset.is_some() {
            new.offset = end;
        }
    }
    if eof || end.is_none() {
        let rest = NewInput { eof, ..new };
        end = Some(app.service.write_input(id, rest).await?);
    }
    Ok(InputEnd { offset: end.unwrap_or_default() })
}

/// Reads the place that a request names.
fn offset(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(UPLOAD_OFFSET_HEADER) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        Problem::invalid(format!("the header Upload-Offset is {value:?}, which is no number"))
            .field("Upload-Offset")
            .fix("give the number of bytes that were written before")
    })
}
