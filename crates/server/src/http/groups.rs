//! Groups of executions, and their limits.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};

use super::query::NoParameters;
use super::{App, body};
use crate::error::ServiceError;
use crate::problem::Problem;
use crate::view::{GroupChange, GroupList, GroupView};

/// Name of a group in a path.
pub(super) struct GroupName(String);

impl FromRequestParts<App> for GroupName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, app).await;
        let refused = |_| ServiceError::invalid("name", "the name in the path is not UTF-8").into();
        name.map(|Path(name)| Self(name)).map_err(refused)
    }
}

/// `GET /v1/groups`
pub(super) async fn list(State(app): State<App>, _: NoParameters) -> Json<GroupList> {
    Json(app.service.groups())
}

/// `GET /v1/groups/{name}`
pub(super) async fn show(
    State(app): State<App>,
    GroupName(name): GroupName,
    _: NoParameters,
) -> Result<Json<GroupView>, Problem> {
    Ok(Json(app.service.group(&name)?))
}

/// `PUT /v1/groups/{name}`: what the body leaves out stays as it is.
pub(super) async fn set(
    State(app): State<App>,
    GroupName(name): GroupName,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<GroupView>, Problem> {
    let change: GroupChange = body::json(request).await?;
    Ok(Json(app.service.set_group(&name, change).await?))
}

/// `DELETE /v1/groups/{name}`
pub(super) async fn remove(
    State(app): State<App>,
    GroupName(name): GroupName,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    app.service.remove_group(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
