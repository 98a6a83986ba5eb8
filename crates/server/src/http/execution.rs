//! One execution: looking at it, waiting for it, stopping, signalling, pausing,
//! pinning and removing it.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Request, StatusCode};
use execution_engine::Signal;
use serde::Deserialize;
use uuid::Uuid;

use super::id::Name;
use super::query::{NoParameters, Parameters};
use super::{App, body};
use crate::error::{ErrorCode, ServiceError};
use crate::problem::Problem;
use crate::view::{ExecutionView, Signalled, StopMode};

/// `GET /v1/executions/{id}`
pub(super) async fn show(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
) -> Result<Json<ExecutionView>, Problem> {
    let id = name.resolve(&app).await?;
    Ok(Json(app.service.get(id).await?))
}

/// Body of a change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// Whether retention keeps it.
    pinned: bool,
}

/// `PATCH /v1/executions/{id}`
pub(super) async fn change(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<ExecutionView>, Problem> {
    let Change { pinned } = body::json(request).await?;
    let id = name.resolve(&app).await?;
    Ok(Json(app.service.pin(id, pinned).await?))
}

/// `DELETE /v1/executions/{id}`
pub(super) async fn remove(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let id = name.resolve(&app).await?;
    app.service.remove(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/executions/{id}/wait?timeout=`: answers when the execution has ended, or after the time in
/// milliseconds, with the execution as it is then.
pub(super) async fn wait(
    State(app): State<App>,
    name: Name,
    RawQuery(query): RawQuery,
) -> Result<Json<ExecutionView>, Problem> {
    let mut all = Parameters::new(query.as_deref());
    let timeout = all.parsed("timeout", "a number of milliseconds")?.map(Duration::from_millis);
    all.finish()?;
    let id = name.resolve(&app).await?;
    tokio::select! {
        waited = app.service.wait(id, timeout) => Ok(Json(waited?)),
        () = app.clone().stopped() => {
            let stopping = ServiceError::new(ErrorCode::Stopping, "the service is ending");
            Err(stopping.fix("wait again when it runs").into())
        }
    }
}

/// Body of a cancel.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Cancel {
    /// Whether the tree is killed at once instead of asked first.
    firm: bool,
}

/// `POST /v1/executions/{id}/cancel`
pub(super) async fn cancel(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<ExecutionView>, Problem> {
    let cancel: Cancel = body::json_or_default(request).await?;
    let mode = if cancel.firm { StopMode::Firm } else { StopMode::Polite };
    let id = name.resolve(&app).await?;
    Ok(Json(app.service.stop_execution(id, mode).await?))
}

/// Body of a signal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SendSignal {
    /// Its name as the engine writes it (`terminate`), or its number.
    signal: Signal,
}

/// `POST /v1/executions/{id}/signal`
pub(super) async fn signal(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<Signalled>, Problem> {
    let SendSignal { signal } = body::json(request).await?;
    let id = name.resolve(&app).await?;
    Ok(Json(Signalled { id, processes: app.service.signal(id, signal).await? }))
}

/// `POST /v1/executions/{id}/pause`
pub(super) async fn pause(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<ExecutionView>, Problem> {
    let id = plain(&app, &name, request).await?;
    Ok(Json(app.service.pause(id).await?))
}

/// `POST /v1/executions/{id}/resume`
pub(super) async fn resume(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<ExecutionView>, Problem> {
    let id = plain(&app, &name, request).await?;
    Ok(Json(app.service.resume(id).await?))
}

/// Body of a request that says nothing.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Nothing {}

/// Finds the execution of a request that has nothing in its body.
async fn plain(app: &App, name: &Name, request: Request<Body>) -> Result<Uuid, Problem> {
    let Nothing {} = body::json_or_default(request).await?;
    name.resolve(app).await
}
