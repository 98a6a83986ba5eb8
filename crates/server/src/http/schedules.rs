//! Schedules.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};

use super::caller::Caller;
use super::executions::{accepted, key};
use super::id::Name;
use super::query::NoParameters;
use super::{App, body};
use crate::problem::Problem;
use crate::view::{NewSchedule, RunSchedule, ScheduleChange, ScheduleView, Schedules};

/// `POST /v1/schedules`
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let key = key(request.headers())?;
    let new: NewSchedule = body::json(request).await?;
    let made = app.service.create_schedule(new, key.as_deref(), caller.owner()).await?;
    let status = if made.created { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/v1/schedules/{}", made.schedule.id);
    Ok((status, [(LOCATION, location)], Json(made.schedule)).into_response())
}

/// `GET /v1/schedules`
pub(super) async fn list(
    State(app): State<App>,
    _: NoParameters,
) -> Result<Json<Schedules>, Problem> {
    Ok(Json(app.service.schedules().await?))
}

/// `GET /v1/schedules/{id}`
pub(super) async fn show(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
) -> Result<Json<ScheduleView>, Problem> {
    let id = name.resolve_schedule(&app).await?;
    Ok(Json(app.service.schedule(id).await?))
}

/// `PATCH /v1/schedules/{id}`
pub(super) async fn change(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<ScheduleView>, Problem> {
    let ScheduleChange { paused } = body::json(request).await?;
    let id = name.resolve_schedule(&app).await?;
    Ok(Json(app.service.pause_schedule(id, paused).await?))
}

/// `DELETE /v1/schedules/{id}`
pub(super) async fn remove(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let id = name.resolve_schedule(&app).await?;
    app.service.remove_schedule(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/schedules/{id}/run`
pub(super) async fn run(
    State(app): State<App>,
    caller: Caller,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let run: RunSchedule = body::json_or_default(request).await?;
    let id = name.resolve_schedule(&app).await?;
    accepted(app.service.run_schedule(id, run, caller.owner()).await?)
}
