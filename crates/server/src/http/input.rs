//! Input of a program that runs.

use axum::Json;
use axum::body::{Body, HttpBody as _};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Request};
use bytes::{Bytes, BytesMut};
use execution_engine_keeper::MAX_INPUT_PIECE;
use http_body_util::BodyExt as _;
use uuid::Uuid;

use super::executions::key;
use super::id::Name;
use super::query::{NoParameters, Parameters};
use super::{App, INPUT_TYPE, UPLOAD_OFFSET_HEADER, body};
use crate::error::{ErrorCode, ServiceError};
use crate::problem::Problem;
use crate::view::{InputEnd, NewInput};

/// `GET /v1/executions/{id}/input`
pub(super) async fn end(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
) -> Result<Json<InputEnd>, Problem> {
    let id = name.resolve(&app).await?;
    Ok(Json(app.service.input_end(id).await?))
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
        // All clients that name a place and no writer are one writer, without a name.
        (None, Some(_)) => String::new(),
        (None, None) => Uuid::new_v4().to_string(),
    };
    let id = name.resolve(&app).await?;
    let stopped = app.clone().stopped();
    let new = NewInput { writer, offset, bytes: Bytes::new(), eof };
    tokio::select! {
        written = pass_on(&app, id, &parts.headers, body, new) => {
            written.map(|offset| Json(InputEnd { offset, forgotten: 0 }))
        }
        () = stopped => {
            let stopping = ServiceError::new(ErrorCode::Stopping, "the service is ending");
            Err(stopping.fix("ask for the end of the input when it runs, and go on there").into())
        }
    }
}

/// Passes a body on, piece by piece, and returns the place behind it.
async fn pass_on(
    app: &App,
    id: Uuid,
    headers: &HeaderMap,
    mut body: Body,
    mut new: NewInput,
) -> Result<u64, Problem> {
    let eof = std::mem::take(&mut new.eof);
    // A client that names a place may have to send it again elsewhere, so others must not come between its parts.
    // What has no place is not sent again, and does not wait for more.
    let least = if new.offset.is_some() { MAX_INPUT_PIECE } else { 1 };
    let mut end = None;
    loop {
        new.bytes = next_piece(&mut body, least).await?;
        if !new.bytes.is_empty() {
            body::check_is(headers, INPUT_TYPE)?;
        }
        let is_last = new.bytes.len() < least || body.is_end_stream();
        new.eof = eof && is_last;
        if let Some(offset) = end
            && new.bytes.is_empty()
            && !new.eof
        {
            return Ok(offset);
        }
        let offset = app.service.write_input(id, new.clone()).await?;
        if is_last {
            return Ok(offset);
        }
        new.offset = new.offset.map(|_| offset);
        end = Some(offset);
    }
}

/// Reads a number of bytes of a body, or a part of it that is longer. Returns less only at its end.
async fn next_piece(body: &mut Body, least: usize) -> Result<Bytes, Problem> {
    let mut piece = BytesMut::new();
    while piece.len() < least
        && let Some(part) = body.frame().await
    {
        let part =
            part.map_err(|error| Problem::invalid(format!("the body ended early: {error}")))?;
        if let Ok(bytes) = part.into_data() {
            piece.extend_from_slice(&bytes);
        }
    }
    Ok(piece.freeze())
}

/// Reads the place that a request names.
pub(super) fn offset(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(UPLOAD_OFFSET_HEADER) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        Problem::invalid(format!("the header Upload-Offset is {value:?}, which is no number"))
            .field("Upload-Offset")
            .fix("give the number of bytes that were written before")
    })
}
