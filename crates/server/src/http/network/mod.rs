//! HTTP over TCP, for callers with a token: HTTP/1.1, and with TLS also HTTP/2.
//!
//! | file | what it does |
//! |---|---|
//! | `host` | refuses other hosts and origins (pure) |
//! | `gate` | what a request must pass before a route sees it |
//! | `answer` | ends what is open when its token is over |
//! | `tls` | certificate and key |
//! | `connection` | speaks HTTP on a connection, within its limits |

mod answer;
mod connection;
mod gate;
mod host;
mod tls;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use axum::middleware;
use axum::serve::Listener;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{App, routes};
use crate::config::HttpConfig;
use crate::error::{ErrorCode, ServiceError};
use connection::Connections;
use gate::Gate;
use host::Hosts;

/// A TCP port on which the service is reached with tokens.
pub struct NetworkListener {
    listener: StdListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    config: HttpConfig,
}

impl NetworkListener {
    /// Begins to listen where the configuration says so; `None` if it does not.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`]: what [`HttpConfig::check`] refuses, a certificate or a key that cannot be used, an
    /// address that this machine has not, or a port that is taken.
    pub fn bind(config: &HttpConfig) -> Result<Option<Self>, ServiceError> {
        config.check()?;
        let Some(address) = config.listen else { return Ok(None) };
        let tls = tls(config)?;
        let listener = StdListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        let (address, listener) = listener.map_err(|error| {
            let text = format!("the service cannot listen on {address}: {error}");
            ServiceError::new(ErrorCode::InvalidConfig, text)
                .fix("choose another address or port (--listen, or listen under [http] of the configuration)")
        })?;
        Ok(Some(Self { listener, address, tls, config: config.clone() }))
    }

    /// Checks what [`bind`](Self::bind) would use, the files of TLS included, and does not listen.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`].
    pub fn check(config: &HttpConfig) -> Result<(), ServiceError> {
        config.check()?;
        tls(config).map(drop)
    }

    /// Returns where clients reach it: `http://127.0.0.1:7171`. Where it listens on all addresses this is the first of the
    /// configured hosts, or `localhost`.
    pub fn url(&self) -> String {
        let (scheme, port) = (self.scheme(), self.address.port());
        if !self.address.ip().is_unspecified() {
            return format!("{scheme}://{}", self.address);
        }
        let host = self.config.hosts.first().map_or("localhost", String::as_str);
        match host.parse() {
            Ok(ip) => format!("{scheme}://{}", SocketAddr::new(ip, port)),
            Err(_) => format!("{scheme}://{host}:{port}"),
        }
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

fn tls(config: &HttpConfig) -> Result<Option<TlsAcceptor>, ServiceError> {
    let files = config.tls_cert.as_ref().zip(config.tls_key.as_ref());
    files.map(|(cert, key)| tls::acceptor(cert, key)).transpose()
}

impl fmt::Debug for NetworkListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkListener").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// Serves the routes until the service ends. Then no connection is accepted any more, and what is under way is
/// answered.
///
/// # Errors
/// The socket cannot be used.
pub(super) async fn serve(network: NetworkListener, app: App) -> io::Result<()> {
    let hosts = Hosts::new(&network.config.hosts, network.scheme());
    let gate = Arc::new(Gate { service: app.service.clone(), hosts });
    let gate = middleware::from_fn_with_state(gate, gate::admit);
    let routes = routes::router().layer(gate).with_state(app.clone());
    let connections = Connections::new(routes, network.tls);
    let free = Arc::new(Semaphore::new(network.config.max_connections));
    let mut listener = TcpListener::from_std(network.listener)?;
    let graceful = GracefulShutdown::new();
    // Dropped with this future: a client that has not read its answer by then is cut off.
    let mut tasks = JoinSet::new();
    let accepting = async {
        loop {
            let Ok(permit) = free.clone().acquire_owned().await else {
                unreachable!("nobody closes the semaphore");
            };
            // The one of axum waits when the process is out of descriptors, and tries again.
            let (stream, _) = Listener::accept(&mut listener).await;
            let served = connections.clone().serve(stream, graceful.watcher());
            tasks.spawn(async move {
                served.await;
                drop(permit);
            });
            while tasks.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = app.stopped() => {}
        () = accepting => {}
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}
