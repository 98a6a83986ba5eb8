//! One connection: TLS, HTTP and their limits.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::Layer as _;

use super::gate::Link;
use super::tls::HTTP_2;
use crate::service::Grant;

/// Longest time of a connection without a good token: from its beginning, and from the end of the last one. Who has none
/// keeps no connection: neither by a slow handshake, nor by slow headers, nor by silence.
const ADMISSION_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for the headers of a request of HTTP/1.1, and longest silence before it.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// Most bytes of the headers of a request.
const MOST_HEADER_BYTES: usize = 32 << 10;
/// Most requests at a time on a connection of HTTP/2.
const MOST_HTTP2_STREAMS: u32 = 100;
/// Silence after which a client of HTTP/2 is asked whether it is there, and longest time for its answer.
const HTTP2_SILENCE: Duration = Duration::from_secs(20);

/// Silence after which the system asks whether a client is there, pause between such questions, and their number.
const SILENCE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);
/// Longest time for a client to take note of what was sent to it.
#[cfg(target_os = "linux")]
const UNHEARD_MS: u32 = 120_000;

/// How connections are served.
#[derive(Clone)]
pub(super) struct Connections {
    routes: Router,
    tls: Option<TlsAcceptor>,
}

impl Connections {
    /// Creates it from the routes, and from the certificate if there is one.
    pub(super) fn new(routes: Router, tls: Option<TlsAcceptor>) -> Self {
        Self { routes, tls }
    }

    /// Serves a connection to its end.
    pub(super) async fn serve(self, stream: TcpStream, watcher: Watcher) {
        let Ok(local) = stream.local_addr() else { return };
        // A system that does not know these settings serves all the same.
        let _without = prepare(&stream);
        let (last, grants) = watch::channel(None);
        let link = Link { local: local.ip(), last };
        tokio::select! {
            () = self.speak(stream, link, watcher) => {}
            () = without_token(grants) => {}
        }
    }

    async fn speak(self, stream: TcpStream, link: Link, watcher: Watcher) {
        let Some(tls) = self.tls else {
            return http_1(stream, self.routes, link, watcher).await;
        };
        // What goes wrong in a handshake is told to the client, by TLS itself.
        let Ok(stream) = tls.accept(stream).await else { return };
        if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            http_2(stream, self.routes, link, watcher).await;
        } else {
            http_1(stream, self.routes, link, watcher).await;
        }
    }
}

/// Sets what the system does for a connection by itself: so one whose client is gone ends, though nothing is written
/// while a request waits.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Answers are written as a whole, so there is nothing to wait for.
    stream.set_nodelay(true)?;
    let (idle, pause, count) = SILENCE;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, idle)?;
    sockopt::set_tcp_keepintvl(stream, pause)?;
    sockopt::set_tcp_keepcnt(stream, count)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(stream, UNHEARD_MS)?;
    Ok(())
}

/// Waits until a connection has had no good token for too long.
async fn without_token(mut grants: watch::Receiver<Option<Arc<Grant>>>) {
    loop {
        let grant = grants.borrow_and_update().clone();
        let over = async {
            if let Some(grant) = grant {
                grant.over().await;
            }
        };
        tokio::select! {
            () = over => {
                let newer = tokio::time::timeout(ADMISSION_LIMIT, grants.changed()).await;
                if !matches!(newer, Ok(Ok(()))) {
                    return;
                }
            }
            changed = grants.changed() => if changed.is_err() { return },
        }
    }
}

async fn http_1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    link: Link,
    watcher: Watcher,
) {
    let service = TowerToHyperService::new(Extension(link).layer(routes));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_buf_size(MOST_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // Its error is that of the client, which has it, too.
    let _ended = watcher.watch(connection).await;
}

async fn http_2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    link: Link,
    watcher: Watcher,
) {
    let service = TowerToHyperService::new(Extension(link).layer(routes));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(MOST_HEADER_BYTES as u32)
        .max_concurrent_streams(MOST_HTTP2_STREAMS)
        .keep_alive_interval(HTTP2_SILENCE)
        .keep_alive_timeout(HTTP2_SILENCE)
        .serve_connection(TokioIo::new(stream), service);
    let _ended = watcher.watch(connection).await;
}
