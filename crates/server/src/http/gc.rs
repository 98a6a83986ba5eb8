//! Retention, now.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;

use super::query::NoParameters;
use super::{App, body};
use crate::problem::Problem;
use crate::view::{Gc, GcReport};

/// `POST /v1/service/gc`: answers when it is done. A client that does not wait for that stops it after a step.
pub(super) async fn gc(
    State(app): State<App>,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Json<GcReport>, Problem> {
    let gc: Gc = body::json_or_default(request).await?;
    Ok(Json(app.service.gc(gc).await?))
}
