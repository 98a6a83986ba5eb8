//! The way to the service: connecting, starting it, and coming back when it was gone.

use std::io;
use std::path::Path;
use std::time::Duration;

use execution_engine_keeper::socket;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::error::ClientError;
use super::exchange::Connection;
use super::start::{ServiceProgram, Starting};
use crate::state_dir::StateDir;

/// Time between two attempts to connect. Nothing announces that a socket listens.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest time that a service has to begin to listen.
const STARTUP: Duration = Duration::from_secs(60);
/// How long a service that was there is waited for, before another one is started: a supervisor that
/// restarts it is not to find that a client has.
const RETURN: Duration = Duration::from_secs(10);

/// How a client finds its service.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Places of the service.
    pub state_dir: StateDir,
    /// What is started where no service answers; None refuses instead.
    pub start: Option<ServiceProgram>,
}

impl ClientOptions {
    /// Creates options for a service that is not started if it does not run.
    pub fn new(state_dir: StateDir) -> Self {
        Self { state_dir, start: None }
    }

    /// Names the program to start where no service answers.
    #[must_use]
    pub fn start(mut self, program: ServiceProgram) -> Self {
        self.start = Some(program);
        self
    }

    /// Connects once, where the service should listen, or else where it does. The outer error is one of the
    /// connection, the inner one says that another user listens, who would get what the caller sends, such as its
    /// environment.
    pub(super) async fn connect(&self) -> io::Result<Result<Connection, ClientError>> {
        match Self::connect_to(self.state_dir.socket()).await {
            Err(error) if is_absence(&error) => match self.state_dir.socket_of_holder() {
                Some(other) => Self::connect_to(&other).await,
                None => Err(error),
            },
            connected => connected,
        }
    }

    async fn connect_to(path: &Path) -> io::Result<Result<Connection, ClientError>> {
        let stream = socket::connect(path).await?;
        let (owner, user) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
        if owner != user {
            return Ok(Err(ClientError::NotYours { socket: path.to_path_buf(), owner, user }));
        }
        Connection::new(stream).await.map(Ok)
    }

    /// Connects to a service, and starts it if there is none.
    pub(super) async fn first_connection(&self) -> Result<Connection, ClientError> {
        self.connection(Instant::now(), Duration::ZERO).await
    }

    /// Connects to a service that was there at `lost`. It is waited for, and started in the end.
    pub(super) async fn reconnection(&self, lost: Instant) -> Result<Connection, ClientError> {
        self.connection(lost, RETURN).await
    }

    /// Connects to a service, and starts one if none has come by itself after a time.
    ///
    /// Of several that start one at the same time one wins; the others end, and all connect to it.
    async fn connection(
        &self,
        since: Instant,
        patience: Duration,
    ) -> Result<Connection, ClientError> {
        let mut starting: Option<Starting> = None;
        let mut ticks = interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if !patience.is_zero() {
            // One that ends while it accepts must not be asked again and again without a pause.
            ticks.reset();
        }
        loop {
            ticks.tick().await;
            let error = match self.connect().await {
                Ok(connection) => return connection,
                Err(error) => error,
            };
            if !is_absence(&error) {
                let socket = self.state_dir.socket().to_path_buf();
                return Err(ClientError::Connect { socket, source: error });
            }
            if let Some(elsewhere) = self.elsewhere() {
                return Err(elsewhere);
            }
            if let Some(reason) = starting.as_mut().and_then(Starting::failure) {
                // One that lost against another may end before that one listens.
                if self.state_dir.holder().is_none() {
                    return Err(ClientError::Start { reason });
                }
                starting = None;
            }
            let waited = since.elapsed();
            if waited > patience + STARTUP {
                return Err(self.gave_up(waited));
            }
            // A process that holds the lock is about to listen, or about to end.
            if waited >= patience && starting.is_none() && self.state_dir.holder().is_none() {
                match &self.start {
                    Some(program) => starting = Some(Starting::begin(program, &self.state_dir)?),
                    None if patience.is_zero() => return Err(self.not_running()),
                    None => {}
                }
            }
        }
    }

    /// Returns an error if the service of the state directory listens on another socket, which no waiting changes.
    fn elsewhere(&self) -> Option<ClientError> {
        let holder = self.state_dir.holder().filter(|_| !self.state_dir.is_anywhere())?;
        let socket = holder.socket?;
        let real = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
        let own = self.state_dir.socket();
        if socket == own || (real(&socket).is_some() && real(&socket) == real(own)) {
            return None;
        }
        let pid = holder.pid;
        let fix = if socket.exists() {
            format!("use --socket {}, or unset EXENG_SOCKET", socket.display())
        } else {
            format!("that is gone; end the service (kill {pid}), programs go on, and try again")
        };
        let state_dir = self.state_dir.path().to_path_buf();
        Some(ClientError::Elsewhere { state_dir, pid, socket, fix })
    }

    fn not_running(&self) -> ClientError {
        ClientError::NotRunning { socket: self.state_dir.socket().to_path_buf() }
    }

    fn gave_up(&self, waited: Duration) -> ClientError {
        match self.state_dir.holder() {
            None => self.not_running(),
            Some(holder) => ClientError::Start {
                reason: format!(
                    "process {} holds the state directory {} and does not answer on {} for {} s; end it and try again",
                    holder.pid,
                    self.state_dir.path().display(),
                    self.state_dir.socket().display(),
                    waited.as_secs(),
                ),
            },
        }
    }
}

/// Returns `true` if no process listens, or not yet. A full queue of the socket is refused for the moment,
/// too.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionRefused, ConnectionReset, NotADirectory, NotFound, Other,
        UnexpectedEof, WouldBlock,
    };
    // Other is an error of the first bytes of HTTP: it was about to end.
    let kinds = [
        NotFound,
        // A part of the path was replaced by a file.
        NotADirectory,
        ConnectionRefused,
        ConnectionReset,
        WouldBlock,
        BrokenPipe,
        UnexpectedEof,
        Other,
    ];
    kinds.contains(&error.kind())
}
