//! Tokens of clients that call over the network.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;

use super::id::PlainName;
use super::query::NoParameters;
use super::{App, body};
use crate::problem::Problem;
use crate::view::{NewToken, TokenList};

/// `GET /v1/tokens`
pub(super) async fn list(State(app): State<App>, _: NoParameters) -> Json<TokenList> {
    Json(app.service.tokens())
}

/// `POST /v1/tokens`: the answer has the only copy of the token, so no cache is to keep it.
pub(super) async fn create(
    State(app): State<App>,
    _: NoParameters,
    request: Request<Body>,
) -> Result<impl IntoResponse, Problem> {
    let new: NewToken = body::json(request).await?;
    let created = app.service.create_token(new).await?;
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(created)))
}

/// `DELETE /v1/tokens/{name}`: what is open for it ends.
pub(super) async fn revoke(
    State(app): State<App>,
    PlainName(name): PlainName,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    app.service.revoke_token(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
