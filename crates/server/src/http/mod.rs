//! The service over HTTP: on a unix socket for its owner (`listener`), and over TCP for those with a token (`network/`).
//! `routes` has all routes with the scopes that they need. One file per resource; all errors are problem documents.
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
//! | `POST`, `GET /v1/tokens`, `DELETE /v1/tokens/{name}` | `tokens` |
//! | `POST /v1/service/gc` | `gc` |
//! | `GET /v1/service`, `/healthz`, `/readyz` | `status` |

mod body;
mod caller;
mod events;
mod execution;
mod executions;
mod gc;
mod groups;
mod id;
mod imports;
mod input;
mod listener;
mod network;
mod output;
mod plans;
mod problem;
mod query;
mod range;
mod routes;
mod schedules;
mod socket_name;
mod status;
mod tail;
mod tokens;

use std::future::{Future, IntoFuture as _};
use std::io;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::problem::Problem;
use crate::service::Service;
use caller::Caller;
use listener::{Connections, Peer};

pub use network::NetworkListener;

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

/// Where the service is reached.
#[derive(Debug)]
pub struct Listeners {
    /// The socket of its owner.
    pub unix: UnixListener,
    /// A port for those with a token.
    pub network: Option<NetworkListener>,
}

impl From<UnixListener> for Listeners {
    fn from(unix: UnixListener) -> Self {
        Self { unix, network: None }
    }
}

/// Serves HTTP on a socket, and on a port if there is one, until `stop` is ready. Then no connection is accepted any more, streams of
/// events end, and what is under way is answered, for at most 5 seconds.
///
/// If the socket is that of the state directory and is removed, it is made again within a second; if its
/// directory is gone and cannot be made again, in the state directory, until it can. At the end it is removed, unless
/// another process has made another one in its place.
///
/// The peer of a connection on the socket must be the user of this process, or root. At most 1,000 connections are
/// served at a time there; more wait to be accepted. Who calls over the network needs a
/// [token](Service::create_token).
///
/// # Errors
/// The port cannot be used.
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
    listeners: impl Into<Listeners>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (sender, stopping) = watch::channel(false);
    let Listeners { unix, network } = listeners.into();
    let connections = Connections::new(unix, &service);
    service.is_reached_at(network.as_ref().map(NetworkListener::url));
    let app = App { service, stopping };
    let last_answers = {
        let stopped = app.clone().stopped();
        async move {
            stopped.await;
            // The timer and nothing else: a client that is slower than this is cut off.
            let _ = tokio::time::timeout(LAST_ANSWERS, std::future::pending::<()>()).await;
        }
    };
    let over_network = {
        let app = app.clone();
        async move {
            match network {
                Some(network) => network::serve(network, app).await,
                None => Ok(()),
            }
        }
    };
    let routes = routes::router().layer(middleware::from_fn(only_owner)).with_state(app);
    let routes = routes.into_make_service_with_connect_info::<Peer>();
    let stop = async move {
        stop.await;
        sender.send_replace(true);
    };
    let served = axum::serve(connections, routes).with_graceful_shutdown(stop);
    tokio::select! {
        ended = async { tokio::try_join!(served.into_future(), over_network) } => ended.map(|_| ()),
        () = last_answers => Ok(()),
    }
}

/// Refuses all peers but the user of this process and root.
async fn only_owner(
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    peer.check()?;
    request.extensions_mut().insert(Caller::Owner(peer.owner()));
    Ok(next.run(request).await)
}
