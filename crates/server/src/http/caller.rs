//! Who has sent a request, and what the caller may do.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use execution_engine_store::TokenScope;

use crate::error::{ErrorCode, ServiceError};
use crate::problem::{Challenge, Problem};
use crate::service::Grant;

/// Who has sent a request. A layer around the routes puts it there.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// A user that the service belongs to, by its id: they may do everything.
    Owner(u32),
    /// Somebody with a token.
    Token(Arc<Grant>),
}

impl Caller {
    /// Returns the user id that what it submits belongs to. Who has a token acts for the owner.
    pub(super) fn owner(&self) -> u32 {
        match self {
            Self::Owner(uid) => *uid,
            Self::Token(_) => rustix::process::geteuid().as_raw(),
        }
    }

    /// Refuses a caller without the scope.
    pub(super) fn check(&self, needed: TokenScope, request: &Request) -> Result<(), Problem> {
        let Self::Token(grant) = self else { return Ok(()) };
        if grant.scope().includes(needed) {
            return Ok(());
        }
        let (name, scope) = (grant.name(), grant.scope());
        let (method, path) = (request.method(), request.uri().path());
        let detail = format!(
            "the token {name} has the scope {scope}, and {method} {path} needs the scope {needed}"
        );
        Err(Problem::of_http(403, "missing_scope", "The token does not allow this", detail)
            .challenge(Challenge::Scope(needed))
            .fix(format!("use a token with it: exeng token create NAME --scope {needed}")))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Where no layer has found out who it is, nobody is served.
        let unknown = || ServiceError::new(ErrorCode::Internal, "it is not known who calls");
        parts.extensions.get().cloned().ok_or_else(|| unknown().into())
    }
}
