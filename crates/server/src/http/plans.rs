//! Plans.

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::caller::Caller;
use super::executions::{key, limit, status};
use super::id::Name;
use super::query::{NoParameters, Parameters};
use super::{App, body};
use crate::error::{ErrorCode, ServiceError};
use crate::problem::Problem;
use crate::view::{CancelPlan, NewPlan, PlanPage, PlanQuery, PlanView, ResumePlan};

/// `POST /v1/plans`
pub(super) async fn submit(
    State(app): State<App>,
    caller: Caller,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let key = key(request.headers())?;
    let new: NewPlan = body::json(request).await?;
    let submitted = app.service.submit_plan(new, key.as_deref(), caller.owner()).await?;
    let status = if submitted.created { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/v1/plans/{}", submitted.plan.id);
    Ok((status, [(LOCATION, location)], Json(submitted.plan)).into_response())
}

/// `GET /v1/plans`
pub(super) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Json<PlanPage>, Problem> {
    let mut all = Parameters::new(query.as_deref());
    let query = PlanQuery {
        status: all.many("status").iter().map(|name| status(name)).collect::<Result<_, _>>()?,
        limit: limit(&mut all)?,
        cursor: all.one("cursor")?,
    };
    all.finish()?;
    Ok(Json(app.service.list_plans(query).await?))
}

/// `GET /v1/plans/{id}`
pub(super) async fn show(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
) -> Result<Json<PlanView>, Problem> {
    let id = resolve(&app, &name).await?;
    Ok(Json(app.service.plan(id).await?))
}

/// `DELETE /v1/plans/{id}`
pub(super) async fn remove(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let id = resolve(&app, &name).await?;
    app.service.remove_plan(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/plans/{id}/changes?after=`: answers when the plan has changed behind a version, or has ended.
pub(super) async fn changes(
    State(app): State<App>,
    name: Name,
    RawQuery(query): RawQuery,
) -> Result<Json<PlanView>, Problem> {
    let mut all = Parameters::new(query.as_deref());
    let after = all.parsed("after", "the version of a plan")?.unwrap_or(0);
    all.finish()?;
    let id = resolve(&app, &name).await?;
    tokio::select! {
        changed = app.service.plan_changes(id, after) => Ok(Json(changed?)),
        () = app.clone().stopped() => {
            let stopping = ServiceError::new(ErrorCode::Stopping, "the service is ending");
            Err(stopping.fix("ask again when it runs").into())
        }
    }
}

/// `POST /v1/plans/{id}/cancel`
pub(super) async fn cancel(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<PlanView>, Problem> {
    let cancel: CancelPlan = body::json_or_default(request).await?;
    let id = resolve(&app, &name).await?;
    Ok(Json(app.service.cancel_plan(id, cancel).await?))
}

/// `POST /v1/plans/{id}/resume`
pub(super) async fn resume(
    State(app): State<App>,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<PlanView>, Problem> {
    let resume: ResumePlan = body::json_or_default(request).await?;
    let id = resolve(&app, &name).await?;
    Ok(Json(app.service.resume_plan(id, resume).await?))
}

async fn resolve(app: &App, name: &Name) -> Result<Uuid, Problem> {
    Ok(app.service.resolve_plan(name.text()).await?)
}
