//! Connections: how many there may be, and who is at the other end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::socket_name::SocketName;
use crate::problem::Problem;
use crate::service::Service;

/// Pause between two looks at the name of the socket: one that was removed wakes no task.
const NAME_PAUSE: Duration = Duration::from_secs(1);
/// Most connections at a time. More wait in the queue of the socket, so that they neither fail nor
/// take the descriptors that the store and the keepers need.
const MOST_CONNECTIONS: usize = 1_000;

/// The user at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// User id; None if the system does not tell.
    uid: Option<u32>,
}

impl Peer {
    /// Refuses all users but that of this process and root.
    pub(super) fn check(self) -> Result<(), Problem> {
        let own = rustix::process::geteuid().as_raw();
        if self.is_one_of([own, 0]) {
            return Ok(());
        }
        let who = self.uid.map_or("unknown".to_string(), |uid| uid.to_string());
        let detail = format!("this service belongs to user {own}, and the caller is user {who}");
        Err(Problem::of_http(403, "not_the_owner", "The service belongs to somebody else", detail)
            .fix("use a service of your own: exeng starts one by itself"))
    }

    /// Returns the user id of a peer that was [checked](Self::check).
    pub(super) fn owner(self) -> u32 {
        self.uid.unwrap_or_else(|| rustix::process::geteuid().as_raw())
    }

    fn is_one_of(self, users: [u32; 2]) -> bool {
        self.uid.is_some_and(|uid| users.contains(&uid))
    }
}

impl Connected<IncomingStream<'_, Connections>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        *stream.remote_addr()
    }
}

/// The socket of the service.
pub(super) struct Connections {
    /// Dropped first: the name is known to be its own while it listens.
    name: Option<SocketName>,
    listener: UnixListener,
    free: Arc<Semaphore>,
    looks: Interval,
}

impl Connections {
    /// Creates it from a socket that listens. If it is the one of the state directory, it is made again when
    /// it is gone.
    pub(super) fn new(listener: UnixListener, service: &Service) -> Self {
        let mut looks = interval(NAME_PAUSE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let free = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        Self { listener, free, name: SocketName::of(service), looks }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        let Ok(permit) = self.free.clone().acquire_owned().await else {
            unreachable!("nobody closes the semaphore");
        };
        let stream = loop {
            tokio::select! {
                // The one of axum waits when the process is out of descriptors, and tries again.
                (stream, _) = Listener::accept(&mut self.listener) => break stream,
                _ = self.looks.tick() => {}
            }
            if let Some(name) = &mut self.name
                && let Some(listener) = name.renewed().await
            {
                self.listener = listener;
            }
        };
        let uid = stream.peer_cred().ok().map(|peer| peer.uid());
        (Connection { stream, _permit: permit }, Peer { uid })
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { uid: Some(rustix::process::geteuid().as_raw()) })
    }
}

/// A connection, which counts as one until it is closed.
pub(super) struct Connection {
    stream: UnixStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_root_are_served() {
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(Peer { uid: Some(own) }.check(), Ok(()));
        assert_eq!(Peer { uid: Some(0) }.check(), Ok(()));
        for (uid, named) in [(Some(own + 1), (own + 1).to_string()), (None, "unknown".to_string())]
        {
            let problem = Peer { uid }.check().unwrap_err();
            assert_eq!(problem.status, 403);
            assert!(problem.detail.ends_with(&format!("is user {named}")), "{problem}");
        }
    }
}
