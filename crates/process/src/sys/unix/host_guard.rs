//! Starts the host guard and sends it the changes of the list of groups.
//!
//! There is no memory that both could share on every Unix, so the host writes a line into the
//! lifeline for each group that begins or ends. A child is on the list a moment after its start,
//! when its id is known: a host that is killed in that moment leaves the child behind.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::spawn;
use crate::Exit;
use crate::sys::host_guard::{self, END_GROUPS};
use crate::sys::pipes;

/// Longest wait for room in a full pipe, which holds thousands of lines.
const WRITE_TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Host guard of one containment. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct HostGuard {
    lifeline: OwnedFd,
    /// The other end, so that the pipe of a guard that was killed does not break: a host with
    /// the default SIGPIPE would die of the next write.
    _read: OwnedFd,
    has_failed: AtomicBool,
}

/// Process group on the guard's list; the drop takes it off.
#[derive(Debug)]
pub(super) struct ListedGroup {
    guard: Arc<Option<HostGuard>>,
    group: Pid,
}

impl HostGuard {
    /// Starts the guard. `None` where it cannot be started.
    pub(super) fn start() -> io::Result<Option<Self>> {
        host_guard::or_warn(Self::try_start())
    }

    fn try_start() -> io::Result<Self> {
        let list = pipes::dev_null()?;
        let no_marker = "".as_ref();
        let (read, write) = host_guard::start(END_GROUPS, no_marker, list, |launch, stdio| {
            spawn::start(launch, stdio).map(reap).map_err(|error| error.source)
        })?;
        rustix::fs::fcntl_setfl(&write, OFlags::NONBLOCK)?;
        Ok(Self { lifeline: write, _read: read, has_failed: AtomicBool::new(false) })
    }

    /// Sends one line. Warns about the first that cannot be sent and sends no more after it.
    fn send(&self, line: &str) {
        if self.has_failed.load(Ordering::Relaxed) {
            return;
        }
        // So short a line is written whole or not at all (PIPE_BUF).
        let mut written = rustix::io::write(&self.lifeline, line.as_bytes());
        if written == Err(Errno::AGAIN) {
            let mut fds = [PollFd::new(&self.lifeline, PollFlags::OUT)];
            let _ready = poll(&mut fds, Some(&WRITE_TIMEOUT));
            written = rustix::io::write(&self.lifeline, line.as_bytes());
        }
        if let Err(error) = written
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                %error,
                "the host guard does not read: if this process is killed, its children live on"
            );
        }
    }
}

impl ListedGroup {
    pub(super) fn new(guard: Arc<Option<HostGuard>>, group: Pid) -> Self {
        let listed = Self { guard, group };
        listed.send('+');
        listed
    }

    fn send(&self, change: char) {
        if let Some(guard) = &*self.guard {
            guard.send(&format!("{change}{}\n", self.group.as_raw_nonzero()));
        }
    }
}

impl Drop for ListedGroup {
    fn drop(&mut self) {
        self.send('-');
    }
}

/// Waits for the first shell. `None` if other code in the host has reaped it.
fn reap(shell: Pid) -> Option<Exit> {
    loop {
        match waitpid(Some(shell), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            waited => {
                let (_, status) = waited.ok().flatten()?;
                return Some(status.exit_status().map_or(Exit::Unknown, Exit::Code));
            }
        }
    }
}
