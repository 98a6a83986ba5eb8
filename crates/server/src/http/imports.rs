//! Executions that go from one service to another: records and journals, out and in.

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::caller::Caller;
use super::id::Name;
use super::input::offset;
use super::query::{NoParameters, Parameters};
use super::{App, INPUT_TYPE, body};
use crate::problem::Problem;
use crate::view::{ImportAnswer, Record};

/// `GET /v1/executions/{id}/record`
pub(super) async fn record(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
) -> Result<Json<Record>, Problem> {
    let id = name.resolve(&app).await?;
    Ok(Json(app.service.record(id).await?))
}

/// `GET /v1/executions/{id}/journal?offset=`: at most 1 MiB of it, and nothing at the end.
pub(super) async fn journal(
    State(app): State<App>,
    name: Name,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut all = Parameters::new(query.as_deref());
    let offset = all.parsed("offset", "a number of bytes")?.unwrap_or(0);
    all.finish()?;
    let id = name.resolve(&app).await?;
    let piece = app.service.journal(id, offset).await?;
    Ok(([(CONTENT_TYPE, INPUT_TYPE)], piece).into_response())
}

/// `PUT /v1/imports/{uuid}`: a piece of a journal, with its place in the header `Upload-Offset`.
pub(super) async fn upload(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    let upload = name.whole()?;
    let offset = offset(request.headers())?.unwrap_or(0);
    body::check_is(request.headers(), INPUT_TYPE)?;
    let piece = body::bytes(request.into_body()).await?;
    app.service.upload(upload, offset, piece).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/imports/{uuid}`: the record that the journal belongs to.
pub(super) async fn import(
    State(app): State<App>,
    caller: Caller,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<ImportAnswer>, Problem> {
    let upload = name.whole()?;
    let record: Record = body::json(request).await?;
    Ok(Json(app.service.import(upload, record, caller.owner()).await?))
}

/// `DELETE /v1/imports/{uuid}`: the journal is not needed.
pub(super) async fn discard(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    app.service.discard_upload(name.whole()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
