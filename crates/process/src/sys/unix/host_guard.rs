//! Starts the host guard, sends it the changes of the list of groups, and makes it again if it is
//! killed.
//!
//! There is no memory that both could share on every Unix, so the host writes a line into the
//! lifeline for each group that begins or ends. A child is on the list a moment after its start,
//! when its id is known: a host that is killed in that moment leaves the child behind.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::spawn;
use crate::Exit;
use crate::sys::common::Warnings;
use crate::sys::host_guard::{self, END_GROUPS, RestartPause};
use crate::sys::pipes;

/// Longest wait for room in a full pipe, which holds thousands of lines.
const WRITE_TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// The watching thread makes a few system calls.
const STACK_BYTES: usize = 256 * 1024;

/// Host guard of one containment. It is made again if it is killed, and ends when this is dropped.
#[derive(Debug)]
pub(super) struct HostGuard(Arc<Mutex<GuardState>>);

#[derive(Debug)]
struct GuardState {
    /// Groups that the guard has on its list.
    groups: HashSet<Pid>,
    shell: GuardShell,
}

/// The host's side of one guard process.
#[derive(Debug)]
struct GuardShell {
    lifeline: OwnedFd,
    /// The other end, so that the pipe of a guard that was killed does not break: a host with
    /// the default SIGPIPE would die of the next write.
    _read: OwnedFd,
    has_failed: bool,
}

/// Process group on the guard's list; the drop takes it off.
#[derive(Debug)]
pub(super) struct ListedGroup {
    guard: Arc<Option<HostGuard>>,
    group: Pid,
}

impl HostGuard {
    /// Starts the guard. `None` where it cannot be started.
    pub(super) fn start(warnings: &mut Warnings) -> io::Result<Option<Self>> {
        host_guard::or_warn(Self::try_start(), warnings)
    }

    fn try_start() -> io::Result<Self> {
        let (shell, end) = GuardShell::start()?;
        let state = Arc::new(Mutex::new(GuardState { groups: HashSet::new(), shell }));
        let watched = Arc::downgrade(&state);
        let builder = thread::Builder::new().name("execution-guard".to_string());
        builder.stack_size(STACK_BYTES).spawn(move || watch(&watched, end))?;
        Ok(Self(state))
    }
}

/// Starts another guard whenever this one has ended. `end` is the reading end of a pipe whose other
/// end only the guard has.
fn watch(watched: &Weak<Mutex<GuardState>>, mut end: OwnedFd) {
    let mut pause = RestartPause::default();
    loop {
        let begun = Instant::now();
        while matches!(rustix::io::read(&end, &mut [0; 64]), Ok(1..) | Err(Errno::INTR)) {}
        let mut lived = begun.elapsed();
        end = loop {
            wait(pause.next(lived));
            let Some(state) = watched.upgrade() else { return };
            if let Some((shell, end)) = host_guard::replaced(GuardShell::start()) {
                let told = lock(&state).take_over(shell);
                warn_of_silence(told);
                break end;
            }
            lived = Duration::ZERO;
        };
    }
}

fn wait(pause: Duration) {
    let due = Instant::now() + pause;
    while let Some(rest) = due.checked_duration_since(Instant::now()).filter(|it| !it.is_zero()) {
        thread::park_timeout(rest);
    }
}

impl GuardState {
    /// Tells another guard what is on the list.
    fn take_over(&mut self, shell: GuardShell) -> io::Result<()> {
        self.shell = shell;
        self.groups.iter().try_for_each(|group| self.shell.send('+', *group))
    }
}

impl GuardShell {
    /// Starts a guard and returns what becomes readable at its end, too.
    fn start() -> io::Result<(Self, OwnedFd)> {
        let (end, kept) = pipes::pipe()?;
        let files = [pipes::dev_null()?, kept.as_fd()];
        let (read, write) = host_guard::start(END_GROUPS, &[], files, |launch, stdio| {
            spawn::start(launch, stdio, &[], None).map(reap).map_err(|error| error.source)
        })?;
        rustix::fs::fcntl_setfl(&write, OFlags::NONBLOCK)?;
        Ok((Self { lifeline: write, _read: read, has_failed: false }, end))
    }

    /// Sends one line. Fails for the first that cannot be sent and sends no more after it.
    fn send(&mut self, change: char, group: Pid) -> io::Result<()> {
        if self.has_failed {
            return Ok(());
        }
        let line = format!("{change}{}\n", group.as_raw_nonzero());
        // So short a line is written whole or not at all (PIPE_BUF).
        let mut written = rustix::io::write(&self.lifeline, line.as_bytes());
        if written == Err(Errno::AGAIN) {
            let mut fds = [PollFd::new(&self.lifeline, PollFlags::OUT)];
            let _ready = poll(&mut fds, Some(&WRITE_TIMEOUT));
            written = rustix::io::write(&self.lifeline, line.as_bytes());
        }
        self.has_failed = written.is_err();
        written?;
        Ok(())
    }
}

fn warn_of_silence(told: io::Result<()>) {
    if let Err(error) = told {
        tracing::warn!(
            %error,
            "the host guard does not read: if this process is killed, its children live on"
        );
    }
}

impl ListedGroup {
    pub(super) fn new(guard: Arc<Option<HostGuard>>, group: Pid) -> Self {
        if let Some(guard) = &*guard {
            let told = {
                let mut state = lock(&guard.0);
                state.groups.insert(group);
                state.shell.send('+', group)
            };
            warn_of_silence(told);
        }
        Self { guard, group }
    }
}

impl Drop for ListedGroup {
    fn drop(&mut self) {
        if let Some(guard) = &*self.guard {
            let told = {
                let mut state = lock(&guard.0);
                state.groups.remove(&self.group);
                state.shell.send('-', self.group)
            };
            warn_of_silence(told);
        }
    }
}

fn lock(state: &Mutex<GuardState>) -> MutexGuard<'_, GuardState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
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
