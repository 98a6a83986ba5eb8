//! The process of a keeper.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the process from its lock to its end |
//! | `keeper.rs` | what all tasks share; the executions that it knows |
//! | `execution.rs` | one execution |
//! | `live_journal.rs` | its journal, and what could not be written |
//! | `start.rs` | a start |
//! | `ending.rs` | an ending, and forgetting |
//! | `sink.rs` | output of the engine |
//! | `durability.rs` | syncs of journals |
//! | `calls.rs` | what a client asks for |
//! | `input.rs` | input that clients write to a program |
//! | `connection.rs` | one client |
//! | `lifetime.rs` | when the keeper ends |

mod calls;
mod connection;
mod durability;
mod ending;
mod execution;
mod input;
mod keeper;
mod lifetime;
mod live_journal;
mod sink;
mod start;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use chrono::Utc;

use crate::lock::{HeldLock, LockContent, boot_id};
use crate::{KeeperError, KeeperOptions, PROTOCOL, directory, set_process_defaults, socket};
use keeper::Keeper;

/// Threads for clients; the engine has its own.
const WORKERS: usize = 2;

/// Runs a keeper in this process until it has nothing left to do. Prints `ready` and a newline on standard output when
/// it can be connected to; from then on its standard streams are its log.
///
/// It ends
/// - when nothing runs, everything is forgotten, and no client has been there for
///   [`idle_exit`](KeeperOptions::idle_exit);
/// - after a [`drain`](crate::KeeperClient::drain) as soon as everything is forgotten;
/// - after SIGTERM, SIGINT or a [`shutdown`](crate::KeeperClient::shutdown), which stop what runs: when everything is
///   forgotten, without a client for `idle_exit`, and in any case
///   [`stop_limit`](KeeperOptions::stop_limit) after the grace;
/// - when its directory was removed and nothing runs.
///
/// It removes its directory if everything is forgotten.
///
/// The process becomes the leader of a session of its own, if it can, and sets its [state](set_process_defaults), which
/// programs inherit. Call it in a process that does nothing else.
///
/// # Errors
///
/// [`KeeperError::AlreadyRunning`] or [`KeeperError::UsedBefore`] for a directory that another keeper has or had,
/// [`KeeperError::Io`] for what the system refuses, and [`KeeperError::Engine`].
pub fn run(options: KeeperOptions) -> Result<(), KeeperError> {
    // The leader of a group stays in its session; then a hangup of its terminal is ignored all the same.
    let _leader = rustix::process::setsid();
    set_process_defaults();
    let dir = options.dir.clone();
    directory::create(&dir)?;
    let content = LockContent {
        pid: std::process::id(),
        since: Utc::now(),
        build: options.build.clone(),
        boot_id: boot_id(),
        protocol: PROTOCOL,
    };
    let lock = HeldLock::take(&dir, &content)?;
    let log = redirect_to_log(&options)?;
    let socket = directory::socket(&dir);
    let listener = socket::bind(&socket).map_err(KeeperError::io("listen on", &socket))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(KeeperError::io("start threads in", &dir))?;
    let is_empty = runtime.block_on(serve(options, listener, log, &lock))?;
    let _gone = fs::remove_file(&socket);
    if is_empty {
        // The log is not worth a directory, and nothing else is left.
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(KeeperError::io("remove", &dir)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Serves clients until the keeper ends. Returns `true` if it has forgotten everything.
async fn serve(
    options: KeeperOptions,
    listener: UnixListener,
    log: File,
    lock: &HeldLock,
) -> Result<bool, KeeperError> {
    let dir = options.dir.clone();
    let failed = |what| move |error| KeeperError::io(what, &dir.clone())(error);
    let listener =
        tokio::net::UnixListener::from_std(listener).map_err(failed.clone()("listen in"))?;
    let signals = lifetime::Signals::new().map_err(failed("watch signals for"))?;
    let keeper = Arc::new(Keeper::new(options)?);
    say_ready(&log).map_err(KeeperError::io("say that it is ready in", &keeper.options.dir))?;
    tracing::info!(pid = std::process::id(), build = keeper.options.build, "ready");
    if let Some(power) = &keeper.power {
        power.start(&keeper.shared);
    }
    let clients = tokio::spawn(connection::accept(Arc::clone(&keeper), listener));
    let is_empty = lifetime::wait_for_end(&keeper, signals, lock).await;
    tracing::info!(is_empty, "ends");
    keeper.end_connections();
    // The last answers are written; a client that reads nothing is not waited for.
    let _slow = tokio::time::timeout(connection::LAST_ANSWERS, clients).await;
    Ok(is_empty)
}

/// Makes the log the standard error of this process, and nothing its standard input.
fn redirect_to_log(options: &KeeperOptions) -> Result<File, KeeperError> {
    let path = directory::log(&options.dir);
    let mut open = OpenOptions::new();
    open.append(true).create_new(true).mode(0o600);
    let failed = || KeeperError::io("write the log", &path);
    let log = open.open(&path).map_err(failed())?;
    log.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(failed())?;
    let null = File::open("/dev/null").map_err(KeeperError::io("open", "/dev/null".as_ref()))?;
    rustix::stdio::dup2_stdin(null).map_err(io::Error::from).map_err(failed())?;
    rustix::stdio::dup2_stderr(&log).map_err(io::Error::from).map_err(failed())?;
    // On a full disk a line is lost and nothing else; by default the error would be told on the full disk, and panic.
    let writer = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(io::stderr)
        .log_internal_errors(false)
        .finish();
    // A program that has its own keeps it.
    let _own = tracing::subscriber::set_global_default(writer);
    Ok(log)
}

/// Tells the process that has started this one, whose pipe is not held any longer.
fn say_ready(log: &File) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // Who does not listen does not matter.
    let _nobody = out.write_all(b"ready\n").and_then(|()| out.flush());
    Ok(rustix::stdio::dup2_stdout(log)?)
}
