//! The execution, or another object, that a path names.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use uuid::Uuid;

use super::App;
use crate::error::ServiceError;
use crate::problem::Problem;

/// Name in a path: an id, the beginning of one, or `@last`.
pub(super) struct Name(String);

impl Name {
    /// Finds the execution.
    pub(super) async fn resolve(&self, app: &App) -> Result<Uuid, Problem> {
        Ok(app.service.resolve(&self.0).await?)
    }

    /// Returns it as it is in the path.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Finds the schedule.
    pub(super) async fn resolve_schedule(&self, app: &App) -> Result<Uuid, Problem> {
        Ok(app.service.resolve_schedule(&self.0).await?)
    }

    /// Reads a whole id, as it is needed for an execution that does not exist yet.
    pub(super) fn whole(&self) -> Result<Uuid, Problem> {
        Uuid::parse_str(&self.0).map_err(|_| {
            let detail = format!("{:?} is not a whole id", self.0);
            let fix = "choose a random UUID, and repeat the request with the same one";
            ServiceError::invalid("id", detail).fix(fix).into()
        })
    }
}

impl FromRequestParts<App> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, app).await;
        let refused = |_| ServiceError::invalid("id", "the id in the path is not UTF-8").into();
        name.map(|Path(name)| Self(name)).map_err(refused)
    }
}

/// Name of a group or of a token in a path, as it is there.
pub(super) struct PlainName(pub(super) String);

impl FromRequestParts<App> for PlainName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, app).await;
        let refused = |_| ServiceError::invalid("name", "the name in the path is not UTF-8").into();
        name.map(|Path(name)| Self(name)).map_err(refused)
    }
}
