//! Groups of executions, and their limits.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};

use super::id::PlainName;
use super::query::NoParameters;
use super::{App, body};
use crate::problem::Problem;
use crate::view::{GroupChange, GroupList, GroupView};

/// `GET /v1/groups`
pub(super) async fn list(State(app): State<App>, _: NoParameters) -> Json<GroupList> {
    Json(app.service.groups())
}

/// `GET /v1/groups/{name}`
pub(super) async fn show(
    State(app): State<App>,
    PlainName(name): PlainName,
    _: NoParameters,
) -> Result<Json<GroupView>, Problem> {
    Ok(Json(app.service.group(&name)?))
}

/// `PUT /v1/groups/{name}`: what the body leaves out stays as it is.
pub(super) async fn set(
    State(app): State<App>,
    PlainName(name): PlainName,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<GroupView>, Problem> {
    let change: GroupChange = body::json(request).await?;
    Ok(Json(app.service.set_group(&name, change).await?))
}

/// `DELETE /v1/groups/{name}`
pub(super) async fn remove(
    State(app): State<App>,
    PlainName(name): PlainName,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    app.service.remove_group(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
