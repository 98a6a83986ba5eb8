//! How the service is.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;
use super::query::NoParameters;
use crate::error::{ErrorCode, ServiceError};
use crate::problem::Problem;
use crate::view::ServiceStatus;

/// `GET /v1/service`
pub(super) async fn service(
    State(app): State<App>,
    _: NoParameters,
) -> Result<Json<ServiceStatus>, Problem> {
    Ok(Json(app.service.status().await))
}

/// `GET /healthz`: the service answers.
pub(super) async fn healthy() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: the service takes new work.
pub(super) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let store = app.service.status().await.store;
    if store.writable {
        return Ok(Json(json!({"status": "ok"})));
    }
    let reason = store.reason.unwrap_or_else(|| "for an unknown reason".to_string());
    let detail = format!("the store cannot be written: {reason}");
    let problem = ServiceError::new(ErrorCode::StoreFull, detail)
        .fix("make room; the service recovers by itself");
    Err(Problem { status: 503, ..problem.into() })
}
