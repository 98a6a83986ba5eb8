//! The service over HTTP/1.1 on a unix socket. One file per resource; all errors are problem documents.
//!
//! | route | file |
//! |---|---|
//! | `POST`, `GET /v1/executions`, `PUT /v1/executions/{uuid}`, `POST /v1/executions/{id}/rerun` | `executions` |
//! | `GET`, `PATCH`, `DELETE /v1/executions/{id}`, its `wait`, `cancel`, `signal`, `pause`, `resume` | `execution` |
//! | its `input` | `input` |
//! | its `events` | `events` |
//! | its `output` | `output` |
//! | `POST`, `GET /v1/schedules`, `GET`, `PATCH`, `DELETE /v1/schedules/{id}`, its `run` | `schedules` |
//! | `POST`, `GET /v1/plans`, `GET`, `DELETE /v1/plans/{id}`, its `changes`, `cancel`, `resume` | `plans` |
//! | its `record` and `journal`; `PUT`, `POST`, `DELETE /v1/imports/{uuid}` | `imports` |
//! | `GET /v1/groups`, `GET`, `PUT`, `DELETE /v1/groups/{name}` | `groups` |
//! | `POST /v1/service/gc` | `gc` |
//! | `GET /v1/service`, `/healthz`, `/readyz` | `status` |

mod body;
mod events;
mod execution;
mod executions;
mod gc;
mod groups;
mod id;
mod imports;
mod input;
mod listener;
mod output;
mod plans;
mod problem;
mod query;
mod range;
mod schedules;
mod socket_name;
mod status;
mod tail;

use std::future::{Future, IntoFuture as _};
use std::io;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Router, http::Method, http::Uri};
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::problem::Problem;
use crate::service::Service;
use listener::{Connections, Peer};

/// Header with the cursor that an output reaches to: the events behind it have exactly what is not
/// in the output.
pub(crate) const CURSOR_HEADER: &str = "exeng-cursor";
/// Header with the place of the first byte of an answer in the whole output.
pub(crate) const OFFSET_HEADER: &str = "exeng-offset";
/// Header with a key under which the same work is accepted once.
pub(crate) const KEY_HEADER: &str = "idempotency-key";

/// Header with the place of the first byte of a body in the whole input of a program.
pub(crate) const UPLOAD_OFFSET_HEADER: &str = "upload-offset";
/// Type of a body with input for a program.
pub(crate) const INPUT_TYPE: &str = "application/octet-stream";

/// Longest time for which answers that are under way are waited for when the service ends.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What all routes have.
#[derive(Clone)]
struct App {
    service: Service,
    /// Becomes true when the service ends. What would go on for ever ends then: a stream of events
    /// would keep its connection, and so the service, alive (tokio-rs/axum#2673).
    stopping: watch::Receiver<bool>,
}

impl App {
    /// Waits until the service ends.
    async fn stopped(mut self) {
        // An error is the end of the sender, which is the end of the service, too.
        let _ = self.stopping.wait_for(|stopping| *stopping).await;
    }
}

/// Serves HTTP on a socket until `stop` is ready. Then no connection is accepted any more, streams of
/// events end, and what is under way is answered, for at most 5 seconds.
///
/// If the socket is that of the state directory and is removed, it is made again within a second; if its
/// directory is gone and cannot be made again, in the state directory, until it can. At the end it is removed, unless
/// another process has made another one in its place.
///
/// The peer of a connection must be the user of this process, or root. At most 1,000 connections are
/// served at a time; more wait to be accepted.
///
/// # Errors
/// None today; the result is there for what the system may refuse later.
///
/// ```no_run
/// # async fn example(service: execution_engine_server::Service) -> std::io::Result<()> {
/// let listener = tokio::net::UnixListener::bind("/run/user/1000/exeng/exeng.sock")?;
/// let stop = async { tokio::signal::ctrl_c().await.unwrap() };
/// execution_engine_server::serve(service, listener, stop).await
/// # }
/// ```
pub async fn serve(
    service: Service,
    listener: UnixListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (sender, stopping) = watch::channel(false);
    let connections = Connections::new(listener, &service);
    let app = App { service, stopping };
    let last_answers = {
        let stopped = app.clone().stopped();
        async move {
            stopped.await;
            // The timer and nothing else: a client that is slower than this is cut off.
            let _ = tokio::time::timeout(LAST_ANSWERS, std::future::pending::<()>()).await;
        }
    };
    let routes = router(app).into_make_service_with_connect_info::<Peer>();
    let stop = async move {
        stop.await;
        sender.send_replace(true);
    };
    let served = axum::serve(connections, routes).with_graceful_shutdown(stop);
    tokio::select! {
        ended = served.into_future() => ended,
        () = last_answers => Ok(()),
    }
}

/// Creates the routes.
fn router(app: App) -> Router {
    let one = get(execution::show)
        .patch(execution::change)
        .delete(execution::remove)
        .put(executions::put);
    let schedule = get(schedules::show).patch(schedules::change).delete(schedules::remove);
    Router::new()
        .route("/v1/executions", get(executions::list).post(executions::submit))
        .route("/v1/executions/{id}", one)
        .route("/v1/executions/{id}/wait", get(execution::wait))
        .route("/v1/executions/{id}/cancel", post(execution::cancel))
        .route("/v1/executions/{id}/signal", post(execution::signal))
        .route("/v1/executions/{id}/pause", post(execution::pause))
        .route("/v1/executions/{id}/resume", post(execution::resume))
        .route("/v1/executions/{id}/rerun", post(executions::rerun))
        .route("/v1/executions/{id}/input", get(input::end).post(input::write))
        .route("/v1/executions/{id}/events", get(events::follow))
        .route("/v1/executions/{id}/output", get(output::read))
        .route("/v1/plans", get(plans::list).post(plans::submit))
        .route("/v1/plans/{id}", get(plans::show).delete(plans::remove))
        .route("/v1/plans/{id}/changes", get(plans::changes))
        .route("/v1/plans/{id}/cancel", post(plans::cancel))
        .route("/v1/plans/{id}/resume", post(plans::resume))
        .route("/v1/schedules", get(schedules::list).post(schedules::create))
        .route("/v1/schedules/{id}", schedule)
        .route("/v1/schedules/{id}/run", post(schedules::run))
        .route("/v1/executions/{id}/record", get(imports::record))
        .route("/v1/executions/{id}/journal", get(imports::journal))
        .route(
            "/v1/imports/{id}",
            put(imports::upload).post(imports::import).delete(imports::discard),
        )
        .route("/v1/groups", get(groups::list))
        .route("/v1/groups/{name}", get(groups::show).put(groups::set).delete(groups::remove))
        .route("/v1/service", get(status::service))
        .route("/v1/service/gc", post(gc::gc))
        .route("/healthz", get(status::healthy))
        .route("/readyz", get(status::ready))
        .fallback(no_such_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(only_owner))
        .with_state(app)
}

/// Refuses all peers but the user of this process and root.
async fn only_owner(
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    peer.check()?;
    Ok(next.run(request).await)
}

async fn no_such_route(uri: Uri) -> Problem {
    let detail = format!("there is no route {}", uri.path());
    Problem::of_http(404, "no_such_route", "There is no such route", detail)
        .fix("the routes begin with /v1/executions, /v1/plans, /v1/schedules, /v1/groups and /v1/service")
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} does not fit {}", uri.path());
    Problem::of_http(405, "method_not_allowed", "The method does not fit", detail)
        .fix("the header Allow has those that do")
}
