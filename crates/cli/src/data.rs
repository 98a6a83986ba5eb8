//! Data on stdout and stderr: what a verb was asked for. Nothing is left in a buffer.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;
use tokio::sync::Notify;

use crate::failure::Failure;

/// Writes bytes to stdout.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Failure::of_output(&error))
}

/// Writes bytes to stderr: those that a program has written there.
pub(crate) fn error_bytes(bytes: &[u8]) -> Result<(), Failure> {
    io::stderr().write_all(bytes).map_err(|error| Failure::of_output(&error))
}

/// Writes a text and a newline to stdout.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes a value as one line of JSON to stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(&serde_json::to_string(value).map_err(Failure::new)?)
}

/// The process that reads stdout.
pub(crate) struct Reader(Arc<Notify>);

impl Reader {
    /// Begins to watch it.
    pub(crate) fn watch() -> Self {
        let gone = Arc::new(Notify::new());
        let notify = Arc::clone(&gone);
        // A thread that is never joined: it may wait as long as this process lives. Without it, the next
        // write tells.
        let watch = move || {
            if wait_for_hangup() {
                notify.notify_one();
            }
        };
        let _thread = thread::Builder::new().name("exeng stdout".into()).spawn(watch);
        Self(gone)
    }

    /// Waits until no process reads the pipe any more, and returns what its next write would fail with. Cancel
    /// safe.
    pub(crate) async fn gone(&self) -> Failure {
        self.0.notified().await;
        Failure::of_output(&io::ErrorKind::BrokenPipe.into())
    }
}

/// Blocks until no process can read stdout any more, which is never for a file. Returns `false` if that cannot
/// be known.
fn wait_for_hangup() -> bool {
    let stdout = io::stdout();
    loop {
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut fds, None) {
            Ok(_) => return fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Returns `true` if stdout is read by a person.
pub(crate) fn is_for_people() -> bool {
    io::stdout().is_terminal()
}

/// Returns `true` if stdout may have colours.
pub(crate) fn has_colours() -> bool {
    is_for_people() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns the width of the terminal on stdout.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    is_for_people().then(|| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
