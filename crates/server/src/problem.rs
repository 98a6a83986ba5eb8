//! Errors of the HTTP interface: `application/problem+json`, after RFC 9457.

use std::fmt;

use execution_engine_store::TokenScope;
use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, ServiceError};

/// Error as an HTTP client gets it. Its texts are boxed, so that a `Result` with it stays small.
///
/// ```
/// use execution_engine_server::{ErrorCode, Problem, ServiceError};
///
/// let error = ServiceError::new(ErrorCode::StoreFull, "the disk is full").fix("make room on it");
/// let problem = Problem::from(error);
/// assert_eq!((problem.status, problem.retry_after), (507, Some(10)));
/// assert_eq!(problem.to_string(), "the disk is full; make room on it");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// URI of the kind of error: `urn:exeng:` and the code.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// The kind in words, the same for all errors of the kind.
    pub title: Box<str>,
    /// HTTP status.
    pub status: u16,
    /// What failed.
    #[serde(default)]
    pub detail: Box<str>,
    /// Stable name of the error, in snake_case: that of [`ErrorCode`], or of HTTP itself
    /// (`no_such_route`).
    #[serde(default)]
    pub code: Box<str>,
    /// Field of the request that is wrong, as a path: `request.working_dir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Box<str>>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Box<str>>,
    /// Seconds after which the same request may succeed; also the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// What the caller has to show to be served: the header `WWW-Authenticate`.
    #[serde(skip)]
    pub(crate) challenge: Option<Challenge>,
}

/// What a caller has to show to be served, after RFC 6750.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token.
    Token,
    /// Another token than the one that it has.
    AnotherToken,
    /// A token with this scope.
    Scope(TokenScope),
}

/// The value of the header.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer realm=\"exeng\"")?;
        match self {
            Self::Token => Ok(()),
            Self::AnotherToken => f.write_str(", error=\"invalid_token\""),
            Self::Scope(scope) => write!(f, ", error=\"insufficient_scope\", scope=\"{scope}\""),
        }
    }
}

impl Problem {
    /// Creates an error that HTTP itself has, and the service has not.
    pub(crate) fn of_http(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:exeng:{code}").into(),
            title: title.into(),
            status,
            detail: detail.into().into(),
            code: code.into(),
            field: None,
            fix: None,
            retry_after: None,
            challenge: None,
        }
    }

    /// Creates the error for something in a request that is not valid.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        ServiceError::new(ErrorCode::InvalidRequest, detail).into()
    }

    /// Names the field.
    #[must_use]
    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into().into());
        self
    }

    /// Says what the caller has to show.
    #[must_use]
    pub(crate) fn challenge(mut self, challenge: Challenge) -> Self {
        self.challenge = Some(challenge);
        self
    }

    /// Says what to do.
    #[must_use]
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into().into());
        self
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let ServiceError { code, detail, field, fix } = error;
        let of_code = Self::of_http(code.http_status(), code.as_str(), code.title(), detail);
        let (field, fix) = (field.map(Into::into), fix.map(Into::into));
        Self { field, fix, retry_after: code.retry_after(), ..of_code }
    }
}

/// What failed and what to do, in one line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.detail.is_empty() { &self.title } else { &self.detail })?;
        self.fix.iter().try_for_each(|fix| write!(f, "; {fix}"))
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_form_has_the_members_of_the_rfc() {
        let error =
            ServiceError::new(ErrorCode::StoreFull, "the disk is full").fix("make room on it");
        let problem = Problem::from(error.field("request"));
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:exeng:store_full",
                "title": "The store cannot be written",
                "status": 507,
                "detail": "the disk is full",
                "code": "store_full",
                "field": "request",
                "fix": "make room on it",
                "retry_after": 10
            })
        );
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
    }

    #[test]
    fn answer_of_another_service_is_understood() {
        let bare = r#"{"type": "about:blank", "title": "Teapot", "status": 418, "more": 1}"#;
        let problem: Problem = serde_json::from_str(bare).unwrap();
        assert_eq!((problem.to_string().as_str(), &*problem.code), ("Teapot", ""));
    }
}
