//! Bodies of requests: JSON, bounded, with errors that name the field.

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Most bytes of a body.
pub(super) const MOST_BYTES: usize = 16 << 20;

/// Reads the body of a request as JSON.
pub(super) async fn json<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Problem> {
    parse(&json_bytes(request).await?)
}

/// Reads the body of a request that says that it is JSON.
pub(super) async fn json_bytes(request: Request<Body>) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    check_type(&parts.headers)?;
    bytes(body).await
}

/// Like [`json`], but of a body that may be left out.
pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
    request: Request<Body>,
) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = bytes(body).await?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    check_type(&parts.headers)?;
    parse(&bytes)
}

/// Refuses a body that does not say that it is JSON. A page in a browser can send others to anywhere
/// without being asked.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    check_is(headers, "application/json")
}

/// Refuses a body that does not say that it is of this type.
pub(super) fn check_is(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is = value.split(';').next().unwrap_or_default().trim();
    if is.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let detail = format!("the content type of the body is {is:?}");
    Err(Problem::of_http(415, "unsupported_media_type", "The content type does not fit", detail)
        .field("Content-Type")
        .fix(format!("send it with the header Content-Type: {wanted}")))
}

/// Reads a body to its end.
pub(super) async fn bytes(body: Body) -> Result<Bytes, Problem> {
    match Limited::new(body, MOST_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the body has more than {MOST_BYTES} bytes");
            Err(Problem::of_http(413, "body_too_large", "The request is too large", detail)
                .fix("give large input as a file (stdin: {\"type\": \"file\", \"path\": ..})"))
        }
        Err(error) => Err(Problem::invalid(format!("the body ended early: {error}"))),
    }
}

/// Reads JSON. Errors name the field, and show no value of an environment.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refused(&path, &error.into_inner())
    })?;
    reader.end().map_err(|error| refused(".", &error))?;
    Ok(value)
}

/// Creates the error for JSON that was not understood.
fn refused(path: &str, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return Problem::invalid(format!("the body is no JSON: {error}"));
    }
    let is_env = path.split('.').any(|part| part == "env" || part == "inherited_env");
    let problem = if is_env {
        // The error may quote the value.
        Problem::invalid(format!("{path} does not have the form of variables"))
            .fix("give a text for each name")
    } else {
        Problem::invalid(format!("the body is refused at {path}: {error}"))
    };
    if path == "." { problem } else { problem.field(path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::NewExecution;

    fn problem(json: &str) -> Problem {
        parse::<NewExecution>(json.as_bytes()).unwrap_err()
    }

    #[test]
    fn errors_name_the_field() {
        let unknown = problem(r#"{"request": {"command": ["true"]}, "optons": {}}"#);
        assert_eq!((unknown.status, unknown.field.as_deref()), (400, Some("optons")));
        assert!(unknown.detail.contains("unknown field `optons`"), "{unknown}");

        let nested = problem(r#"{"request": {"command": ["true"], "timeout_ms": "soon"}}"#);
        assert_eq!(nested.field.as_deref(), Some("request.timeout_ms"));

        let none = problem("{}");
        assert!(none.detail.contains("missing field `request`"), "{none}");
    }

    #[test]
    fn no_value_of_the_environment_is_shown() {
        for json in [
            r#"{"request": {"command": ["true"], "env": {"PIN": 271828}}}"#,
            r#"{"request": {"command": ["true"], "env": "271828"}}"#,
            r#"{"request": {"command": ["true"]}, "options": {"env": {"set": {"PIN": 271828}}}}"#,
            r#"{"request": {"command": ["true"]}, "options": {"env": {"sett": 271828}}}"#,
            r#"{"request": {"command": ["true"]}, "inherited_env": {"PIN": 271828}}"#,
        ] {
            let problem = problem(json);
            assert!(problem.field.as_deref().unwrap().contains("env"), "{problem:?}");
            assert!(!format!("{problem:?}").contains("271828"), "{problem:?}");
        }
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for json in ["", "{", "{\"request\": {\"command\": [\"true\"]}} x", "\u{0}"] {
            let problem = problem(json);
            assert!(problem.detail.starts_with("the body is no JSON: "), "{json:?}: {problem}");
            assert_eq!((problem.status, problem.field), (400, None));
        }
    }
}
