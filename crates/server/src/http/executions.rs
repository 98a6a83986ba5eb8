//! All executions: accepting new ones, also those that run again, and listing them.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use execution_engine::ExecutionStatus;
use serde::Deserialize;
use uuid::Uuid;

use super::caller::Caller;
use super::id::Name;
use super::query::{NoParameters, Parameters, refused};
use super::{App, KEY_HEADER, body};
use crate::error::ServiceError;
use crate::problem::Problem;
use crate::view::{NewExecution, Page, Query, Rerun, Submitted};

/// Longest idempotency key in bytes.
const LONGEST_KEY: usize = 255;
/// Longest page of a list.
const LONGEST_PAGE: usize = 1_000;

/// `POST /v1/executions`
pub(super) async fn submit(
    State(app): State<App>,
    caller: Caller,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let key = key(request.headers())?;
    let new: NewExecution = body::json(request).await?;
    accepted(app.service.submit(new, key.as_deref(), caller.owner()).await?)
}

/// `PUT /v1/executions/{uuid}`: as often as one likes, with one execution.
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let id = name.whole()?;
    if request.headers().contains_key(KEY_HEADER) {
        let why = "the id in the path is the key already";
        return Err(Problem::invalid(why).field("Idempotency-Key").fix("leave the header out"));
    }
    let bytes = body::json_bytes(request).await?;
    let mut new: NewExecution = body::parse(&bytes)?;
    check_same_id(&bytes, id)?;
    new.request.id = id;
    accepted(app.service.submit(new, None, caller.owner()).await?)
}

/// `POST /v1/executions/{id}/rerun`
pub(super) async fn rerun(
    State(app): State<App>,
    caller: Caller,
    name: Name,
    _: NoParameters,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let key = key(request.headers())?;
    let rerun: Rerun = body::json_or_default(request).await?;
    let id = name.resolve(&app).await?;
    accepted(app.service.rerun(id, rerun, key.as_deref(), caller.owner()).await?)
}

/// Refuses a body whose id is not that of the path.
fn check_same_id(body: &Bytes, id: Uuid) -> Result<(), Problem> {
    // A request that is read has an id in any case, so only the JSON tells whether it was given.
    #[derive(Deserialize)]
    struct WithRequest {
        request: WithId,
    }
    #[derive(Deserialize)]
    struct WithId {
        id: Option<Uuid>,
    }
    let given = serde_json::from_slice::<WithRequest>(body).ok().and_then(|body| body.request.id);
    match given {
        Some(given) if given != id => {
            let detail = format!("the body has the id {given}, and the path has {id}");
            Err(ServiceError::invalid("request.id", detail).fix("leave it out of the body").into())
        }
        _ => Ok(()),
    }
}

/// Creates the answer for an execution that is durable now.
pub(super) fn accepted(submitted: Submitted) -> Result<Response, Problem> {
    let status = if submitted.created { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/v1/executions/{}", submitted.execution.id);
    Ok((status, [(LOCATION, location)], Json(submitted.execution)).into_response())
}

/// Returns the idempotency key of a request.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(KEY_HEADER).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let is_good = |key: &&str| !key.trim().is_empty() && key.len() <= LONGEST_KEY;
    match (str::from_utf8(key.as_bytes()).ok().filter(is_good), keys.next()) {
        (Some(key), None) => Ok(Some(key.to_string())),
        _ => {
            let detail = "the idempotency key is empty, too long, not UTF-8, or given twice";
            let fix = format!("give one key of 1 to {LONGEST_KEY} bytes");
            Err(Problem::invalid(detail).field("Idempotency-Key").fix(fix))
        }
    }
}

/// `GET /v1/executions`
pub(super) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Json<Page>, Problem> {
    Ok(Json(app.service.list(filters(query.as_deref())?).await?))
}

/// Reads the filters of a list.
fn filters(query: Option<&str>) -> Result<Query, Problem> {
    let mut all = Parameters::new(query);
    let filters = Query {
        status: all.many("status").iter().map(|name| status(name)).collect::<Result<_, _>>()?,
        tags: all.many("tag"),
        labels: all.many("label").iter().map(|pair| label(pair)).collect::<Result<_, _>>()?,
        group: all.one("group")?,
        plan: all.parsed("plan", "the id of a plan")?,
        schedule: all.parsed("schedule", "the whole id of a schedule")?,
        since: all.time("since")?,
        until: all.time("until")?,
        text: all.one("q")?,
        limit: limit(&mut all)?,
        cursor: all.one("cursor")?,
    };
    all.finish()?;
    Ok(filters)
}

pub(super) fn status(name: &str) -> Result<ExecutionStatus, Problem> {
    serde_json::from_value(name.into()).map_err(|_| {
        refused("status", &format!("{name:?} is no status"))
            .fix("use pending, running, completed, failed, cancelled, timeout or lost")
    })
}

fn label(pair: &str) -> Result<(String, String), Problem> {
    let (name, value) = pair.split_once('=').ok_or_else(|| {
        refused("label", &format!("{pair:?} has no =")).fix("write it as label=name%3Dvalue")
    })?;
    Ok((name.to_string(), value.to_string()))
}

pub(super) fn limit(all: &mut Parameters) -> Result<Option<usize>, Problem> {
    let expected = format!("a number from 1 to {LONGEST_PAGE}");
    match all.parsed("limit", &expected)? {
        Some(limit) if !(1..=LONGEST_PAGE).contains(&limit) => {
            Err(refused("limit", &format!("{limit} is not {expected}")))
        }
        limit => Ok(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read() {
        let query =
            "status=running&status=failed&tag=a&label=k%3Dv%3Dw&group=g&q=make&limit=7&cursor=c";
        let filters = filters(Some(query)).unwrap();
        assert_eq!(filters.status, [ExecutionStatus::Running, ExecutionStatus::Failed]);
        assert_eq!(filters.labels, [("k".to_string(), "v=w".to_string())]);
        assert_eq!((filters.tags, filters.group), (vec!["a".to_string()], Some("g".to_string())));
        assert_eq!((filters.text.as_deref(), filters.limit), (Some("make"), Some(7)));
        assert_eq!(filters.cursor.as_deref(), Some("c"));
    }

    #[test]
    fn mistakes_in_filters_are_named() {
        for (query, field) in [
            ("status=done", "status"),
            ("label=k", "label"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=-1", "limit"),
            ("tags=a", "tags"),
            ("schedule=nightly", "schedule"),
            ("group=a&group=b", "group"),
        ] {
            let problem = filters(Some(query)).unwrap_err();
            assert_eq!((problem.status, problem.field.as_deref()), (400, Some(field)), "{query}");
        }
    }

    #[test]
    fn key_is_checked() {
        let read = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY_HEADER, axum::http::HeaderValue::from_bytes(value).unwrap());
            }
            key(&headers)
        };
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[b"nightly-7"]).unwrap().as_deref(), Some("nightly-7"));
        assert_eq!(
            read(&["n\u{e4}chtlich".as_bytes()]).unwrap().as_deref(),
            Some("n\u{e4}chtlich")
        );
        for bad in [&[&b""[..]][..], &[b" "], &[b"\xff"], &[&[b'k'; 256]], &[b"a", b"b"]] {
            assert_eq!(read(bad).unwrap_err().field.as_deref(), Some("Idempotency-Key"), "{bad:?}");
        }
    }

    #[test]
    fn ids_of_path_and_body_agree() {
        let id = Uuid::from_u128(7);
        for body in [
            r#"{"request": {"command": ["true"]}}"#.to_string(),
            format!(r#"{{"request": {{"id": "{id}"}}}}"#),
        ] {
            check_same_id(&body.into(), id).unwrap();
        }
        let other = format!(r#"{{"request": {{"id": "{}"}}}}"#, Uuid::from_u128(8));
        let problem = check_same_id(&other.into(), id).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("request.id"));
    }
}
