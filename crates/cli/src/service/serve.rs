//! `exeng serve`: the service in the foreground.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::Utc;
use clap::Args;
use execution_engine_keeper::{set_process_defaults, socket};
use execution_engine_server::{
    Config, HttpConfig, KeeperProgram, Listeners, NetworkListener, Service, ServiceManager,
    ServiceOptions, StateDir, serve,
};
use rustix::process::{Resource, getrlimit};
use sd_notify::NotifyState;
use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::manage::Instance;
use super::times::local;
use super::{pass_nothing_on, places, runtime, this_program};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::message;

/// Options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    /// Leave the session of the process that started it; for verbs that start the service by themselves
    #[arg(long, hide = true)]
    background: bool,
    /// Tell systemd when it is ready, and start keepers in scopes of it; for the units of `service install`
    #[arg(long, value_name = "INSTANCE", value_enum, hide = true)]
    systemd: Option<Instance>,
    /// Serve clients with a token (exeng token create) on this address and port, too; port 0 is a free one. Anything but
    /// loopback needs TLS [without: `http.listen` of the configuration]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// File with the certificate for TLS, and with those that it follows from, PEM [without: `tls_cert`]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// File with the key of the certificate, PEM [without: `tls_key`]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

impl ServeOptions {
    /// Puts what the command line says in the place of what is configured.
    fn apply_to(&self, http: &mut HttpConfig) -> Result<(), Failure> {
        http.listen = self.listen.or(http.listen);
        http.tls_cert = self.tls_cert.clone().or_else(|| http.tls_cert.take());
        http.tls_key = self.tls_key.clone().or_else(|| http.tls_key.take());
        Ok(http.check()?)
    }
}

/// Runs the service until it is told to end.
pub(crate) fn run(global: &GlobalOptions, options: &ServeOptions) -> ExitCode {
    if options.background {
        // The leader of a group has no need to: no terminal stops it.
        let _leader = rustix::process::setsid();
    }
    set_process_defaults();
    crate::tracing_to_stderr();
    pass_nothing_on();
    crate::fault::in_service();
    let ended = runtime(Builder::new_multi_thread())
        .and_then(|runtime| runtime.block_on(until_told(global, options)));
    ended.map_or_else(
        |failure| {
            if options.background {
                // The process that has started it reads this, also where the log has no room. It may be gone.
                let _nobody = io::stdout().write_all(failure.to_string().as_bytes());
            }
            if options.background { failure.at(local(Utc::now())) } else { failure }.report()
        },
        |()| ExitCode::SUCCESS,
    )
}

/// Open files without which a service could start and serve no client.
const FEWEST_FILES: u64 = 64;

/// Refuses to run with so few open files that nothing could be accepted.
fn check_open_files() -> Result<(), Failure> {
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < FEWEST_FILES => Err(Failure::new(format!(
            "the service needs {FEWEST_FILES} open files at least, and may have {limit}; raise the hard limit where it is \
             started: ulimit -Hn 65536"
        ))),
        _ => Ok(()),
    }
}

async fn until_told(global: &GlobalOptions, options: &ServeOptions) -> Result<(), Failure> {
    check_open_files()?;
    let state_dir = places(global)?;
    let mut config = Config::load(state_dir.config())?;
    options.apply_to(&mut config.http)?;
    let http = config.http.clone();
    state_dir.create()?;
    // Before anything is said, so that no process that reads it signals too early.
    let stop = stop_signal().map_err(Failure::new)?;
    // A file that may not grow is an error of the write, and not the end of the service.
    let _file_size = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    let keeper = KeeperProgram {
        program: this_program()?,
        args: vec!["keeper".to_string()],
        scope: options.systemd.map(ServiceManager::from),
    };
    let service = ServiceOptions { state_dir: state_dir.clone(), config, keeper };
    let service = Service::open(service).await?;
    let listeners = match listen(&state_dir, &http).await {
        Ok(listeners) => listeners,
        Err(failure) => {
            service.close().await;
            return Err(failure);
        }
    };
    let (path, pid) = (state_dir.socket().display(), std::process::id());
    let and = listeners.network.as_ref().map(|network| format!(" and {}", network.url()));
    let ready = format!("ready on {path}{} (process {pid})", and.unwrap_or_default());
    // Its stderr is a log then, whose lines have a time.
    message::note(if options.background {
        format!("{}: {ready}", local(Utc::now()))
    } else {
        ready
    });
    if options.background {
        // The process that has started it waits for nothing more.
        rustix::stdio::dup2_stdout(rustix::stdio::stderr()).map_err(Failure::new)?;
    }
    if options.systemd.is_some() {
        tell_systemd(NotifyState::Ready);
    }
    let served = serve(service.clone(), listeners, stop).await;
    if options.systemd.is_some() {
        tell_systemd(NotifyState::Stopping);
    }
    service.close().await;
    served.map_err(Failure::new)
}

fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd cannot be told how the service is");
    }
}

/// Makes the socket, and listens on the network if that is wanted.
async fn listen(state_dir: &StateDir, http: &HttpConfig) -> Result<Listeners, Failure> {
    let network = NetworkListener::bind(http)?;
    Ok(Listeners { unix: listen_on_socket(state_dir).await?, network })
}

/// Makes the socket. The lock of the state directory is held, so a file in its place is left over, or
/// belongs to a service with another state directory.
async fn listen_on_socket(state_dir: &StateDir) -> Result<UnixListener, Failure> {
    let path = state_dir.socket();
    let failed = |error: io::Error| {
        let path = path.display();
        Failure::new(format!(
            "the socket {path} cannot be made: {error}; choose another one (EXENG_SOCKET or --socket)"
        ))
    };
    if socket::connect(path).await.is_ok() {
        return Err(Failure::new(format!(
            "a service with another state directory listens on {}; choose another socket (EXENG_SOCKET or --socket)",
            path.display()
        )));
    }
    remove_left_over(path).map_err(failed)?;
    socket::bind(path).and_then(UnixListener::from_std).map_err(failed)
}

/// Removes a socket that no process listens on, and nothing else.
fn remove_left_over(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file is in its place")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns a future that is ready at the first SIGTERM or SIGINT. The second ends the process.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
        tokio::spawn(async move {
            tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
            // As after a kill, nothing is lost by it.
            std::process::exit(i32::from(crate::exit_code::CANCELLED));
        });
    })
}
