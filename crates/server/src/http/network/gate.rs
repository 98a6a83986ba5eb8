//! What a request over the network must pass before a route sees it, in this order: its host and origin, its token, and
//! the limits of the token. The scope comes last, with the route.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::watch;

use super::answer::Guarded;
use super::host::Hosts;
use crate::http::caller::Caller;
use crate::problem::{Challenge, Problem};
use crate::service::{Excess, Grant, Refusal, Service};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) service: Service,
    pub(super) hosts: Hosts,
}

/// A connection.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// The address that the client has connected to.
    pub(super) local: IpAddr,
    /// What the last request with a good token may do: without it a connection has little time.
    pub(super) last: watch::Sender<Option<Arc<Grant>>>,
}

impl Link {
    fn note(&self, grant: &Arc<Grant>) {
        self.last.send_if_modified(|last| {
            let is_new = last.as_ref().is_none_or(|last| !Arc::ptr_eq(last, grant));
            if is_new {
                *last = Some(Arc::clone(grant));
            }
            is_new
        });
    }
}

/// Lets a request pass, or says why not.
pub(super) async fn admit(
    State(gate): State<Arc<Gate>>,
    Extension(link): Extension<Link>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    gate.hosts.check(&parts, link.local)?;
    let grant = grant(&gate.service, &parts.headers)?;
    link.note(&grant);
    let open = grant.begin().map_err(|excess| too_much(&grant, excess))?;
    parts.extensions.insert(Caller::Token(Arc::clone(&grant)));
    let is_removal = parts.method == Method::DELETE;
    let over = async {
        if is_removal {
            // It is short, and goes on to its end: what it removes may be its own token.
            std::future::pending::<()>().await;
        }
        Arc::clone(&grant).over().await;
    };
    let response = tokio::select! {
        response = next.run(Request::from_parts(parts, body)) => response,
        () = over => return Err(refused("the token was revoked or has expired meanwhile", true)),
    };
    Ok(response.map(|body| Body::new(Guarded::new(body, grant.over(), open))))
}

/// Finds the token of a request.
fn grant(service: &Service, headers: &HeaderMap) -> Result<Arc<Grant>, Problem> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err(refused("the request has no token, or more than one", false));
    };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let Some(token) = token else {
        return Err(refused("the header Authorization has no token of the kind Bearer", false));
    };
    service.grant(token).map_err(|refusal| match refusal {
        Refusal::Unknown => refused("the token is not known, or was revoked", true),
        Refusal::Expired => refused("the token has expired", true),
    })
}

/// Creates the answer to a request without a good token.
fn refused(detail: &str, has_token: bool) -> Problem {
    let challenge = if has_token { Challenge::AnotherToken } else { Challenge::Token };
    Problem::of_http(401, "unauthorized", "A token is needed", detail)
        .challenge(challenge)
        .fix(
            "send the header Authorization: Bearer TOKEN; exeng token create makes one on the machine of the service",
        )
}

/// Creates the answer to a request that is one too many.
fn too_much(grant: &Grant, excess: Excess) -> Problem {
    let name = grant.name();
    let (detail, seconds) = match excess {
        Excess::Rate { seconds, most } => {
            (format!("the token {name} may send {most} requests per second"), seconds)
        }
        Excess::Open { most } => {
            (format!("the token {name} has {most} requests open, and may have no more"), 1)
        }
    };
    let problem = Problem::of_http(429, "too_many_requests", "There are too many requests", detail)
        .fix("send fewer at a time, or raise the limit under [http] of the configuration");
    Problem { retry_after: Some(seconds), ..problem }
}
